"""Attacks on the ledger's end and its checkpoints: cut tails, rewrites, forged heads; and what only an anchor sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.canonical import canonical_bytes
from audit.cli import app
from audit.merkle import Frontier, leaf_hash
from audit.models import DERIVED
from audit.room import Room, open_room, verify_room
from audit.signing import create_keys
from medproto.errors import KeyProblem, LedgerTampered
from tests.audit.attacking import SIZE, append_one, assert_named, attack, body_of, leaf, verified


@pytest.mark.parametrize("keep", [0, 5, SIZE - 1])
def test_a_truncated_tail_is_named(home: Path, keep: int) -> None:
    attack(home, f"DELETE FROM entry WHERE number > {keep}")
    code, faults = verified(home)
    span = f"entry {SIZE}" if keep == SIZE - 1 else f"entries {keep + 1} to {SIZE}"
    assert code == 1
    assert faults[0] == f"{span}: missing: a signed checkpoint covers {SIZE} entries."
    assert all("that no entry calls for" in sentence for sentence in faults[1:])


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
    assert verified(home) == (1, ["entry 9: rows in review that no entry calls for."])
    attack(home, *(f"DELETE FROM {table.__tablename__} WHERE number > 8" for table in DERIVED))
    assert verified(home)[0] == 0, "without memory or anchor a shorter log passes, and verify says so"
    (home / "verified-head.note").unlink()
    result = CliRunner().invoke(app, ["verify", "--home", str(home), "--anchors", str(anchor)])
    assert result.exit_code == 1
    assert f"entries 9 to {SIZE}: missing: anchor anchor.txt covers {SIZE} entries." in result.stdout


def test_an_emptied_ledger_is_an_error(home: Path) -> None:
    attack(home, "DELETE FROM entry", "DELETE FROM checkpoint")
    code, faults = verified(home)
    assert (code, faults[0]) == (1, "entry 1: missing: the ledger is empty.")


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
    key_hash = vkey.split("+")[1]
    assert f"entry 1: the key {key_hash}, which was given, signs nothing up to here." in result.stdout


@pytest.mark.parametrize("size", [1, 6, SIZE - 1])
def test_a_checkpoint_deleted_in_between_is_named(home: Path, size: int) -> None:
    attack(home, f"DELETE FROM checkpoint WHERE size = {size}")
    code, faults = verified(home)
    words = f"the checkpoint over it is missing: the one over {size + 1} entries follows it"
    assert (code, faults) == (1, [f"entry {size}: {words}."])


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
