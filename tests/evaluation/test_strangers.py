"""Exams of other manifests: films that look otherwise are marked, and labels count where they are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medproto.datasets.manifest import Manifest, read_manifest, write_manifest
from medproto.errors import TrainingError
from medproto.evaluation import strangers
from medproto.evaluation.held_out import HeldOut, score_held_out
from medproto.evaluation.kept import NOT_KEPT, Kept
from medproto.evaluation.strangers import measure_strangers
from medproto.training.inputs import PLAINLY, Loading
from tests.factories import VIEWS, Trained, breast_picture, read_cohort, train_tiny, write_view

ALONE = Loading(workers=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def held(trained: Trained) -> HeldOut:
    """The patients that it never saw."""
    return score_held_out(trained.bundle(), trained.manifest, "test", read_cohort(trained.manifest).split("test"))


@pytest.fixture(scope="module")
def noise(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Three patients whose breasts are coarse stripes; of labels that no bundle knows, and in no split."""
    folder = tmp_path_factory.mktemp("stripes")
    template, rows = trained.manifest.rows[0], []
    for number in range(3):
        for place, (side, view) in enumerate(VIEWS[:2]):
            picture = breast_picture(number, side, None)
            picture = np.where(picture > 0, 0.5 + 0.45 * np.sign(np.sin(np.arange(picture.shape[0]) / 3))[:, None], 0)
            path = write_view(folder / f"{number}-{side}.dcm", f"other-{number}", place, picture.astype(np.float32))
            named = {"path": path.name, "patient": f"other-{number}", "exam": f"other-{number}", "image": path.stem}
            seen = {"side": side, "view": view, "label": "stripes", "split": None, "boxes": ()}
            rows.append(template.model_copy(update=named | seen))
    return read_manifest(write_manifest(folder / "manifest.csv", rows))


def test_stripes_are_marked_and_need_no_label(held: HeldOut, noise: Manifest) -> None:
    found = measure_strangers(held, "stripes", noise, ALONE, NOT_KEPT)
    assert (found.name, found.rows, found.exams, found.images, found.patients) == ("stripes", "all rows", 3, 6, 3)
    assert found.unlike.value == 1.0
    assert found.unlike.low == pytest.approx(3 / (3 + 1.959964**2))  # Wilson's, for three of three
    assert found.told_apart.value == 1.0
    assert (found.labelled, found.auroc, found.decided) == (0, None, None)


def test_exams_of_the_same_kind_are_not_told_apart_and_are_judged(held: HeldOut, trained: Trained) -> None:
    alike = replace(trained.manifest, rows=trained.manifest.split("val") + trained.manifest.split("test"))
    here = measure_strangers(held, "alike", alike, ALONE, NOT_KEPT)
    assert (here.rows, here.exams) == ("test", 2)
    assert here.told_apart.value == 0.5
    assert (here.labelled, here.positives) == (2, 1)
    assert here.auroc is not None
    assert here.auroc.value == 1.0
    assert here.decided is not None
    assert here.decided.kept + here.decided.marked == 2


def test_an_exam_of_an_unknown_label_is_left_out_of_the_decisions(held: HeldOut, trained: Trained) -> None:
    rows = list(trained.manifest.split("test"))
    rows[0] = rows[0].model_copy(update={"label": "unsure"})
    found = measure_strangers(held, "some", replace(trained.manifest, rows=tuple(rows)), ALONE, NOT_KEPT)
    assert (found.exams, found.labelled, found.positives, found.auroc) == (2, 1, 1, None)
    assert found.decided is not None


def test_exams_in_parts_are_scored_as_those_at_once(
    held: HeldOut, noise: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = measure_strangers(held, "stripes", noise, ALONE, NOT_KEPT)
    monkeypatch.setattr(strangers, "AT_ONCE", 1)
    steps = list[tuple[int, int]]()
    loading = replace(ALONE, progress=lambda done, total: steps.append((done, total)))
    assert measure_strangers(held, "stripes", noise, loading, NOT_KEPT) == at_once
    assert steps == [(i, 6) for i in range(1, 7)]


def test_images_that_cannot_be_read_are_counted(held: HeldOut, noise: Manifest, tmp_path: Path) -> None:
    rows = [row.model_copy(update={"path": str(noise.file(row))}) for row in noise.rows]
    for place in (0, 1, 2):
        rows[place] = rows[place].model_copy(update={"path": f"none-{place}.dcm"})
    found = measure_strangers(held, "some", read_manifest(write_manifest(tmp_path / "some.csv", rows)), ALONE, NOT_KEPT)
    assert (found.images, found.left_out, found.exams, found.refused_exams) == (3, 3, 2, 1)
    nothing = [row.model_copy(update={"path": f"none-{i}.dcm"}) for i, row in enumerate(rows)]
    with pytest.raises(TrainingError, match="manifest: got 6 rows of which none could be read, expected mammograms"):
        measure_strangers(held, "none", read_manifest(write_manifest(tmp_path / "none.csv", nothing)), ALONE, NOT_KEPT)


def test_images_that_prototypes_were_cut_from_are_no_strangers(held: HeldOut, trained: Trained) -> None:
    known = replace(trained.manifest, rows=trained.manifest.split("train"))
    with pytest.raises(TrainingError, match="strangers: got an image that a prototype was cut from, expected images"):
        measure_strangers(held, "known", known, ALONE, NOT_KEPT)


def test_kept_strangers_are_found_again_under_another_name(held: HeldOut, noise: Manifest, tmp_path: Path) -> None:
    first = measure_strangers(held, "stripes", noise, ALONE, Kept(tmp_path, "one"))
    gone = replace(noise, path=tmp_path / "gone" / "manifest.csv")
    again = measure_strangers(held, "lines", gone, PLAINLY, Kept(tmp_path, "one"))
    assert again == replace(first, name="lines")
