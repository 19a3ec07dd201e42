"""Attacks on entries and evidence by an owner of the files: each is detected, named, and ends in exit code 1."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from audit.canonical import canonical_bytes
from audit.evidence import sealed_of
from audit.merkle import leaf_hash
from audit.queries import prediction
from audit.room import Room, open_room, verify_room
from medproto.errors import LedgerTampered
from tests.audit.attacking import SIZE, assert_named, attack, body_of, verified

COLUMNS = ("body", "leaf", "kind", "time", "actor", "role", "exam_id", "refers_to", "request")


def test_the_untouched_room_verifies(home: Path) -> None:
    assert verified(home) == (0, [])


@pytest.mark.parametrize("number", range(1, SIZE + 1))
@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_column_names_its_entry(home: Path, column: str, number: int) -> None:
    changed = f"CASE WHEN {column} IS NULL THEN 'x' ELSE CAST({column} AS BLOB) || x'20' END"
    if column == "refers_to":
        changed = "COALESCE(refers_to, 0) + 1"
    attack(home, f"UPDATE entry SET {column} = {changed} WHERE number = {number}")
    assert_named(home, number)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_nulled_or_retyped_column_names_its_entry(home: Path, column: str) -> None:
    value = "CAST(body AS TEXT)" if column == "body" else f"CAST({column} AS BLOB)"
    number = 2 if column == "request" else 3
    attack(home, f"UPDATE entry SET {column} = {value} WHERE number = {number}")
    assert_named(home, number)


def test_any_flipped_byte_of_a_body_names_its_entry(home: Path) -> None:
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        (body,) = conn.execute("SELECT body FROM entry WHERE number = 8").fetchone()
    conn.close()
    for position in range(len(body)):
        flipped = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        attack(home, "UPDATE entry SET body = ? WHERE number = 8", parameters=(flipped,))
        with open_room(home) as room:
            assert [fault.entry for fault in verify_room(room).faults] == [8]


def test_a_byte_flipped_in_the_file_itself_names_its_entry(home: Path) -> None:
    with open_room(home) as room:
        body = room.ledger.entry(9).body
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    data = bytearray((home / "ledger.sqlite").read_bytes())
    place = data.index(body) + body.index(b"agree")
    data[place] ^= 1
    (home / "ledger.sqlite").write_bytes(data)
    assert_named(home, 9)


def test_text_that_is_no_longer_utf8_names_its_entry(home: Path) -> None:
    attack(home, "UPDATE entry SET actor = CAST(x'ff' AS TEXT) WHERE number = 4")
    assert_named(home, 4)


@pytest.mark.parametrize("number", [1, 2, 6, SIZE])
def test_a_deleted_entry_is_named(home: Path, number: int) -> None:
    attack(home, f"DELETE FROM entry WHERE number = {number}")
    code, faults = verified(home)
    assert code == 1
    assert faults[0].startswith(f"entry {number}: missing")
    # An intent or a result whose counterpart is gone is no second culprit.
    assert {int(f.split()[1].rstrip(":")) for f in faults} <= {number}


def test_a_deleted_entry_does_not_hide_a_changed_neighbour(home: Path) -> None:
    other = canonical_bytes({**json.loads(body_of(home, 7)), "actor": "nobody"})
    attack(
        home,
        "DELETE FROM entry WHERE number = 6",
    )
    attack(
        home,
        "UPDATE entry SET body = ?, leaf = ?, actor = 'nobody' WHERE number = 7",
        parameters=(other, leaf_hash(other).hex()),
    )
    assert_named(home, 6, 7)


def test_two_swapped_bodies_are_both_named(home: Path) -> None:
    bodies = {3: body_of(home, 11), 11: body_of(home, 3)}
    for number, body in bodies.items():
        change = f"UPDATE entry SET body = ?, leaf = ? WHERE number = {number}"
        attack(home, change, parameters=(body, leaf_hash(body).hex()))
    assert_named(home, 3, 11)


def test_two_swapped_numbers_are_both_named(home: Path) -> None:
    attack(
        home,
        "UPDATE entry SET number = -5 WHERE number = 5",
        "UPDATE entry SET number = 5 WHERE number = 8",
        "UPDATE entry SET number = 8 WHERE number = -5",
    )
    assert_named(home, 5, 8)


@pytest.mark.parametrize("number", [1, 6, SIZE])
def test_an_entry_rewritten_with_a_fitting_leaf_is_named(home: Path, number: int) -> None:
    other = canonical_bytes({**json.loads(body_of(home, number)), "actor": "nobody"})
    parameters = (other, leaf_hash(other).hex())
    attack(
        home, f"UPDATE entry SET body = ?, leaf = ?, actor = 'nobody' WHERE number = {number}", parameters=parameters
    )
    assert_named(home, number)


def test_a_replaced_evidence_file_names_every_entry_that_shows_it(home: Path) -> None:
    with open_room(home) as room:
        entry, record = prediction(room, 3)
        room.evidence.path(sealed_of(entry.payload)[record.images[0].preview]).write_bytes(b"another picture")
    assert_named(home, 3)


def test_an_absent_evidence_file_names_its_entry(home: Path) -> None:
    with open_room(home) as room:
        entry, record = prediction(room, 5)
        room.evidence.path(sealed_of(entry.payload)[record.images[0].preview]).unlink()
    assert_named(home, 5)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET actor = 'nobody' WHERE number = 3",
        "DELETE FROM entry WHERE number = 3",
        "INSERT OR REPLACE INTO entry SELECT * FROM entry WHERE number = 3",
        "REPLACE INTO entry SELECT * FROM entry WHERE number = 3",
        "INSERT INTO entry SELECT * FROM entry WHERE number = 3 ON CONFLICT (number) DO UPDATE SET actor = 'nobody'",
        "UPDATE checkpoint SET note = '' WHERE size = 3",
        "DELETE FROM checkpoint",
        "INSERT OR REPLACE INTO checkpoint SELECT * FROM checkpoint WHERE size = 3",
    ],
)
def test_the_database_itself_refuses_to_change_what_is_written(home: Path, statement: str) -> None:
    conn = sqlite3.connect(home / "ledger.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="what is written is never"):
        conn.execute(statement)
    conn.close()
    assert verified(home) == (0, [])


def test_a_missing_trigger_is_noticed(home: Path) -> None:
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        conn.execute("DROP TRIGGER entry_no_replace")
    conn.close()
    with open_room(home) as room:
        assert any("entry_no_replace" in notice for notice in verify_room(room).notices)


def test_an_altered_entry_is_not_shown(home: Path, room: Room) -> None:
    attack(home, "UPDATE entry SET body = body || x'20' WHERE number = 3")
    with pytest.raises(LedgerTampered, match="entry 3: its body was altered"):
        prediction(room, 3)
