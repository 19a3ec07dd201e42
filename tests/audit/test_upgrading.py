"""A ledger of an older schema, on SQLite and on a real PostgreSQL: brought up to date whole, or left as it is."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from audit.backup import Backup, make_backup
from audit.cli import app
from audit.database import close_engine, open_engine, read_url, reading, revision_of
from audit.findings import Knowledge
from audit.ledger import Ledger, open_ledger
from audit.models import DERIVED
from audit.restoring import RestoreOrder, restore
from audit.room import Actor, Room, open_room
from audit.service import Opinion, WorklistFilter, file_digest, review, trace_prototype, worklist_page
from audit.signing import load_signer
from audit.upgrading import derive_again
from audit.verification import verify
from medproto.errors import LedgerTampered, LedgerUnavailable
from tests.audit.attacking import attack
from tests.audit.conftest import READER
from tests.audit.older import write_older


@pytest.fixture(params=["sqlite", "postgresql"])
def older(request: pytest.FixtureRequest, room: Room, tmp_path: Path) -> str | Path:
    """The filled room's ledger in the first schema, on SQLite or on a real server."""
    where = tmp_path / "older.sqlite"
    place = where if request.param == "sqlite" else str(request.getfixturevalue("postgresql"))
    write_older(room.ledger.engine, place)
    return place


@pytest.fixture
def older_home(room: Room, home: Path) -> Path:
    """The filled room with its ledger in the first schema."""
    path = home / "older.sqlite"
    write_older(room.ledger.engine, path)
    room.close()
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    path.replace(home / "ledger.sqlite")
    return home


def tables(ledger: Ledger) -> list[list[tuple[object, ...]]]:
    """Every row of every derived table, in order."""
    with reading(ledger.engine) as conn:
        return [sorted(map(tuple, conn.execute(select(*table.__table__.columns)))) for table in DERIVED]


def bodies(ledger: Ledger) -> list[tuple[int, bytes, str]]:
    """What is signed, and its leaves."""
    return [(entry.number, entry.body, entry.leaf) for entry in ledger.entries()]


def test_an_older_ledger_is_brought_up_to_date_and_verifies(older: str | Path, room: Room) -> None:
    with open_ledger(older, load_signer(room.keys)) as ledger:
        assert tables(ledger) == tables(room.ledger)
        assert bodies(ledger) == bodies(room.ledger)
        assert [len(rows) for rows in tables(ledger)] == [3, 12, 1, 0, 0, 6]
        upgraded = Room(room.home, ledger, room.evidence)
        review(upgraded, 5, Opinion(verdict="refer"), READER)
        assert verify(ledger, Knowledge((room.public_key,))).verified
        assert [item.verdict for item in worklist_page(upgraded, WorklistFilter()).items] == ["agree", None, "refer"]


def test_whoever_only_reads_changes_nothing_and_is_told(older: str | Path) -> None:
    with pytest.raises(LedgerUnavailable, match="expected 0002: an older medproto wrote it; `medproto audit upgrade`"):
        open_ledger(older, None)
    engine = open_engine(read_url(older))
    with reading(engine) as conn:
        assert revision_of(conn) == "0001"
    close_engine(engine)


def test_an_upgrade_that_fails_leaves_the_older_ledger(older_home: Path) -> None:
    with sqlite3.connect(older_home / "ledger.sqlite") as conn:
        conn.execute("CREATE TRIGGER full AFTER UPDATE ON alembic_version BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(LedgerUnavailable, match=r"\(IntegrityError\); its tables are older .* and stay as they are"):
        open_room(older_home)
    names = [row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE name LIKE 'prediction%'")]
    conn.close()
    assert names == []


def test_a_schema_that_was_set_back_is_named(home: Path) -> None:
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        conn.execute("UPDATE alembic_version SET version_num = '0001'")
    conn.close()
    with pytest.raises(LedgerTampered, match="entry 1: the schema is said to be 0001, and has tables of 0002"):
        open_room(home)


def test_a_table_that_was_taken_away_is_named(home: Path) -> None:
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        conn.execute("DROP TABLE review")
    conn.close()
    with pytest.raises(LedgerTampered, match="entry 1: missing: the table review"):
        open_room(home)


def test_the_command_upgrades_without_a_signing_key(older_home: Path) -> None:
    (older_home / "keys" / "ledger.key").unlink()
    refused = CliRunner().invoke(app, ["list", "--home", str(older_home)])
    assert (refused.exit_code, "medproto audit upgrade" in refused.output) == (2, True)
    for _ in range(2):
        done = CliRunner().invoke(app, ["upgrade", "--home", str(older_home)])
        assert (done.exit_code, "schema 0002" in done.output) == (0, True)
    assert CliRunner().invoke(app, ["verify", "--home", str(older_home)]).exit_code == 0


def test_derived_tables_that_were_altered_are_made_again(home: Path) -> None:
    attack(home, "UPDATE review SET verdict = 'refer'", "DELETE FROM prediction WHERE number = 5")
    assert CliRunner().invoke(app, ["verify", "--home", str(home)]).exit_code == 1
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        conn.execute("DROP TABLE complaint")
    conn.close()
    assert CliRunner().invoke(app, ["verify", "--home", str(home)]).exit_code == 1
    done = CliRunner().invoke(app, ["upgrade", "--anew", "--home", str(home)])
    assert (done.exit_code, "11 entries" in done.output) == (0, True)
    result = CliRunner().invoke(app, ["verify", "--home", str(home), "--json"])
    assert (json.loads(result.stdout)["faults"], json.loads(result.stdout)["notices"]) == ([], [])


def test_derived_tables_are_made_again_on_either_database(older: str | Path, room: Room) -> None:
    open_ledger(older, None, may_upgrade=True).close()
    derive_again(older)
    with open_ledger(older, None) as ledger:
        assert tables(ledger) == tables(room.ledger)
        assert verify(ledger, Knowledge((room.public_key,))).verified


def test_nothing_is_derived_where_there_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="there is none here"):
        derive_again(tmp_path / "none.sqlite")
    sqlite3.connect(tmp_path / "other.sqlite").close()
    (tmp_path / "other.sqlite").touch()
    with pytest.raises(LedgerUnavailable, match="got schema None, expected a whole ledger"):
        derive_again(tmp_path / "other.sqlite")


def test_a_backup_of_an_older_ledger_is_restored(older_home: Path, tmp_path: Path) -> None:
    with open_room(older_home) as room:
        make_backup(room, tmp_path / "backup")
    database = tmp_path / "backup" / "ledger.sqlite"
    older = tmp_path / "again.sqlite"
    source = open_engine(read_url(database))
    write_older(source, older)
    close_engine(source)
    older.replace(database)
    # The manifest names the digest of the database: a backup of that age has that of the older one.
    manifest = tmp_path / "backup" / "backup.json"
    _rename_digest(manifest, database)
    restore(RestoreOrder(tmp_path / "backup", older_home, reason="disk failure"), Actor("admin", "administrator"))
    with open_room(older_home) as room:
        assert len(worklist_page(room, WorklistFilter()).items) == 3
        assert len(trace_prototype(room, _prototype(room))) == 3


def _rename_digest(manifest: Path, database: Path) -> None:
    backup = Backup.model_validate_json(manifest.read_text("utf-8"))
    files = backup.files | {"ledger.sqlite": file_digest(database)}
    manifest.write_text(backup.model_copy(update={"files": files}).model_dump_json(), "utf-8")


def _prototype(room: Room) -> str:
    return str(room.ledger.entry(3).payload["prediction"]["matches"][0]["prototype_id"])
