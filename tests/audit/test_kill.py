"""A worker killed at any moment never showed a prediction that is not in the ledger, and the ledger verifies."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit.room import Room, open_room, verify_room
from tests.audit.factory import make_scored

REPOSITORY = Path(__file__).parents[2]
KILLS = 10


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared exams, so that the worker itself needs no numpy."""
    path = tmp_path_factory.mktemp("exams") / "exams.pickle"
    path.write_bytes(pickle.dumps([make_scored(exam=str(i), prototypes=2) for i in range(3)]))
    return path


@contextmanager
def worker(home: Path, point: str, exams: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker process that waits at this point; killed with SIGKILL on leaving."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.audit.blocking", str(home), point, str(exams)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """What the worker says up to this line."""
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line.strip())
        if lines[-1] == last:
            return lines
    raise AssertionError(f"the worker ended after {lines}")


def kinds(room: Room) -> list[str]:
    """Kinds of all entries, oldest first."""
    return [entry.kind for entry in reversed(room.ledger.entries())]


@pytest.mark.parametrize(
    ("point", "written", "open_intents"),
    [
        ("intent", ["intent"], 1),
        ("scored", ["intent"], 1),
        ("uncommitted", ["intent"], 1),
        ("result", ["intent", "prediction"], 0),
        ("shown", ["intent", "prediction"], 0),
    ],
)
def test_killed_at_a_known_point(
    tmp_path: Path, exams: Path, point: str, written: list[str], open_intents: int
) -> None:
    home = tmp_path / "home"
    open_room(home, create=True).close()
    with worker(home, point, exams) as process:
        said = lines_until(process, f"at {point}")
    with open_room(home) as room:
        assert kinds(room) == ["ledger created", *written]
        result = verify_room(room)
        assert result.faults == ()
        assert sum("intent without a result" in notice for notice in result.notices) == open_intents
        shown = [int(line.split()[1]) for line in said if line.startswith("shown")]
        assert all(room.ledger.entry(number).kind == "prediction" for number in shown)
        assert bool(shown) == (point == "shown")


def test_killed_at_random_moments(tmp_path: Path, exams: Path) -> None:
    home = tmp_path / "home"
    open_room(home, create=True).close()
    moments = random.Random(20)
    shown: list[int] = []
    for _ in range(KILLS):
        with worker(home, "none", exams) as process:
            lines_until(process, "ready")
            time.sleep(moments.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            said = [line.split() for line in process.stdout or ()]
        shown += [int(words[1]) for words in said if words[0] == "shown"]
    with open_room(home) as room:
        assert all(room.ledger.entry(number).kind == "prediction" for number in shown)
        result = verify_room(room)
        assert result.faults == ()
        intents, answers = kinds(room).count("intent"), kinds(room).count("prediction")
        assert len(shown) <= answers <= intents
        assert sum("intent without a result" in notice for notice in result.notices) == intents - answers
        assert intents - answers <= KILLS
