"""Cross-validation by patient on a small folder of films in the layout of mini-MIAS, with a 64-pixel network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medproto.bundle import load_bundle
from medproto.datasets.archives.mini_mias import import_mini_mias
from medproto.datasets.manifest import read_manifest
from medproto.datasets.regions import region_manifest
from medproto.errors import TrainingError
from medproto.evaluation.baselines import Cases, intensity_and_size, linear_scores
from medproto.evaluation.crossval import (
    FOLDS,
    NETWORK,
    PLAIN,
    PROBE,
    CrossValidation,
    Regions,
    cross_validate,
    format_table,
    split_fold,
    train_held_out,
)
from medproto.training.inputs import Loading, Progress, load_inputs
from medproto.training.settings import TrainSettings

PATIENTS = 10
RADIUS_PX = 40


def silent(title: str) -> Progress:
    """A reporter for nobody."""
    return lambda done, total: None


def film(number: int, centre: tuple[int, int] | None) -> bytes:
    """A textured half ellipse of breast, with a bright disc where a centre is given, as PGM."""
    rows, columns = np.indices((1024, 1024), dtype=np.float32)
    inside = ((rows - 512) / 430) ** 2 + (columns / 620) ** 2 < 1
    values = np.where(inside, 110 + np.random.default_rng(number).integers(0, 40, (1024, 1024)), 3)
    if centre is not None:
        values[np.hypot(rows - centre[0], columns - centre[1]) < RADIUS_PX] += 60
    return b"P5\n1024 1024\n255\n" + values.astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def settings() -> TrainSettings:
    return TrainSettings.model_validate(
        {
            "name": "small",
            "classes": {"normal": ["normal"], "lesion": ["lesion"]},
            "positive_class": "lesion",
            "model": {"backbone": "tiny", "weights": "none", "latent_channels": 8, "prototypes_per_class": 2},
            "inputs": {"rows": 64, "columns": 64},
            "stages": [
                {"name": "warm-up", "epochs": 5, "variants": 1, "learning_rates": {"add_on": 0.01, "prototypes": 0.01}}
            ],
            "last_layer": {"l1": [0.001], "ridge": [0.001], "folds": 2},
        }
    )


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory, settings: TrainSettings) -> Regions:
    """Each patient has one film with a lesion and one without."""
    source, work = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("work")
    lines = []
    for patient in range(PATIENTS):
        row, column = 350 + 20 * patient, 200 + 10 * patient
        odd, even = 2 * patient + 1, 2 * patient + 2
        (source / f"mdb{odd:03d}.pgm").write_bytes(film(odd, (row, column)))
        (source / f"mdb{even:03d}.pgm").write_bytes(film(even, None))
        lines += [f"mdb{odd:03d} G CIRC B {column} {1023 - row} {RADIUS_PX}", f"mdb{even:03d} G NORM"]
    (source / "Info.txt").write_text("\n".join(lines))
    films = read_manifest(import_mini_mias(source, work / "films"))
    manifest = read_manifest(region_manifest(films, work / "regions.csv", seed=0))
    labels = [settings.class_of(row.label) for row in manifest.rows]
    return Regions(manifest, load_inputs(manifest, labels, (settings.inputs, settings.ingest), Loading(workers=1)))


@pytest.fixture(scope="module")
def result(settings: TrainSettings, regions: Regions) -> CrossValidation:
    return cross_validate(settings, regions, silent)


def test_each_patient_is_tested_once_and_never_in_two_parts(regions: Regions) -> None:
    folds = [split_fold(regions.manifest.rows, fold, 0) for fold in range(FOLDS)]
    tested = sorted(patient for of in folds for patient, split in of.items() if split == "test")
    assert tested == sorted(regions.manifest.patients())
    assert all(set(of.values()) == {"train", "val", "test"} for of in folds)


def test_a_bright_lesion_is_found_by_all_methods_on_unseen_patients(result: CrossValidation) -> None:
    assert [method.name for method in result.methods] == [NETWORK, PROBE, PLAIN]
    assert (result.positives, result.patients) == (PATIENTS, PATIENTS)
    for method in result.methods:
        assert method.auroc.value > 0.9, method


def test_no_two_prototypes_of_a_fold_share_a_patch(result: CrossValidation) -> None:
    assert result.distinct == result.prototypes
    assert all(count > 0 for count in result.prototypes)


def test_table_shows_every_method_and_names_what_was_left_out(result: CrossValidation) -> None:
    text = format_table(replace(result, left_out=("row 7: not a mammogram",)))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(result.methods)
    assert len({row.count("|") for row in rows}) == 1
    assert str(result.methods[0].auroc) in rows[2]
    assert "row 7: not a mammogram" in text


def test_scores_do_not_depend_on_the_labels_of_unseen_patients(settings: TrainSettings, regions: Regions) -> None:
    positive = regions.data.bag_labels().numpy() == 1
    cases = Cases(intensity_and_size(regions.data), positive, regions.data.bag_patients())
    unseen = [i for i, patient in enumerate(cases.patients) if patient in sorted(set(cases.patients))[:3]]
    known = [i for i in range(len(positive)) if i not in unseen]
    turned = replace(cases, positive=~positive)
    scores = linear_scores(cases.select(known), cases.select(unseen), 0)
    np.testing.assert_array_equal(scores, linear_scores(cases.select(known), turned.select(unseen), 0))


def test_a_class_without_patients_to_fold_is_refused() -> None:
    cases = Cases(np.zeros((4, 1)), np.array([True, False, False, False]), ["a", "b", "c", "d"])
    with pytest.raises(TrainingError, match="got 1 patients of a class, expected at least 2"):
        linear_scores(cases, cases, 0)


def test_held_out_bundle_saw_no_patient_of_its_held_out_rows(
    settings: TrainSettings, regions: Regions, tmp_path: Path
) -> None:
    target, held_out = train_held_out(settings, regions, tmp_path, silent)
    used = {entry.source.image_id for entry in load_bundle(target).manifest.prototypes}
    patient_of = {row.image: row.patient for row in regions.manifest.rows}
    assert {row.label for row in held_out} == {"lesion", "normal"}
    assert not {patient_of[image] for image in used} & {row.patient for row in held_out}
    assert all(row.region is not None and Path(row.path).is_file() for row in held_out)
