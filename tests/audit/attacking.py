"""Tools of an attacker who owns the database file, and what `medproto audit verify` says afterwards."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from typer.testing import CliRunner

from audit.cli import app
from audit.entries import EntryDraft
from audit.merkle import leaf_hash
from audit.room import Room

#: Entries in the filled room.
SIZE = 11


def attack(home: Path, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    """Run SQL as somebody who owns the file: triggers dropped first, put back after."""
    conn = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
    conn.execute("PRAGMA synchronous=OFF")
    conn.execute("BEGIN")
    triggers = conn.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        conn.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        conn.execute(statement, parameters)
    for _, sql in triggers:
        conn.execute(sql)
    conn.execute("COMMIT")
    conn.close()


def verified(home: Path) -> tuple[int, list[str]]:
    """Exit code and faults of `medproto audit verify`."""
    result = CliRunner().invoke(app, ["verify", "--home", str(home), "--json"])
    return result.exit_code, [fault["sentence"] for fault in json.loads(result.stdout)["faults"]]


def assert_named(home: Path, *entries: int) -> None:
    """Verification ends in exit code 1 and every fault names one of these entries, each of which is named."""
    code, faults = verified(home)
    assert code == 1
    named = {int(sentence.split()[1].rstrip(":")) for sentence in faults}
    assert named == set(entries), faults


def body_of(home: Path, number: int) -> bytes:
    """The stored bytes of one entry."""
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        (body,) = conn.execute("SELECT body FROM entry WHERE number = ?", (number,)).fetchone()
    conn.close()
    return bytes(body)


def leaf(home: Path, number: int) -> str:
    """The stored leaf of one entry."""
    return leaf_hash(body_of(home, number)).hex()


def append_one(room: Room) -> None:
    """Append one entry."""
    room.ledger.append([EntryDraft("exam opened", {"entry": 3, "exam_id": "exam-1"}, "reader-1", "radiologist")])
