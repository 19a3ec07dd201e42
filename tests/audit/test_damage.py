"""A damaged database file is tampered with, not uncheckable; and a verification may start where the last one ended."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.room import open_room, verify_room
from audit.rotation import rotate_key
from medproto.errors import AuditError, LedgerAbsent, LedgerTampered
from tests.audit.attacking import SIZE, append_one, attack, verified
from tests.audit.test_rotation import ADMIN, sentences

PAGE = 4096


def code_of(home: Path) -> int:
    """Exit code of `medproto audit verify`."""
    return CliRunner().invoke(app, ["verify", "--home", str(home)]).exit_code


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_database_file_cut_short_is_tampered_with(home: Path, part: float) -> None:
    path = home / "ledger.sqlite"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    assert code_of(home) == 1


def test_overwritten_pages_are_tampered_with_or_hold_nothing_of_the_log(home: Path) -> None:
    path = home / "ledger.sqlite"
    whole = path.read_bytes()
    results = []
    with sqlite3.connect(path) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entry'").fetchone()
    conn.close()
    for start in (*range(0, len(whole), 8 * PAGE), (root - 1) * PAGE):
        path.write_bytes(whole[:start] + b"\x5a" * PAGE + whole[start + PAGE :])
        results.append(CliRunner().invoke(app, ["verify", "--home", str(home)]))
    codes = [result.exit_code for result in results]
    assert codes[0] == 1, "the header"
    assert set(codes) <= {0, 1}, "never that it cannot be checked"
    assert codes.count(1) > len(codes) / 2
    assert any("it and what follows cannot be read" in result.stdout for result in results)


@pytest.mark.parametrize("statement", ["DROP TABLE entry", "DROP TABLE checkpoint", "DELETE FROM alembic_version"])
def test_a_table_that_is_gone_is_tampered_with(home: Path, statement: str) -> None:
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        conn.execute(statement)
    conn.close()
    assert code_of(home) == 1


def test_a_ledger_that_vanished_after_a_verification_is_tampered_with(home: Path) -> None:
    for leave in (lambda path: path.write_bytes(b""), lambda path: path.unlink()):
        (home / "verified-head.note").unlink(missing_ok=True)
        leave(home / "ledger.sqlite")
        with pytest.raises(LedgerAbsent, match="medproto audit init"):
            open_room(home)
        (home / "verified-head.note").write_text("of a verification before")
        with pytest.raises(LedgerTampered, match="a ledger was verified here before, and none is left"):
            open_room(home)


def test_verification_since_a_number_reads_what_follows(home: Path) -> None:
    with open_room(home) as room:
        rotate_key(room, "yearly change", ADMIN)
    with open_room(home) as room:
        append_one(room)
        first = verify_room(room)
        for since in (1, 5, 11, 12, 13):
            result = verify_room(room, since=since)
            assert (sentences(result), result.size) == ([], 13)
            assert result.head == first.head
            assert any(f"after the checkpoint at {since} or before" in spot for spot in result.blind_spots)
        with pytest.raises(AuditError, match="since: got 14"):
            verify_room(room, since=14)
    attack(home, "UPDATE entry SET actor = 'nobody' WHERE number = 8")
    with open_room(home) as room:
        assert [fault.entry for fault in verify_room(room, since=5).faults] == [8]
        assert verify_room(room, since=9).verified, "it reads nothing before, and says so"


def test_what_was_not_compared_with_the_head_remembered_does_not_replace_it(home: Path) -> None:
    assert verified(home)[0] == 0
    head = (home / "verified-head.note").read_text()
    with open_room(home) as room:
        append_one(room)
        append_one(room)
        verify_room(room, since=SIZE + 1)
        assert (home / "verified-head.note").read_text() == head
        verify_room(room, since=SIZE)
        assert (home / "verified-head.note").read_text() != head


def test_the_command_verifies_since_a_number(home: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "--home", str(home), "--since", "9", "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["verified"], told["size"]) == (True, SIZE)
    assert CliRunner().invoke(app, ["verify", "--home", str(home), "--since", "99"]).exit_code == 2
