"""Attacks on a ledger by somebody who can write to its files: each is detected, named, and ends in exit code 1."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.canonical import canonical_bytes
from audit.cli import app
from audit.entries import EntryDraft
from audit.merkle import Frontier, leaf_hash
from audit.queries import prediction
from audit.room import Room, open_room, verify_room
from audit.signing import create_keys
from medproto.errors import KeyProblem, LedgerTampered

SIZE = 11
COLUMNS = ("body", "leaf", "kind", "time", "actor", "role", "exam_id", "refers_to", "request")


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


@pytest.mark.parametrize("keep", [0, 5, SIZE - 1])
def test_a_truncated_tail_is_named(home: Path, keep: int) -> None:
    attack(home, f"DELETE FROM entry WHERE number > {keep}")
    code, faults = verified(home)
    span = f"entry {SIZE}" if keep == SIZE - 1 else f"entries {keep + 1} to {SIZE}"
    assert code == 1
    assert faults == [f"{span}: missing: a signed checkpoint covers {SIZE} entries."]


@pytest.mark.parametrize("keep", [0, 5])
def test_a_tail_cut_with_its_checkpoints_is_named_by_the_remembered_head(home: Path, keep: int) -> None:
    assert verified(home)[0] == 0
    attack(home, f"DELETE FROM entry WHERE number > {keep}")
    attack(home, f"DELETE FROM checkpoint WHERE size > {keep}")
    code, faults = verified(home)
    assert code == 1
    assert f"entries {keep + 1} to {SIZE}: missing: the head remembered covers {SIZE} entries." in faults


def test_a_tail_cut_with_its_checkpoints_is_named_by_an_anchor(home: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor.txt"
    with open_room(home) as room:
        anchor.write_text(room.ledger.checkpoint(SIZE).note)
    attack(home, "DELETE FROM entry WHERE number > 8")
    attack(home, "DELETE FROM checkpoint WHERE size > 8")
    assert verified(home)[0] == 0, "without memory or anchor a shorter log passes, and verify says so"
    (home / "verified-head.note").unlink()
    result = CliRunner().invoke(app, ["verify", "--home", str(home), "--anchors", str(anchor)])
    assert result.exit_code == 1
    assert f"entries 9 to {SIZE}: missing: anchor anchor.txt covers {SIZE} entries." in result.stdout


def test_an_emptied_ledger_is_an_error(home: Path) -> None:
    attack(home, "DELETE FROM entry", "DELETE FROM checkpoint")
    code, faults = verified(home)
    assert (code, faults) == (1, ["entry 1: missing: the ledger is empty."])


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


def body_of(home: Path, number: int) -> bytes:
    """The stored bytes of one entry."""
    with sqlite3.connect(home / "ledger.sqlite") as conn:
        (body,) = conn.execute("SELECT body FROM entry WHERE number = ?", (number,)).fetchone()
    conn.close()
    return bytes(body)


@pytest.mark.parametrize("number", [1, 6, SIZE])
def test_an_entry_rewritten_with_a_fitting_leaf_is_named(home: Path, number: int) -> None:
    other = canonical_bytes({**json.loads(body_of(home, number)), "actor": "nobody"})
    parameters = (other, leaf_hash(other).hex())
    attack(
        home, f"UPDATE entry SET body = ?, leaf = ?, actor = 'nobody' WHERE number = {number}", parameters=parameters
    )
    assert_named(home, number)


def rechain(home: Path, first: int, sign: Callable[[int, bytes], str]) -> None:
    """Rewrite the actor of entry `first` and re-chain everything after it, with checkpoints by this signer."""
    frontier, previous = Frontier(), "0" * 64
    for number in range(1, SIZE + 1):
        fields = json.loads(body_of(home, number)) | {"previous": previous}
        fields |= {"actor": "nobody"} if number == first else {}
        body = canonical_bytes(fields)
        previous = leaf_hash(body).hex()
        frontier.append(bytes.fromhex(previous))
        change = f"UPDATE entry SET body = ?, leaf = ?, actor = ? WHERE number = {number}"
        attack(home, change, parameters=(body, previous, fields["actor"]))
        note = sign(number, frontier.root())
        change = f"UPDATE checkpoint SET note = ?, frontier = ? WHERE size = {number}"
        attack(home, change, parameters=(note, frontier.to_bytes()))


def test_a_rewrite_of_the_whole_log_without_the_key_is_detected(home: Path, tmp_path: Path) -> None:
    with open_room(home) as room:
        name = room.public_key.name
    other = create_keys(tmp_path / "other")
    rechain(home, 1, lambda size, root: other.sign(size, root).note.replace(other.name, name))
    code, faults = verified(home)
    assert code == 1
    assert all("checkpoint" in sentence for sentence in faults)


def test_a_rewrite_with_the_live_key_is_named_by_an_anchor_alone(home: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor.txt"
    with open_room(home) as room:
        anchor.write_text(room.ledger.checkpoint(8).note)
        signer = room.ledger.signer
    assert signer is not None
    rechain(home, 6, lambda size, root: signer.sign(size, root).note)
    assert verified(home)[0] == 0, "whoever holds the live key is caught only by anchors, and verify says so"
    result = CliRunner().invoke(app, ["verify", "--home", str(home), "--anchors", str(anchor)])
    assert result.exit_code == 1
    assert "entry 8: the entries up to here are not those that anchor anchor.txt covers." in result.stdout


def test_a_room_replaced_with_its_key_is_caught_by_a_key_from_elsewhere(home: Path, tmp_path: Path) -> None:
    with open_room(home) as room:
        vkey = room.public_key.vkey
    with open_room(tmp_path / "forged", create=True):
        pass
    result = CliRunner().invoke(app, ["verify", "--home", str(tmp_path / "forged"), "--public-key", vkey])
    assert result.exit_code == 1
    assert "the checkpoint over it was altered" in result.stdout


@pytest.mark.parametrize("column", ["note", "frontier"])
@pytest.mark.parametrize("size", [1, 6, SIZE])
def test_an_edited_checkpoint_is_named(home: Path, column: str, size: int) -> None:
    attack(home, f"UPDATE checkpoint SET {column} = CAST({column} AS BLOB) || x'20' WHERE size = {size}")
    code, faults = verified(home)
    assert code == 1
    assert faults[0].startswith(f"entry {size}: the checkpoint over it was altered")


def test_any_flipped_bit_of_a_checkpoint_is_detected(home: Path) -> None:
    with open_room(home) as room:
        note = room.ledger.checkpoint(6).note.encode()
    for position in range(len(note)):
        flipped = note[:position] + bytes([note[position] ^ 1]) + note[position + 1 :]
        attack(home, "UPDATE checkpoint SET note = CAST(? AS TEXT) WHERE size = 6", parameters=(flipped,))
        with open_room(home) as room:
            assert [fault.entry for fault in verify_room(room).faults] == [6]


def test_a_replayed_checkpoint_is_named(home: Path) -> None:
    attack(home, "UPDATE checkpoint SET note = (SELECT note FROM checkpoint c WHERE c.size = 5) WHERE size = 6")
    assert_named(home, 6)


def test_a_deleted_last_checkpoint_leaves_its_entry_uncovered(home: Path) -> None:
    attack(home, f"DELETE FROM checkpoint WHERE size = {SIZE}")
    assert verified(home) == (1, [f"entry {SIZE}: not covered by a signed checkpoint."])


def test_an_entry_added_without_the_key_is_named(home: Path) -> None:
    body = canonical_bytes({**json.loads(body_of(home, SIZE)), "number": SIZE + 1, "previous": leaf(home, SIZE)})
    values = f"SELECT {SIZE + 1}, kind, time, actor, role, exam_id, refers_to, request, ?, ? FROM entry"
    attack(home, f"INSERT INTO entry {values} WHERE number = {SIZE}", parameters=(body, leaf_hash(body).hex()))
    assert_named(home, SIZE + 1)


def leaf(home: Path, number: int) -> str:
    """The stored leaf of one entry."""
    return leaf_hash(body_of(home, number)).hex()


def test_a_replaced_evidence_file_names_every_entry_that_shows_it(home: Path) -> None:
    with open_room(home) as room:
        _, record = prediction(room, 3)
        room.evidence.path(record.images[0].preview).write_bytes(b"another picture")
    assert_named(home, 3)


def test_an_absent_evidence_file_names_its_entry(home: Path) -> None:
    with open_room(home) as room:
        _, record = prediction(room, 5)
        room.evidence.path(record.images[0].preview).unlink()
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


def test_append_does_not_sign_over_a_cut_tail(home: Path, room: Room) -> None:
    attack(home, "DELETE FROM entry WHERE number > 9")
    with pytest.raises(LedgerTampered, match="entry 9: the last signed checkpoint does not end there"):
        append_one(room)


def test_append_does_not_sign_over_a_forged_checkpoint(home: Path, room: Room, tmp_path: Path) -> None:
    other = create_keys(tmp_path / "other")
    with open_room(home) as again:
        root = bytes.fromhex(again.ledger.checkpoint(SIZE).root)
    attack(home, f"UPDATE checkpoint SET note = ? WHERE size = {SIZE}", parameters=(other.sign(SIZE, root).note,))
    with pytest.raises(KeyProblem, match="no signature by a key of this ledger"):
        append_one(room)


def test_append_does_not_start_an_emptied_ledger_anew(home: Path, room: Room) -> None:
    attack(home, "DELETE FROM entry", "DELETE FROM checkpoint")
    with pytest.raises(LedgerTampered, match="emptied"):
        append_one(room)
    with open_room(home, create=True) as again:
        assert again.ledger.count() == 0


def test_an_altered_entry_is_not_shown(home: Path, room: Room) -> None:
    attack(home, "UPDATE entry SET body = body || x'20' WHERE number = 3")
    with pytest.raises(LedgerTampered, match="entry 3: its body was altered"):
        prediction(room, 3)


def append_one(room: Room) -> None:
    """Append one entry."""
    room.ledger.append([EntryDraft("exam opened", {"entry": 3, "exam_id": "exam-1"}, "reader-1", "radiologist")])
