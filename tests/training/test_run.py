"""A run from its configuration to its bundle: early stopping, cycles, fewer prototypes, precision, and its errors."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning_fabric import Fabric
from torch import Tensor
from typer.testing import CliRunner

from medproto.bundle import load_bundle, read_bundle_manifest
from medproto.cli import app
from medproto.datasets.manifest import read_manifest, write_manifest
from medproto.errors import InputError, MedprotoError, TrainingError
from medproto.predict import scorer
from medproto.training.descent import Reached, Watch, descend, kept_epoch
from medproto.training.launch import is_first
from medproto.training.legs import legs
from medproto.training.run import Fitted, Record, check_validation, fit
from medproto.training.settings import Costs, Stage
from medproto.training.words import summary
from tests.factories import input_set, pseudonym, silent, tiny_model
from tests.training.runs import Cohort, at, bundle_files, with_changes, write_short_cohort

WARM_UP = {"name": "warm-up", "epochs": 2, "learning_rates": {"add_on": 1e-2, "prototypes": 1e-2}, "variants": 1}
#: One stage, one cycle, and all prototypes stay.
PLAIN: dict[str, Any] = {"stages": [WARM_UP], "cycles": 1, "pruning": None, "merging": None}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The tiny cohort, read once."""
    return write_short_cohort(tmp_path_factory.mktemp("cohort"))


def fitted(cohort: Cohort, changes: Mapping[str, object]) -> Fitted:
    """A short run with its validation exams, without the choices at its end."""
    settings = with_changes(cohort.settings, PLAIN | changes)
    return fit(settings, cohort.data.split("train"), silent, Record(cohort.data.split("val")))


@pytest.mark.parametrize(
    ("measured", "minimum", "epochs", "kept"),
    [
        ([0.5, 0.8, 0.7, 0.8, 0.9, 0.9], 1, 4, 2),  # an equal AUROC is no better one
        ([0.5, 0.8, 0.7, 0.7, 0.9, 0.9], 5, 6, 5),  # the best comes before the stage may end
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 5, 5, 1),
        ([0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 1, 6, 6),
    ],
)
def test_stage_ends_where_its_patience_does_with_its_best_epoch(
    measured: list[float], minimum: int, epochs: int, kept: int
) -> None:
    model, values = tiny_model(), iter(measured)
    networks: list[dict[str, Tensor]] = []

    def hear(reached: Reached) -> None:
        networks.append({name: value.clone() for name, value in reached.network.items()})

    stage = Stage.model_validate(WARM_UP | {"epochs": 6, "batch": 4, "patience": 2, "minimum_epochs": minimum})
    watch = Watch(hear=hear, measure=lambda: next(values))
    fabric = Fabric(accelerator="cpu", devices=1)
    history = descend(model, input_set([0, 1] * 4), stage, Costs(), (fabric, 0, watch))
    assert (len(history), kept_epoch(history)) == (epochs, kept)
    for name, value in model.state_dict().items():
        assert torch.equal(value, networks[kept - 1][name]), name
    assert not torch.equal(networks[0]["prototypes"], networks[-1]["prototypes"])


def test_patience_measures_validation_exams_and_the_protocol_tells_the_epoch_kept(cohort: Cohort) -> None:
    found = fitted(cohort, {"stages": [WARM_UP | {"epochs": 4, "patience": 1, "minimum_epochs": 1}]})
    history = found.protocol["stages"]["warm-up"]  # type: ignore[index]
    measured = [row["validation_auroc"] for row in history]
    assert found.protocol["kept_epochs"] == {"warm-up": 1 + measured.index(max(measured))}


def test_patience_without_validation_exams_is_an_error(cohort: Cohort) -> None:
    settings = with_changes(cohort.settings, PLAIN | {"stages": [WARM_UP | {"patience": 1}]})
    with pytest.raises(TrainingError, match="patience: got one without validation exams, expected exams to measure"):
        fit(settings, cohort.data.split("train"), silent)


def test_later_cycles_leave_out_the_first_stage_unless_it_is_the_only_one(cohort: Cohort) -> None:
    both = with_changes(cohort.settings, {"cycles": 3})
    assert [leg.title for leg in legs(both)] == ["warm-up", "joint", "joint, cycle 2", "joint, cycle 3"]
    assert [leg.ends_cycle for leg in legs(both)] == [False, True, True, True]
    assert [leg.number for leg in legs(both)] == [1, 2, 3, 4]
    single = with_changes(cohort.settings, PLAIN | {"cycles": 2})
    assert [leg.title for leg in legs(single)] == ["warm-up", "warm-up, cycle 2"]


