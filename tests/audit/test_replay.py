"""A replay agrees where the prediction comes out again, and names the field where it does not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from audit.cli import app
from audit.entries import EntryDraft
from audit.payloads import DatasetRegistered
from audit.replay import Rerun, replay, replay_all, sources_of
from audit.room import BundleScorer, Room, open_room
from audit.service import register, score_exam
from medproto.commands.region import read_region
from medproto.errors import CannotReplay, EmptyExam, EntryNotFound, InputError
from medproto.predict import scorer
from medproto.records import Prediction, Scored
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, checked, make_scored, scorer_of
from tests.factories import Trained, train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A cohort and the bundle that was trained on it."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def scored_home(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room in which the tiny bundle scored one exam: entry 3."""
    home = tmp_path_factory.mktemp("scored") / "home"
    bundle = trained.bundle()
    with open_room(home, create=True) as room:
        judge = BundleScorer(bundle.bundle_id, bundle.manifest.name, scorer(bundle))
        assert score_exam(room, trained.paths(), judge, READER).kind == "prediction"
    return home


def run(home: Path, bundle: Path, *words: str) -> Result:
    """The command, with its output on one string of lines."""
    return CliRunner().invoke(app, ["replay", "--bundle", str(bundle), "--home", str(home), *words])


def test_a_real_exam_comes_out_again_to_the_last_digit(scored_home: Path, trained: Trained) -> None:
    folder = str(trained.manifest.path.parent)
    done = run(scored_home, trained.bundle_path, "3", folder)
    assert (done.exit_code, done.stdout) == (
        0,
        "entry 3: agrees: same software and processor, every number equal\n",
    ), done.output
    with open_room(scored_home) as room:
        assert room.ledger.count() == 3


def test_sources_are_found_in_a_registered_data_set(scored_home: Path, trained: Trained, tmp_path: Path) -> None:
    home = Path(shutil.copytree(scored_home, tmp_path / "home"))
    done = run(home, trained.bundle_path, "3")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "entry 3: 4 of its 4 source files are not at hand" in done.stderr
    manifest = trained.manifest
    with open_room(home) as room:
        payload = {"name": "tiny", "licence": "Apache-2.0", "patients": 14, "images": 56}
        register(
            room,
            DatasetRegistered(manifest_digest=manifest.digest, manifest_path=str(manifest.path), **payload),
            READER,
        )
    done = run(home, trained.bundle_path, "--all")
    assert (done.exit_code, "agrees" in done.stdout) == (0, True), done.output


def test_an_altered_source_file_is_not_at_hand(scored_home: Path, trained: Trained, tmp_path: Path) -> None:
    for path in trained.paths():
        shutil.copy(path, tmp_path)
    victim = tmp_path / trained.paths()[0].name
    victim.write_bytes(victim.read_bytes()[:-1] + b"\7")
    done = run(scored_home, trained.bundle_path, "3", str(tmp_path))
    assert done.exit_code == 2
    assert "1 of its 4 source files are not at hand" in done.stderr


@pytest.fixture
def files(room: Room, tmp_path: Path) -> dict[str, Path]:
    """A file for every digest that the filled room's predictions name; the reruns below never open them."""
    return {digest: tmp_path for number in (3, 5, 7) for digest in sources_of(room, number)}


def rerun_to(scored: Scored, **changes: Any) -> Rerun:
    """A rerun that comes out as this exam with some fields replaced."""
    fields = scored.prediction.model_dump() | changes
    again = Scored(Prediction.model_validate(fields), scored.pictures)
    return Rerun(BUNDLE_ID, lambda paths, blanked: again)


def fields_that_differ(room: Room, files: dict[str, Path], rerun: Rerun) -> set[str]:
    """Fields that a replay of entry 3 names."""
    return {difference.field for difference in replay(room, 3, rerun, files).differences}


def shifted(scored: Scored, by: float) -> dict[str, Any]:
    """Logits that lie off by so much, all else being equal."""
    return {"logits": {name: value + by for name, value in scored.prediction.logits.items()}}


def test_equal_on_the_same_software_and_within_a_tolerance_on_others(room: Room, files: dict[str, Path]) -> None:
    scored = make_scored("flagged", exam="0")
    other = {"software": scored.prediction.software | {"processor": "another"}}
    assert replay(room, 3, rerun_to(scored), files).agrees
    assert fields_that_differ(room, files, rerun_to(scored, **shifted(scored, 1e-6))) == {
        "logits.malignant",
        "logits.not malignant",
    }
    near = replay(room, 3, rerun_to(scored, **shifted(scored, 1e-6), **other), files)
    assert (near.agrees, near.same_software) == (True, False)
    assert near.farthest == pytest.approx(1e-6)
    far = replay(room, 3, rerun_to(scored, **shifted(scored, 1e-3), **other), files)
    assert [difference.sentence for difference in far.differences] == [
        "logits.malignant: lies up to 0.001 off",
        "logits.not malignant: lies up to 0.001 off",
    ]


