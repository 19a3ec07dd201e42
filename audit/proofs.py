"""Proofs that travel: an entry with what it takes to check it without the database, by `docs/verify_proof.py`.

A proof that is handed out guarantees:

1. It holds the stored bytes of the entry, and they hash to its leaf.
2. The leaf is in the tree of the newest checkpoint (RFC 6962 inclusion), and a key of this ledger signed that one.
3. Where an older checkpoint was named, that one's entries are the first of the newer (RFC 6962 consistency).

All three are checked here before anything is handed out; where one fails, the ledger does not hold what was signed.
Only text, numbers and lists are in a proof, so that any language can read it; hashes are hex.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, text

from audit.database import reading
from audit.entries import Entry
from audit.merkle import (
    HASH_BYTES,
    Frontier,
    RangeRoot,
    consistency_path,
    inclusion_path,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from audit.room import Room
from audit.rotation import key_history
from audit.signing import Checkpoint, PublicKey, verify_note
from medproto.errors import EntryNotFound, LedgerTampered

PROOF_FORMAT: Final = "medproto-proof/1"
#: So many leaves are fetched at once. A power of two: what proofs ask for then never lies across two blocks.
_BLOCK = 1024
# Typeless on purpose: what was altered must arrive as it is, not fail in a conversion.
_LEAVES = text("SELECT leaf FROM entry WHERE number > :start AND number <= :stop ORDER BY number")
_NEAREST = text("SELECT size, frontier FROM checkpoint WHERE size > :start AND size < :stop ORDER BY size DESC LIMIT 1")
_NEWEST = text("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
_OF_SIZE = text("SELECT note FROM checkpoint WHERE size = :size")


@dataclass(frozen=True)
class Proof:
    """One entry, its path to the newest checkpoint, and the older one that this extends, where one was named.

    `path` and `extension` hold 32-byte hashes.
    """

    entry: Entry
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    older: Checkpoint | None
    extension: tuple[bytes, ...]
    keys: tuple[PublicKey, ...]

    def plain(self) -> dict[str, Any]:
        """The proof as it is written to a file."""
        older = {
            "older": self.older.note if self.older else None,
            "consistency": [node.hex() for node in self.extension],
        }
        head = head_plain(PROOF_FORMAT, self.checkpoint, self.keys)
        return head | entry_plain(self.entry, self.path) | older


def head_plain(form: str, checkpoint: Checkpoint, keys: Sequence[PublicKey]) -> dict[str, Any]:
    """What proofs and exports begin with: which format, the checkpoint they lead to, and the keys that signed."""
    return {"format": form, "checkpoint": checkpoint.note, "vkeys": [key.vkey for key in keys]}


def entry_plain(entry: Entry, path: Sequence[bytes]) -> dict[str, Any]:
    """One entry with its path: canonical JSON is UTF-8, so the text gives back the stored bytes exactly."""
    body = entry.body.decode("utf-8")
    return {"number": entry.number, "leaf": entry.leaf, "entry": body, "inclusion": [node.hex() for node in path]}


def prove(room: Room, number: int, older: Checkpoint | None = None) -> Proof:
    """Prove that an entry is in the newest checkpoint, and that this one extends an older one.

    Raises:
        EntryNotFound: there is no such entry.
        KeyProblem: the older checkpoint was signed by no key of this ledger.
        LedgerTampered: the entries are not those that were signed.
    """
    entry, keys = room.ledger.entry(number), ledger_keys(room)
    signed = verify_note(older.note, keys) if older else None
    with reading(room.ledger.engine) as conn:
        newest, roots = newest_checkpoint(conn, keys), range_roots(conn)
        path = inclusion_of(entry, newest, roots)
        extension = _extension(signed, newest, roots) if signed else ()
    notes = [checkpoint.note for checkpoint in (newest, signed) if checkpoint]
    signers = tuple(key for key in keys if any(key.hash in signing_hashes(note) for note in notes))
    return Proof(entry, path, newest, signed, extension, signers)


def checkpoint_of_size(room: Room, size: int) -> Checkpoint:
    """The checkpoint that was signed over exactly so many entries; EntryNotFound where no commit ended there."""
    with reading(room.ledger.engine) as conn:
        note = conn.execute(_OF_SIZE, {"size": size}).scalar()
    if note is None:
        raise EntryNotFound(f"checkpoint: got size {size}, expected the number of an entry that ended a commit")
    return verify_note(str(note), ledger_keys(room))


def ledger_keys(room: Room) -> tuple[PublicKey, ...]:
    """The public keys that signed the checkpoints of this ledger, the one in force last."""
    return tuple(period.key for period in key_history(room.ledger))


def signing_hashes(note: str) -> frozenset[bytes]:
    """Key hashes of the signature lines of a note that was read: `— name base64(key hash || signature)`."""
    lines = note.partition("\n\n")[2].splitlines()
    return frozenset(base64.b64decode(line.rpartition(" ")[2])[:4] for line in lines)


def newest_checkpoint(conn: Connection, keys: Sequence[PublicKey]) -> Checkpoint:
    """The newest checkpoint, which the last of these keys must have signed."""
    note = conn.execute(_NEWEST).scalar()
    if note is None:
        raise LedgerTampered(["The ledger was emptied: it holds no checkpoint."])
    return verify_note(str(note), keys[-1:])


def inclusion_of(entry: Entry, checkpoint: Checkpoint, roots: RangeRoot) -> tuple[bytes, ...]:
    """Audit path of the entry to the checkpoint, checked; LedgerTampered where it does not lead there."""
    index, leaf = entry.number - 1, bytes.fromhex(entry.leaf)
    if index >= checkpoint.size:
        raise LedgerTampered([f"entry {entry.number}: not covered by a signed checkpoint."])
    path = inclusion_path(index, checkpoint.size, roots)
    if not verify_inclusion(leaf, index, checkpoint.size, path, bytes.fromhex(checkpoint.root)):
        raise LedgerTampered([f"entry {entry.number}: cannot be proved: the checkpoint covers other bytes; {_VERIFY}"])
    return tuple(path)


def range_roots(conn: Connection) -> RangeRoot:
    """Roots of the ranges of leaves that proofs ask for: from k * 2^j on, at most 2^j leaves.

    Short ranges are hashed, a longer one grows out of the frontier that a checkpoint in it left: a proof costs
    O(log n) queries where commits are small, and a run over all entries O(1) of them for each. What comes out is only
    as good as the database; whoever asks checks it against a signed root.
    """

    @lru_cache(maxsize=2)
    def block(start: int) -> tuple[bytes, ...]:
        return tuple(_leaves(conn, start, start + _BLOCK))

    @lru_cache(maxsize=256)
    def root(start: int, stop: int) -> bytes:
        if stop - start <= _BLOCK:
            first = start - start % _BLOCK
            return root_of(block(first)[start - first : stop - first])
        part = Frontier()
        # Short of `stop`: there the frontier may already be merged with what lies left of `start`.
        nearest = conn.execute(_NEAREST, {"start": start, "stop": stop}).one_or_none()
        if nearest is not None and isinstance(nearest.frontier, bytes):
            size = nearest.size - start
            part = Frontier.from_bytes(size, nearest.frontier[-HASH_BYTES * size.bit_count() :])
        for leaf in _leaves(conn, start + part.size, stop):
            part.append(leaf)
        return part.root()

    return root


_VERIFY = "`medproto audit verify` says where."


def _extension(older: Checkpoint, newest: Checkpoint, roots: RangeRoot) -> tuple[bytes, ...]:
    """Guarantee 3."""
    if older.size > newest.size:
        missing = f"entries {newest.size + 1} to {older.size}: missing"
        raise LedgerTampered([f"{missing}: the older checkpoint covers {older.size} entries."])
    path = consistency_path(older.size, newest.size, roots)
    ends = (bytes.fromhex(older.root), bytes.fromhex(newest.root))
    if not verify_consistency((older.size, newest.size), path, ends):
        raise LedgerTampered([f"entry {older.size}: the entries up to here are not those of the older checkpoint."])
    return tuple(path)


def _leaves(conn: Connection, start: int, stop: int) -> Iterator[bytes]:
    """Leaf hashes [start, stop), counted from 0, streamed."""
    found = conn.execute(_LEAVES, {"start": start, "stop": stop}, execution_options={"yield_per": _BLOCK})
    for place, leaf in enumerate(found.scalars(), start=start + 1):
        try:
            yield bytes.fromhex(leaf)
        except (TypeError, ValueError) as err:
            raise LedgerTampered([f"entry {place}: its leaf is no hash; {_VERIFY}"]) from err