def test_every_cycle_projects_and_the_next_one_descends_from_there(cohort: Cohort) -> None:
    one, two = fitted(cohort, {}), fitted(cohort, {"cycles": 2})
    (first,) = two.protocol["earlier_cycles"]  # type: ignore[misc]
    assert first["projection"] == one.protocol["projection"]
    assert first["last_layer"] == one.protocol["last_layer"]
    history = two.protocol["stages"]
    assert isinstance(history, dict)
    # On their own patches prototypes are nearer to their images than after a warm-up that only pulled them there.
    assert history["warm-up, cycle 2"][0]["cluster"] != history["warm-up"][-1]["cluster"]
    assert two.protocol["projection"] != one.protocol["projection"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("pruning", {"pruning": {"neighbours": 32, "sharing": 32}}),
        ("merging", {"merging": {"squared_distance": 1e6}}),
    ],
)
def test_prototypes_that_go_take_their_sources_and_weights_along(
    cohort: Cohort, name: str, changes: dict[str, object]
) -> None:
    """No prototype has all images of its class, and all are twins within a million: one of each class is left."""
    plain, found = fitted(cohort, {}), fitted(cohort, changes)
    report: Any = found.protocol[name]
    assert report["dropped_per_class"] == [2, 2]
    assert found.model.prototype_class.tolist() == [0, 1]
    assert found.model.last_layer.shape == (2, 2)
    assert found.training.images.shape[1] == found.training.cells.shape[1] == 2
    before = [vector.tolist() for vector in plain.model.prototypes]
    for vector, source in zip(found.model.prototypes, found.projection.sources, strict=True):
        assert plain.projection.sources.index(source) == before.index(vector.tolist())
    assert report["before"]["objective"] == plain.solution.objective
    assert report["after"]["objective"] == found.solution.objective
    assert report["after"]["objective"] > report["before"]["objective"]
    assert found.solution.kkt_residual <= 1e-6
    images = {source.row.image for source in cohort.data.split("train").sources}
    assert {each["image"] for each in report["dropped"]} <= images
    assert [each["class"] for each in report["dropped"]] == ["not malignant"] * 2 + ["malignant"] * 2


def test_bfloat16_training_gives_a_bundle_that_scores(cohort: Cohort, tmp_path: Path) -> None:
    weights = {}
    for precision in ("32-true", "bf16-mixed"):
        cohort.run(tmp_path / precision, **PLAIN, precision=precision)
        bundle = load_bundle(tmp_path / precision)
        assert {value.dtype for value in bundle.model.state_dict().values()} <= {torch.float32, torch.int64}
        weights[precision] = bundle.model.add_on[0].weight
    assert not torch.equal(*weights.values())
    assert torch.allclose(*weights.values(), atol=0.05)
    rows = [row for row in cohort.manifest.rows if row.patient == "tiny-13"]
    scored = scorer(bundle)([cohort.manifest.file(row) for row in rows], pseudonym)
    assert torch.isfinite(torch.tensor(scored.prediction.margin))
    # Measured on the images read anew: projection and bundle are float32.
    assert max(entry.source.distance for entry in bundle.manifest.prototypes) < 1e-6


def test_summary_tells_cycles_patience_pruning_and_seconds(cohort: Cohort, tmp_path: Path) -> None:
    cohort.run(tmp_path / "run")
    said = summary(read_bundle_manifest(tmp_path / "run")[1], [1.5, 2.5])
    for part in (
        "; kept epoch ",
        "stage 1, joint, cycle 2: 2 epochs",
        "cycle 1, stage 3: ",
        "descent: 4 s in 2 epochs",
    ):
        assert part in said
    for name in ("pruning", "merging"):
        assert f"\n{name}: " in said
    assert len(said.splitlines()) < 24


def test_class_without_a_training_image_is_named(cohort: Cohort) -> None:
    data = cohort.data.split("train")
    normal = data.select([i for i, label in enumerate(data.labels.tolist()) if label == 0])
    with pytest.raises(TrainingError, match="classes: got no training image of 'malignant', expected at least one of"):
        fit(with_changes(cohort.settings, PLAIN), normal, silent)