def test_every_field_that_matters_is_compared(room: Room, files: dict[str, Path]) -> None:
    scored = make_scored("flagged", exam="0")
    first, second, *others = scored.prediction.matches
    image, *images = scored.prediction.images
    box = first.box.model_copy(update={"bottom": first.box.bottom + 1})
    rendering = image.rendering.model_copy(update={"inverted": True})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"decision": "not flagged"}, "decision"),
        ({"probability": 0.5}, "probability"),
        ({"matches": (second, first, *others)}, "matches.prototype_id"),
        ({"matches": (first.model_copy(update={"box": box}), second, *others)}, "matches.box.bottom"),
        ({"matches": (first.model_copy(update={"cell": (0, 0)}), second, *others)}, "matches.cell"),
        ({"matches": (first.model_copy(update={"image_id": images[0].image_id}), second, *others)}, "matches.image_id"),
        ({"images": (image.model_copy(update={"pixels_sha256": "0" * 64}), *images)}, "images.pixels_sha256"),
        ({"images": (image.model_copy(update={"rendering": rendering}), *images)}, "images.rendering.inverted"),
        ({"images": (image.model_copy(update={"findings": ()}), *images)}, "images.findings"),
    ]
    assert first.image_id == image.image_id
    for changes, field in cases:
        assert field in fields_that_differ(room, files, rerun_to(scored, **changes)), field


def test_what_an_old_entry_does_not_hold_is_not_compared(room: Room, files: dict[str, Path]) -> None:
    scored = checked(make_scored("flagged", exam="0"))
    old = scored.prediction.model_dump(mode="json") | {"schema_version": 1}
    old["matches"] = [{name: value for name, value in match.items() if name != "blanking"} for match in old["matches"]]
    draft = EntryDraft("prediction", {"intent": 2, "prediction": old}, READER.name, READER.role)
    number = room.ledger.append([draft])[0].number
    asked: list[bool] = []

    def score(paths: Sequence[Path], blanked: bool) -> Scored:
        asked.append(blanked)
        return scored

    assert replay(room, number, Rerun(BUNDLE_ID, score), files).agrees
    assert asked == [False]


def test_blanked_boxes_are_compared_where_the_entry_holds_them(
    room: Room, files: dict[str, Path], tmp_path: Path
) -> None:
    scored = checked(make_scored("flagged", exam="0"))
    judge = BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(scored))
    file = tmp_path / "0.dcm"
    file.write_bytes(b"file 0")
    number = score_exam(room, [file], judge, READER).number
    other = checked(make_scored("flagged", exam="0"), 0)
    asked: list[bool] = []

    def score(paths: Sequence[Path], blanked: bool) -> Scored:
        asked.append(blanked)
        return other

    found = replay(room, number, Rerun(BUNDLE_ID, score), files)
    assert [difference.field for difference in found.differences] == ["matches.blanking.as_strong"]
    assert asked == [True]


def test_another_bundle_or_an_absent_file_cannot_be_replayed(room: Room, files: dict[str, Path]) -> None:
    rerun = rerun_to(make_scored("flagged", exam="0"))
    with pytest.raises(CannotReplay, match="entry 3: got bundle 000000000000…, expected"):
        replay(room, 3, Rerun("0" * 64, rerun.score), files)
    with pytest.raises(CannotReplay, match="entry 3: 4 of its 4 source files are not at hand"):
        replay(room, 3, rerun, {})
    with pytest.raises(EntryNotFound, match="entry 2: is of kind intent"):
        replay(room, 2, rerun, files)


def test_an_exam_that_cannot_be_scored_any_more(room: Room, files: dict[str, Path]) -> None:
    def empty(paths: Sequence[Path], blanked: bool) -> Scored:
        raise EmptyExam("Nothing in the exam can be scored.")

    def several(paths: Sequence[Path], blanked: bool) -> Scored:
        raise InputError("The files of one exam: got 2 patients, expected 1.")

    found = replay(room, 3, Rerun(BUNDLE_ID, empty), files)
    assert [difference.sentence for difference in found.differences] == ["images that can be scored: differs"]
    with pytest.raises(CannotReplay, match="entry 3: The files of one exam: got 2 patients"):
        replay(room, 3, Rerun(BUNDLE_ID, several), files)


def test_all_goes_on_where_one_cannot_be_replayed(room: Room, files: dict[str, Path]) -> None:
    gone = sources_of(room, 5)[0]
    steps: list[tuple[int, int]] = []
    left = {digest: path for digest, path in files.items() if digest != gone}
    rerun = rerun_to(make_scored("flagged", exam="0"))
    results = replay_all(room, [3, 5, 7], (rerun, left), lambda done, total: steps.append((done, total)))
    assert [isinstance(result, CannotReplay) for result in results] == [False, True, False]
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_the_command_says_in_one_sentence_why_it_cannot_replay(home: Path, trained: Trained) -> None:
    done = run(home, trained.bundle_path, "3", str(trained.paths()[0]))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "got bundle" in done.stderr
    assert run(home, trained.bundle_path, "nonsense").exit_code == 2
    words = "source: got a path that does not exist, expected files or folders\n"
    assert run(home, trained.bundle_path, "3", "/nowhere").stderr.endswith(words)


def test_what_was_scored_with_a_region_is_replayed_with_it(scored_home: Path, trained: Trained, tmp_path: Path) -> None:
    home, bundle, paths = Path(shutil.copytree(scored_home, tmp_path / "home")), trained.bundle(), trained.paths()
    judge = BundleScorer(bundle.bundle_id, bundle.manifest.name, scorer(bundle, read_region("40,20,150,120")))
    with open_room(home) as room:
        number = score_exam(room, paths, judge, READER).number
    words = (str(number), *map(str, paths))
    assert run(home, trained.bundle_path, *words, "--region", "40,20,150,120").exit_code == 0
    done = run(home, trained.bundle_path, *words)
    assert (done.exit_code, "images.rendering.crop" in done.stdout) == (1, True)
    assert "region: got '1,2'" in run(home, trained.bundle_path, *words, "--region", "1,2").stderr
