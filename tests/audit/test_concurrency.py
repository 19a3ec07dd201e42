"""Several processes append to one ledger at once: nothing lost, no gap, everything verified."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.database import open_engine, read_url
from audit.identity import pseudonym
from audit.ledger import create_ledger
from audit.room import open_room
from audit.signing import create_keys
from tests.audit.attacks.killing import REPOSITORY
from tests.audit.attacks.racing import append_at_once

PROCESSES, APPENDS = 4, 50


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_concurrent_appends_are_gapless(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = tmp_path / "l.sqlite" if database == "sqlite" else str(request.getfixturevalue("postgresql"))
    raced = append_at_once(where, tmp_path, PROCESSES, APPENDS)
    assert raced.exits == (0,) * PROCESSES
    assert raced.numbers == tuple(range(1, 2 + PROCESSES * APPENDS))
    assert raced.actors == {f"actor-{i}": APPENDS for i in range(PROCESSES)}
    assert raced.verification.faults == ()
    assert raced.verification.checkpoints == 1 + PROCESSES * APPENDS


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_patient_has_one_secret_whoever_asks_first(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = tmp_path / "l.sqlite" if database == "sqlite" else str(request.getfixturevalue("postgresql"))
    create_ledger(where, create_keys(tmp_path / "keys"), {}).close()
    engines = [open_engine(read_url(where)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(lambda engine: pseudonym(engine, "P1", "exam", "E1"), engines))
    for engine in engines:
        engine.dispose()
    assert len(names) == 1


def test_two_processes_that_create_a_room_make_one(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from audit.room import open_room; "
    code += "open_room(Path(sys.argv[1]), create=True).close()"
    home = tmp_path / "home"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(home)], cwd=REPOSITORY) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with open_room(home) as room:
        assert room.ledger.count() == 1