def test_validation_exams_of_one_class_end_a_run_before_it_trains(cohort: Cohort) -> None:
    data = cohort.data.split("val")
    normal = data.select([i for i, source in enumerate(data.sources) if source.row.patient in {"tiny-08", "tiny-10"}])
    with pytest.raises(TrainingError, match="validation: got 0 exams of 'malignant' and 2 others, expected at least"):
        check_validation(cohort.settings, normal)


def test_loss_that_is_no_number_leaves_no_bundle(cohort: Cohort, tmp_path: Path) -> None:
    steep = WARM_UP | {"learning_rates": {"add_on": 1e30, "prototypes": 1e30}, "optimizer": "sgd"}
    with pytest.raises(TrainingError, match=r"stage 'warm-up', epoch \d: the loss is not finite, expected a number"):
        cohort.run(tmp_path / "run", **PLAIN | {"stages": [steep]})
    assert not (tmp_path / "run" / "bundle").exists()


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("medproto.training.run_folder:write_checkpoint", "run: cannot write checkpoint.pt (File too large), expected"),
        ("medproto.training.run_folder:tell_epoch", "run: cannot write metrics.jsonl (File too large), expected"),
        ("medproto.training.run:save_bundle", "bundle: cannot write 'bundle' (File too large)"),
    ],
)
def test_disk_without_room_ends_with_one_sentence_and_no_bundle(
    cohort: Cohort, tmp_path: Path, where: str, sentence: str
) -> None:
    """A process that may write no larger file meets the very error of a full disk, but for its number."""
    folder, said = tmp_path / "run", tmp_path / "said"
    child = os.fork()
    if not child:
        at(where, 2 if "run_folder" in where else 1, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)))
        try:
            cohort.run(folder)
        except MedprotoError as err:
            said.write_text(str(err), encoding="utf-8")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert said.read_text(encoding="utf-8").startswith(sentence)
    assert not (folder / "bundle").exists()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    cohort.run(folder)
    load_bundle(folder)


def test_command_takes_the_manifest_of_its_configuration_and_a_finished_run_is_left_alone(
    cohort: Cohort, tmp_path: Path
) -> None:
    rows = [row for row in cohort.manifest.rows if row.patient in {"tiny-00", "tiny-01", "tiny-08", "tiny-09"}]
    moved = [row.model_copy(update={"path": str(cohort.manifest.file(row))}) for row in rows]
    write_manifest(tmp_path / "few.csv", moved)
    settings = with_changes(cohort.settings, PLAIN)
    config, folder = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(
        yaml.safe_dump(settings.model_dump(mode="json") | {"data": "few.csv"}, sort_keys=False), encoding="utf-8"
    )
    command = CliRunner()
    first = command.invoke(app, ["train", str(config), "--out", str(folder), "--set", "seed=4"], catch_exceptions=False)
    identity = load_bundle(folder).bundle_id
    assert f"run: bundle {identity}" in first.output
    assert load_bundle(folder).manifest.data_digest == read_manifest(tmp_path / "few.csv").digest
    assert load_bundle(folder).manifest.training["settings"]["seed"] == 4  # type: ignore[index,call-overload]
    assert str(tmp_path / "few") not in (folder / "bundle" / "manifest.json").read_text(encoding="utf-8")
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    before = bundle_files(folder)
    again = command.invoke(app, ["train", "--resume", str(folder)], catch_exceptions=False)
    assert again.output == f"{folder}: finished before, bundle {identity}\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == kept
    assert bundle_files(folder) == before
    with pytest.raises(TrainingError, match="'run' holds a run, expected a new folder"):
        command.invoke(app, ["train", str(config), "--out", str(folder)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "train: got no configuration, expected a YAML file, or --resume"),
        (["configs/phantom.yaml"], "train: got no manifest, expected one after the configuration or in its key"),
        (["configs/phantom.yaml", "--resume", "run"], "resume: got more than a run's folder, expected it alone"),
        (["--resume", "run", "--set", "seed=1"], "resume: got more than a run's folder, expected it alone"),
    ],
)
def test_command_that_is_incomplete_or_contradicts_itself_is_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        CliRunner().invoke(app, ["train", *arguments], catch_exceptions=False)


def test_the_first_process_alone_writes() -> None:
    told = {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    assert is_first({})
    assert is_first(told | {"RANK": "0"})
    assert not is_first(told | {"RANK": "1"})
