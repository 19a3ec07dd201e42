"""Several processes append to one ledger at once: nothing lost, no gap, everything verified."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.database import open_engine, read_url
from audit.findings import Knowledge
from audit.identity import pseudonym
from audit.ledger import create_ledger
from audit.room import open_room
from audit.signing import create_keys
from audit.verification import verify

REPOSITORY = Path(__file__).parents[2]
PROCESSES, APPENDS = 4, 50


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_concurrent_appends_are_gapless(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = tmp_path / "l.sqlite" if database == "sqlite" else str(request.getfixturevalue("postgresql"))
    signer = create_keys(tmp_path / "keys")
    ledger = create_ledger(where, signer, {})
    command = [sys.executable, "-m", "tests.audit.appending", str(where), str(tmp_path / "keys"), str(APPENDS)]
    processes = [
        subprocess.Popen([*command, f"actor-{i}"], cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
        for i in range(PROCESSES)
    ]
    assert [process.wait() for process in processes] == [0] * PROCESSES
    entries = ledger.entries()
    assert [entry.number for entry in entries] == list(range(1 + PROCESSES * APPENDS, 0, -1))
    assert Counter(e.actor for e in entries[:-1]) == {f"actor-{i}": APPENDS for i in range(PROCESSES)}
    result = verify(ledger, Knowledge((signer.public,)))
    ledger.close()
    assert result.faults == ()
    assert result.checkpoints == 1 + PROCESSES * APPENDS


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
