"""Several processes append to one ledger at once: nothing lost, no gap, everything verified."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.database import close_engine, open_engine, read_url
from audit.entries import EntryDraft
from audit.identity import pseudonym
from audit.ledger import create_ledger, open_ledger
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
        close_engine(engine)
    assert len(names) == 1


def test_two_processes_that_create_a_room_make_one(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from audit.room import open_room; "
    code += "open_room(Path(sys.argv[1]), create=True).close()"
    home = tmp_path / "home"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(home)], cwd=REPOSITORY) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with open_room(home) as room:
        assert room.ledger.count() == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_threads_that_open_and_close_one_ledger_leave_each_other_alone(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = tmp_path / "l.sqlite" if database == "sqlite" else str(request.getfixturevalue("postgresql"))
    signer = create_keys(tmp_path / "keys")
    create_ledger(where, signer, {}).close()

    def append(place: int) -> int:
        with open_ledger(where, signer) as ledger:
            before = ledger.count()
            (entry,) = ledger.append([EntryDraft("exam opened", {"place": place}, f"actor-{place}", "reader")])
            return entry.number if ledger.count() > before else 0

    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(append, range(60)))
    assert sorted(numbers) == list(range(2, 62))


def test_a_process_has_one_engine_for_a_ledger_and_its_child_another(tmp_path: Path) -> None:
    (tmp_path / "l.sqlite").touch()
    url = read_url(tmp_path / "l.sqlite")
    engine = open_engine(url)
    assert open_engine(url) is engine
    child = os.fork()
    if child == 0:
        os._exit(0 if open_engine(url) is not engine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_entry_goes_into_the_ledger_that_was_put_back_though_the_one_before_is_still_open(tmp_path: Path) -> None:
    where, backup = tmp_path / "l.sqlite", tmp_path / "backup.sqlite"
    signer = create_keys(tmp_path / "keys")
    create_ledger(where, signer, {}).close()
    shutil.copy(where, backup)
    with open_ledger(where, signer) as before:
        assert before.count() == 1
        for part in ("-wal", "-shm"):  # moved aside, as a restore does with what was there
            os.replace(f"{where}{part}", f"{tmp_path / 'aside'}{part}")
        os.replace(backup, where)
        with open_ledger(where, signer) as now:
            now.append([EntryDraft("exam opened", {}, "ada", "reader")])
    with open_ledger(where, signer) as later:
        assert later.count() == 2
