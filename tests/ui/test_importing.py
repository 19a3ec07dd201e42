"""Imports: real exams scored by the one process of a server."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.service import Actor, LedgerFilter, ledger_page, open_room, verify_room
from medproto.errors import InputError
from medproto.import_step import ImportStep, ImportSteps
from tests.factories import Trained, train_tiny
from tests.ui.test_unpacking import kept, zipped
from ui import importing
from ui.importing import begin, go_on, imports, remove_files, set_aside
from ui.scoring_line import Line, Target, hold, line

#: Far more than any import here takes, on a machine that is busy with other things too.
WAIT_S = 240
ADA = Actor("ada", "reader")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A cohort of real files with a bundle trained on it."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def target(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A room and that bundle; all tests share it, for a process that scores takes seconds to begin."""
    home = tmp_path_factory.mktemp("importing") / "home"
    open_room(home, create=True).close()
    return Target(home, None, trained.bundle_path)


def exams_of(trained: Trained, *patients: int) -> list[tuple[str, io.BytesIO]]:
    """Uploads of one exam of four views for each of these patients."""
    return [("x.dcm", io.BytesIO(path.read_bytes())) for p in patients for path in trained.paths(p)]


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds; what is waited for takes less than a second, and much longer on a busy machine."""
    until = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_what_was_cut_off_while_it_was_set_aside_is_removed_after_a_day(tmp_path: Path) -> None:
    cut, fresh = (set_aside(tmp_path, [("a.dcm", io.BytesIO(b""))]) for _ in range(2))
    os.utime(cut, (0, 0))
    set_aside(tmp_path, [])
    assert (cut.exists(), fresh.exists()) == (False, True)


def test_an_import_that_keeps_files_is_listed_however_old_it_is(tmp_path: Path) -> None:
    folders = [set_aside(tmp_path, []) for _ in range(12)]
    for place, folder in enumerate(folders):
        (folder / "order.json").write_text('{"who": "ada", "files": 1}', "utf-8")
        (folder / "ended").write_text("1", "utf-8")
        if place != 1:
            (folder / "files").rmdir()
    assert [one.folder for one in imports(tmp_path)] == [*reversed(folders[-8:]), folders[1]]


def test_an_import_is_scored_in_the_readers_name_and_its_files_are_removed(trained: Trained, target: Target) -> None:
    good = trained.paths()[0].read_bytes()
    folder = set_aside(target.home, [("exam.zip", zipped(**{"good.dcm": good, "bad.dcm": b"no DICOM"}))])
    assert folder not in [one.folder for one in imports(target.home)]
    assert begin(folder, target, ADA).wait(WAIT_S)
    done = imports(target.home)[0]
    assert (done.who, done.files, done.exams, done.ended, done.kept) == ("ada", 2, 2, 3, False)
    assert done.step is None
    # What was refused was read too.
    assert ImportStep.from_file(folder / "step.json") == ImportStep(exam=2, read=1, of=1, images=2, total=2)
    with open_room(target.home) as room:
        kinds = {room.ledger.entry(number).kind for number in done.entries}
        actors = {(e.actor, e.role) for e in ledger_page(room, LedgerFilter(kind="intent")).entries}
    assert kinds == {"prediction", "refusal"}
    assert actors == {("ada", "reader")}
    assert not any(name.endswith(".dcm") for name in kept(folder))


def test_the_steps_of_an_import_that_goes_on_count_what_was_done_before(tmp_path: Path) -> None:
    steps, file = ImportSteps(), tmp_path / "step.json"
    steps.begin(file, (4, 1, 3), 1)
    assert ImportStep.from_file(file) is None
    seen = []
    for size in (1, 3):
        steps.next_exam()
        seen.append(ImportStep.from_file(file))
        for _ in range(size):
            steps.image_read()
            seen.append(ImportStep.from_file(file))
    told = [(one.exam, one.read, one.of, one.images, one.total) for one in seen if one]
    assert told == [(2, 0, 1, 4, 8), (2, 1, 1, 5, 8), *((3, read, 3, 5 + read, 8) for read in range(4))]


def test_no_exam_is_lost_because_how_far_it_is_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    steps = ImportSteps()
    steps.begin(tmp_path / "gone" / "step.json", (1,), 0)
    steps.next_exam()
    steps.image_read()
    assert "cannot be written (No such file or directory)" in caplog.text


def test_imports_are_scored_one_after_the_other_by_the_same_process(
    trained: Trained, target: Target, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for place, path in enumerate(trained.paths()):
        (inbox / f"{place}.dcm").write_bytes(path.read_bytes())
    (inbox / "notes.txt").write_text("no image", "utf-8")
    folders = [set_aside(target.home, exams_of(trained, 13)), set_aside(target.home, [])]
    first = begin(folders[0], target, ADA)
    second = begin(folders[1], target, ADA, inbox)
    assert [(one.folder, one.ended, one.ahead) for one in imports(target.home, 2)] == [
        (folders[1], None, 1),
        (folders[0], None, 0),
    ]
    assert first.wait(WAIT_S)
    process = line().pid
    assert process is not None
    assert not second.is_set()
    assert second.wait(WAIT_S)
    assert line().pid == process
    assert [(one.exams, one.ended, one.passed_over) for one in imports(target.home, 2)] == [(1, 0, 1), (1, 0, 0)]
    assert len(kept(inbox)) == 5


def test_an_import_whose_process_is_killed_is_said_kept_and_scored_further(trained: Trained, target: Target) -> None:
    folder = set_aside(target.home, exams_of(trained, 1, 2, 3, 4))
    ended = begin(folder, target, ADA)
    eventually(lambda: len(imports(target.home)[0].entries) >= 1)
    killed = line().pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert ended.wait(WAIT_S)
    cut = imports(target.home)[0]
    assert (cut.ended, cut.exams, cut.kept) == (1, 4, True)
    assert cut.said == "the process that scores died in this import (signal SIGKILL)"
    assert 1 <= len(cut.entries) < 4
    behind = set_aside(target.home, exams_of(trained, 5))
    first, second = begin(behind, target, ADA), go_on(cut, target, ADA)
    assert [(one.folder, one.ahead) for one in imports(target.home, 2)] == [(behind, 0), (folder, 1)]
    assert first.wait(WAIT_S)
    assert second.wait(WAIT_S)
    whole = imports(target.home)[1]
    assert (whole.ended, len(whole.entries), whole.kept) == (0, 4, False)
    assert whole.entries[: len(cut.entries)] == cut.entries
    assert line().pid != killed
    with open_room(target.home) as room:
        assert verify_room(room).verified
        exams = {room.ledger.entry(number).exam_id for number in whole.entries}
    assert len(exams) == 4


def test_an_import_of_a_server_that_lives_is_left_alone(tmp_path: Path) -> None:
    folder = set_aside(tmp_path, [("a.dcm", io.BytesIO(b""))])
    (folder / "order.json").write_text('{"who": "ada", "files": 1}', "utf-8")
    held = hold(folder / "order.json")
    assert held is not None
    (waiting,) = imports(tmp_path)
    assert (waiting.ended, waiting.kept) == (None, False)
    with pytest.raises(InputError, match="it is being scored again"):
        remove_files(waiting)
    os.close(held)
    (left,) = imports(tmp_path)
    assert "the server was stopped" in left.said
    assert left.kept
    assert kept(folder) == ["000001.dcm", "order.json"]


def test_the_process_goes_with_its_server_after_the_exam_at_hand(trained: Trained, target: Target) -> None:
    folder = set_aside(target.home, exams_of(trained, 1, 2, 3, 4))
    progress = folder / "progress.jsonl"
    told = {"source": str(folder / "files"), "progress": str(progress), "actor": "ada", "role": "reader", "done": 0}
    command = [sys.executable, "-m", "medproto.score_worker", str(target.bundle), str(target.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()
        eventually(lambda: progress.exists() and "entry" in progress.read_text("utf-8"))
        process.stdin.close()
        assert json.loads(process.stdout.read()) == {
            "status": 2,
            "said": "the server was stopped before this import ended",
            "goes": True,
        }
        assert process.wait(30) == 0
    assert 1 <= progress.read_text("utf-8").count("entry") < 4
    with open_room(target.home) as room:
        assert verify_room(room).verified
        assert room.ledger.entry(room.ledger.count()).kind == "prediction", "the exam at hand was brought to its end"


def test_a_server_that_goes_waits_for_the_exam_at_hand(
    trained: Trained, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = Line()
    monkeypatch.setattr(importing, "line", lambda: going)
    folder = set_aside(target.home, exams_of(trained, 6, 7, 8, 9))
    cut = begin(folder, target, ADA)
    behind = begin(set_aside(target.home, exams_of(trained, 10)), target, ADA)
    eventually(lambda: len(imports(target.home)[1].entries) >= 1)
    going.leave()
    assert cut.is_set()
    assert going.pid is None
    one = imports(target.home)[1]
    assert (one.ended, one.said, one.kept) == (2, "the server was stopped before this import ended", True)
    assert 1 <= len(one.entries) < 4
    with open_room(target.home) as room:
        assert room.ledger.entry(room.ledger.count()).kind == "prediction"
    assert not behind.is_set()


def test_the_files_of_an_import_that_ended_early_can_be_removed(trained: Trained, target: Target) -> None:
    folder = set_aside(target.home, exams_of(trained, 1))
    no_bundle = Target(target.home, None, target.home / "nowhere")
    behind = begin(set_aside(target.home, exams_of(trained, 2)), no_bundle, ADA)
    assert begin(folder, no_bundle, ADA).wait(WAIT_S)
    other, cut = imports(target.home)[:2]
    assert (cut.ended, cut.exams, cut.kept) == (2, None, True)
    assert cut.said.startswith("bundle")
    assert behind.is_set()
    assert other.said == cut.said, "each of them is told why, and not that the process died"
    remove_files(cut)
    left = imports(target.home)[1]
    assert (left.said, left.kept) == (cut.said, False)
    with pytest.raises(InputError, match="its files were removed"):
        go_on(left, target, ADA)
