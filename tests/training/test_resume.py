"""A run that is killed at any moment ends, gone on with, in the bundle it would have had: equal bytes, nothing twice.

Every kill is a SIGKILL of a real process, as it is about to do the named thing for the n-th time.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from medproto.bundle import load_bundle
from medproto.errors import BundleError, TrainingError
from medproto.training.journal import BOARD, EVENTS, METRICS
from medproto.training.run_folder import CHECKPOINT, CONFIG, begin, settings_of
from tests.training.runs import Cohort, bundle_files, told, with_changes, write_short_cohort

#: Where a process dies, one after the other, in the order of a run.
DEATHS = (
    ("medproto.training.run:start_prototypes", 1),
    ("medproto.training.descent:take", 2),  # within an epoch
    ("medproto.training.run_folder:write_checkpoint", 1),  # an epoch is told that no checkpoint holds
    ("medproto.training.checkpoint:os.replace", 3),  # a checkpoint is written but not in its place
    ("medproto.training.descent:joint_batches", 1),  # between two stages
    ("medproto.training.descent:take", 4),
    ("medproto.training.refining:project", 1),  # within a cycle that is not the last
    ("medproto.training.refining:choose", 1),
    ("medproto.training.descent:take", 1),  # where the next one begins
    ("medproto.training.descent:take", 4),
    ("medproto.training.refining:project", 1),
    ("medproto.training.refining:prune", 1),
    ("medproto.training.refining:merge_twins", 1),
    ("medproto.training.run:cut_prototypes", 1),
    ("medproto.training.run_folder:tell_prototypes", 1),
    ("medproto.bundle:Path.write_bytes", 2),  # half a bundle is written
    ("medproto.whole_folder:os.chmod", 1),  # all of it, but it is not in its place
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The tiny cohort, read once."""
    return write_short_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def whole(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    cohort.run(folder)
    return folder


@pytest.fixture
def half(cohort: Cohort, tmp_path: Path) -> Path:
    """The folder of a run that died within its second stage."""
    cohort.run_and_die(tmp_path / "half", "medproto.training.descent:take", 12)
    return tmp_path / "half"


def test_killed_wherever_and_gone_on_with_it_ends_in_equal_bytes(cohort: Cohort, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    for where, times in DEATHS:
        cohort.run_and_die(folder, where, times)
        with pytest.raises(BundleError, match="no readable manifest"):
            load_bundle(folder)
    identity = cohort.run(folder)
    assert bundle_files(folder) == bundle_files(whole)
    assert identity == load_bundle(whole).bundle_id
    assert told(folder) == told(whole)
    assert {path.name for path in folder.iterdir()} == {CONFIG, CHECKPOINT, METRICS, BOARD, "bundle"}


def test_killed_after_any_number_of_steps_it_ends_in_equal_bytes(cohort: Cohort, whole: Path, tmp_path: Path) -> None:
    for steps in (3, 9, 14):
        folder = tmp_path / f"after {steps}"
        cohort.run_and_die(folder, "medproto.training.descent:take", steps)
        cohort.run(folder)
        assert bundle_files(folder) == bundle_files(whole), steps


def test_every_epoch_is_told_once_to_both(cohort: Cohort, whole: Path, half: Path) -> None:
    cohort.run(half)
    rows = told(half)
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert [(row["stage"], row["cycle"]) for row in rows][-1] == ("joint, cycle 2", 2)
    curves: dict[str, list[float]] = {}
    pictures = set()
    for event in LegacyEventFileLoader(str(half / BOARD / EVENTS)).Load():
        for value in event.summary.value:
            if value.HasField("image"):
                pictures.add(value.tag)
            else:
                curves.setdefault(value.tag, []).append(value.simple_value)
    assert curves["epochs/total"] == pytest.approx([row["total"] for row in rows], rel=1e-6)
    expected = [row["validation_auroc"] for row in rows if "validation_auroc" in row]
    assert curves["epochs/validation_auroc"] == pytest.approx(expected)
    entries = load_bundle(half).manifest.prototypes
    assert pictures == {f"prototypes/{entry.prototype_id}" for entry in entries}


def test_protocol_tells_every_cycle_and_what_pruning_cost(whole: Path) -> None:
    bundle = load_bundle(whole)
    protocol = bundle.manifest.training
    assert list(protocol["stages"]) == ["joint", "joint, cycle 2", "warm-up"]  # type: ignore[arg-type]
    assert len(protocol["earlier_cycles"]) == 1  # type: ignore[arg-type]
    for name in ("pruning", "merging"):
        report = protocol[name]
        assert isinstance(report, dict)
        for when in ("before", "after"):
            assert set(report[when]) == {"objective", "training_auroc", "validation_auroc"}  # type: ignore[arg-type]


def test_other_settings_are_refused(cohort: Cohort, half: Path) -> None:
    with pytest.raises(TrainingError, match="settings, manifest or images are not those it began with"):
        cohort.run(half, seed=1)


def test_damaged_checkpoint_is_refused(cohort: Cohort, half: Path) -> None:
    content = (half / CHECKPOINT).read_bytes()
    (half / CHECKPOINT).write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is damaged, expected the file that the run wrote"):
        cohort.run(half)


def test_checkpoint_that_holds_code_is_refused(cohort: Cohort, half: Path) -> None:
    torch.save({"format": 1, "digest": Path("x")}, half / CHECKPOINT)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is damaged, expected the file that the run wrote"):
        cohort.run(half)


def test_folder_that_holds_a_run_or_something_else_is_not_begun_in(cohort: Cohort, half: Path, tmp_path: Path) -> None:
    path = cohort.manifest.path
    with pytest.raises(TrainingError, match="'half' holds a run, expected a new folder, or --resume"):
        begin(half, cohort.settings, path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match="'other' exists and is no run, expected a new folder"):
        begin(other, cohort.settings, path)
    with pytest.raises(TrainingError, match=r"'notes\.txt' is a file, expected a new folder"):
        begin(other / "notes.txt", cohort.settings, path)
    assert (other / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_run_that_got_no_further_than_its_configuration_is_taken_over(cohort: Cohort, tmp_path: Path) -> None:
    folder, path = tmp_path / "run", cohort.manifest.path
    begin(folder, cohort.settings, path)
    begin(folder, with_changes(cohort.settings, {"seed": 3}), path)
    assert settings_of(folder).seed == 3
    assert settings_of(folder).data == path


def test_folder_without_a_run_cannot_be_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no config\.yaml, expected the folder of a run"):
        settings_of(tmp_path)
