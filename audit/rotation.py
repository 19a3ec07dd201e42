"""Changing the key that signs: a new one is signed in by the old, and the old one signs nothing after.

`rotate_key` guarantees:

1. The new private key is on disk before an entry names it, so that no interruption leaves a ledger without its key.
2. The entry that names it is committed with a checkpoint signed by both keys.
3. The old private key is overwritten only after that, by a rename; an interruption in between is made good by
   `settle_key`, whenever the room is opened next.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.entries import KEY_CHANGES, Entry, EntryDraft
from audit.filters import LedgerFilter
from audit.keychain import KeyChange, key_named
from audit.ledger import Ledger
from audit.payloads import KeyRotated
from audit.signing import (
    NEXT_FILE,
    PublicKey,
    Signer,
    changing_keys,
    create_next_key,
    load_public,
    load_signer,
    promote_next_key,
)
from medproto.errors import KeyProblem

if TYPE_CHECKING:
    from audit.room import Actor, Room


@dataclass(frozen=True)
class KeyPeriod:
    """A key and the entries over which it signed checkpoints; `last` is None for the key in force."""

    key: PublicKey
    first: int
    last: int | None


def rotate_key(room: Room, reason: str, actor: Actor, lost: bool = False) -> Entry:
    """Retire the room's signing key for a new one, by an entry that says why and who did it.

    Args:
        room: the room; its public key must be the one in force.
        reason: why, in words that name no patient.
        actor: who.
        lost: the old private key is gone. Then the new key signs alone, and every verification says so.

    Raises:
        KeyProblem: the private key is absent though not said to be lost, or there though said to be lost.
    """
    if not reason.strip():
        raise KeyProblem("rotation: got no reason, expected one: the entry is to say why the key was changed")
    with changing_keys(room.keys):
        valid = load_public(room.keys)
        old = None if lost else _signer_in_force(room, valid)
        if lost and room.ledger.signer is not None:
            raise KeyProblem("signing key: it is here; rotate it without saying that it is lost")
        new = create_next_key(room.keys, valid.name)  # 1
        payload = KeyRotated(old_key=valid.vkey, new_key=new.public.vkey, reason=reason.strip())
        draft = EntryDraft("key rotated", payload.model_dump(mode="json"), actor.name, actor.role)
        entry = room.ledger.change_key(draft, valid, [old, new] if old else [new])  # 2
        promote_next_key(room.keys, new.public)  # 3
    return entry


def settle_key(keys: Path, ledger: Ledger) -> None:
    """Put a new key in force that an entry names already, where an interruption kept it from its place."""
    if not (keys / NEXT_FILE).exists():
        return
    with changing_keys(keys):
        changes = [change for kind in KEY_CHANGES for change in ledger.entries(LedgerFilter(kind=kind), limit=1)]
        if changes:
            newest = max(changes, key=lambda entry: entry.number)
            promote_next_key(keys, key_named(newest, "new_key"))


def key_history(ledger: Ledger) -> list[KeyPeriod]:
    """Every key that signed, oldest first; a change of keys is the last entry of the old one and the first of the new.

    A key that was in force only over entries that a restore lost comes with the entry that says so, which it signed.
    """
    changes = [change for kind in KEY_CHANGES for change in ledger.entries(LedgerFilter(kind=kind))]
    periods: list[KeyPeriod] = []
    key, first = key_named(ledger.entry(1), "public_key"), 1
    for entry in sorted(changes, key=lambda change: change.number):
        change, number = KeyChange.from_entry(entry), entry.number
        periods.append(KeyPeriod(key, first, number))
        signed = ledger.checkpoint(number).key_hashes()
        known = {period.key for period in periods} | {change.new}
        lost = [retired for retired in dict.fromkeys(change.retired) if retired.hash in signed and retired not in known]
        periods += [KeyPeriod(retired, number, number) for retired in lost]
        key, first = change.new, number
    return [*periods, KeyPeriod(key, first, None)]


def _signer_in_force(room: Room, valid: PublicKey) -> Signer:
    signer = room.ledger.signer
    if signer is None:
        raise KeyProblem("signing key: absent, so that it cannot sign in another; if it is lost for good, say so")
    if signer.public != valid or load_signer(room.keys).public != valid:
        raise KeyProblem("signing key: it is not the one in force; open the room again")
    return signer
