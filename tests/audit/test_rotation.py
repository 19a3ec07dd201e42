"""Rotation: the new key is signed in by the old, which signs nothing after; on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.entries import EntryDraft
from audit.findings import Verification
from audit.room import Actor, Room, open_room, verify_room
from audit.rotation import key_history, rotate_key
from audit.signing import KEY_FILE, NEXT_FILE, PublicKey, Signer, create_next_key, load_signer
from medproto.errors import KeyProblem
from tests.audit.attacking import append_one, attack
from tests.audit.test_attacks_on_heads import rechain

ADMIN = Actor("admin-1", "administrator")
RETIRED = 12


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Where the ledger lies: in the home (None), or on a real server."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgresql"))


@pytest.fixture
def rotated(home: Path) -> Iterator[tuple[Signer, Room]]:
    """A room of 13 entries whose key was changed by entry 12, and the old key, as a thief would have it."""
    old = load_signer(home / "keys")
    with open_room(home) as room:
        rotate_key(room, "yearly change", ADMIN)
    with open_room(home) as room:
        append_one(room)
        yield old, room


def sentences(result: Verification) -> list[str]:
    """What was found wrong."""
    return [fault.sentence for fault in result.faults]


def test_a_rotated_key_signs_on_and_everything_verifies(tmp_path: Path, place: str | None) -> None:
    with open_room(tmp_path / "home", place, create=True) as room:
        first = room.public_key
        assert rotate_key(room, "yearly change", ADMIN).number == 2
    with open_room(tmp_path / "home", place) as room:
        second = room.public_key
        append_one(room)
        rotate_key(room, "another year", ADMIN)
    with open_room(tmp_path / "home", place) as room:
        append_one(room)
        assert [(p.first, p.last) for p in key_history(room.ledger)] == [(1, 2), (2, 4), (4, None)]
        assert [p.key for p in key_history(room.ledger)] == [first, second, room.public_key]
        for given in ([], [first], [second], [room.public_key], [first, second, room.public_key]):
            assert sentences(verify_room(room, (), given)) == []
        assert (room.keys / KEY_FILE).stat().st_mode & 0o777 == 0o600
        assert not (room.keys / NEXT_FILE).exists()


def test_the_change_is_signed_by_both_keys_and_says_who_and_why(rotated: tuple[Signer, Room]) -> None:
    old, room = rotated
    entry = room.ledger.entry(RETIRED)
    assert (entry.kind, entry.actor, entry.payload["reason"]) == ("key rotated", "admin-1", "yearly change")
    assert room.ledger.checkpoint(RETIRED).key_hashes() == [old.public.hash, room.public_key.hash]
    assert room.ledger.checkpoint(RETIRED + 1).key_hashes() == [room.public_key.hash]


def test_what_holds_the_old_key_appends_nothing_more(home: Path, room: Room) -> None:
    with open_room(home) as other:
        rotate_key(other, "stolen", ADMIN)
    with pytest.raises(KeyProblem, match="retired by entry 12"):
        append_one(room)
    with pytest.raises(KeyProblem, match="not the one in force"):
        rotate_key(room, "stolen", ADMIN)


def rewrite_with(old: Signer, home: Path, first: int) -> None:
    """What the thief of the old key does: forget the rotation, alter an entry, sign everything anew."""
    attack(home, "DELETE FROM entry WHERE number > 11", "DELETE FROM checkpoint WHERE size > 11")
    rechain(home, first, lambda size, root: old.sign(size, root).note)


def test_a_rewrite_with_the_old_key_is_caught_by_the_new_public_key(rotated: tuple[Signer, Room]) -> None:
    old, room = rotated
    new = room.public_key
    rewrite_with(old, room.home, 6)
    for given in ([], [new], [old.public, new]):
        words = f"entry 11: the key {new.hash.hex()}, which was given, signs nothing up to here."
        assert words in sentences(verify_room(room, (), given))


def test_a_rewrite_with_the_old_key_passes_where_only_the_old_public_key_is_known(rotated: tuple[Signer, Room]) -> None:
    old, room = rotated
    assert any("The newest key was not given" in spot for spot in verify_room(room, (), [old.public]).blind_spots)
    rewrite_with(old, room.home, 6)
    (room.home / "verified-head.note").unlink()
    assert verify_room(room, (), [old.public]).verified, "stated by the blind spot before"


def test_a_rewrite_with_the_old_key_is_caught_by_an_anchor(rotated: tuple[Signer, Room], tmp_path: Path) -> None:
    old, room = rotated
    anchor = tmp_path / "anchor.txt"
    anchor.write_text(room.ledger.checkpoint(11).note)
    rewrite_with(old, room.home, 6)
    (room.home / "verified-head.note").unlink(missing_ok=True)
    words = "entry 11: the entries up to here are not those that anchor anchor.txt covers."
    assert words in sentences(verify_room(room, [anchor], [old.public]))


def test_an_entry_after_the_rotation_signed_with_the_old_key_is_named(rotated: tuple[Signer, Room]) -> None:
    old, room = rotated
    note = old.sign(13, bytes.fromhex(room.ledger.checkpoint(13).root)).note
    attack(room.home, "UPDATE checkpoint SET note = ? WHERE size = 13", parameters=(note,))
    assert sentences(verify_room(room))[0].startswith("entry 13: the checkpoint over it was altered")


def test_a_key_that_the_old_one_did_not_sign_in_is_refused(home: Path, tmp_path: Path) -> None:
    with open_room(home) as room:
        genuine, thief = room.public_key, create_next_key(tmp_path / "thief", room.public_key.name)
        fields = {"old_key": genuine.vkey, "new_key": thief.public.vkey, "reason": "mine now"}
        room.ledger.change_key(EntryDraft("key rotated", fields, "nobody", "nobody"), genuine, [thief])
        words = "entry 12: the key that it names was signed in by none before it, and no key given signs after it."
        assert sentences(verify_room(room, (), [genuine])) == [words]


def test_a_lost_key_is_replaced_and_every_verification_says_so(home: Path) -> None:
    with open_room(home) as room:
        old = room.public_key
        with pytest.raises(KeyProblem, match="it is here"):
            rotate_key(room, "burnt down", ADMIN, lost=True)
    (home / "keys" / KEY_FILE).unlink()
    with open_room(home) as room:
        with pytest.raises(KeyProblem, match="absent"):
            rotate_key(room, "burnt down", ADMIN)
        with pytest.raises(KeyProblem, match="got no reason"):
            rotate_key(room, " ", ADMIN, lost=True)
        rotate_key(room, "burnt down", ADMIN, lost=True)
    with open_room(home) as room:
        append_one(room)
        result = verify_room(room)
        assert result.verified
        assert any("entry 12: its new key was signed in by none before it" in n for n in result.notices)
        assert not verify_room(room, (), [old]).verified


@pytest.mark.parametrize("committed", [True, False])
def test_an_interrupted_rotation_leaves_a_ledger_that_goes_on(home: Path, committed: bool, tmp_path: Path) -> None:
    with open_room(home) as room:
        before = shutil.copytree(home / "keys", tmp_path / "before")
        rotate_key(room, "yearly change", ADMIN)
        new: PublicKey = room.public_key
    shutil.copy(home / "keys" / KEY_FILE, before / NEXT_FILE)
    shutil.rmtree(home / "keys")
    shutil.copytree(before, home / "keys")
    if not committed:
        attack(home, "DELETE FROM entry WHERE number = 12", "DELETE FROM checkpoint WHERE size = 12")
    with open_room(home) as room:
        append_one(room)
        assert (room.public_key == new) == committed
        assert verify_room(room).verified


def test_every_flipped_bit_around_a_rotation_is_named_and_nothing_else(rotated: tuple[Signer, Room]) -> None:
    _, room = rotated
    with sqlite3.connect(room.home / "ledger.sqlite") as conn:
        (body,) = conn.execute("SELECT body FROM entry WHERE number = ?", (RETIRED,)).fetchone()
    conn.close()
    for position in range(0, len(body), 25):
        flipped = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        attack(room.home, f"UPDATE entry SET body = ? WHERE number = {RETIRED}", parameters=(flipped,))
        assert {fault.entry for fault in verify_room(room).faults} == {RETIRED}


@pytest.mark.parametrize("number", [1, RETIRED])
def test_an_entry_that_names_a_key_is_named_alone_when_it_is_altered_or_gone(
    rotated: tuple[Signer, Room], number: int
) -> None:
    _, room = rotated
    attack(room.home, f"UPDATE entry SET kind = 'review' WHERE number = {number}")
    assert {fault.entry for fault in verify_room(room).faults} == {number}
    attack(room.home, f"UPDATE entry SET body = x'00' WHERE number = {number}")
    assert {fault.entry for fault in verify_room(room).faults} == {number}
    attack(room.home, f"DELETE FROM entry WHERE number = {number}")
    assert {fault.entry for fault in verify_room(room).faults} == {number}
