"""A worker killed at any moment never showed a prediction that is not in the ledger, and the ledger verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.room import Room, open_room, verify_room
from tests.audit.attacks.killing import kill_at_random_moments, lines_until, prepare_exams, worker

KILLS = 10


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared exams, so that the worker itself needs no numpy."""
    return prepare_exams(tmp_path_factory.mktemp("exams"))


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
    killed = kill_at_random_moments(tmp_path / "home", exams, KILLS, seed=20)
    assert killed.lost == ()
    assert killed.verification.faults == ()
    intents, answers = killed.kinds["intent"], killed.kinds["prediction"]
    assert 0 < killed.shown <= answers <= intents
    assert killed.open_intents == intents - answers <= KILLS
