"""What the ledger held of one entry when it had N entries: all that a report of it may say beside its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.database import reading
from audit.entries import Entry
from audit.proofs import (
    Proof,
    checkpoint_of_size,
    entry_plain,
    inclusion_of,
    ledger_keys,
    newest_checkpoint,
    range_roots,
    signing_hashes,
)
from audit.queries import ReviewRecord, reviews
from audit.room import Room
from audit.signing import Checkpoint
from medproto.errors import ReportError


@dataclass(frozen=True)
class StandingReview:
    """A review that was in the ledger by then, with its entry and its path to the checkpoint."""

    record: ReviewRecord
    entry: Entry
    path: tuple[bytes, ...]

    def plain(self) -> dict[str, Any]:
        """The review's entry as a proof holds it."""
        return entry_plain(self.entry, self.path)


@dataclass(frozen=True)
class Standing:
    """One entry with the proof that it is in the log of N entries, and its reviews so far, oldest first."""

    proof: Proof
    reviews: tuple[StandingReview, ...] = ()

    @property
    def entry(self) -> Entry:
        """The entry that the report is of."""
        return self.proof.entry

    @property
    def checkpoint(self) -> Checkpoint:
        """The signed checkpoint over the first N entries."""
        return self.proof.checkpoint

    @property
    def size(self) -> int:
        """N: how many entries the log had."""
        return self.proof.checkpoint.size

    @property
    def time(self) -> datetime:
        """When the newest of the entries that are printed was written."""
        return max(entry.time for entry in (self.entry, *(review.entry for review in self.reviews)))


def standing(room: Room, number: int, at: int | None = None) -> Standing:
    """What the ledger held of this entry when it had `at` entries; now, where that is None.

    Raises:
        EntryNotFound: no such entry, or no commit ended at that size.
        ReportError: the entry came later.
        EvidenceMissing: the words of a review are absent or altered.
        LedgerTampered: the entry or a review is not what was signed.
    """
    entry, keys = room.ledger.entry(number), ledger_keys(room)
    checkpoint = _checkpoint(room, at)
    if number > checkpoint.size:
        raise ReportError(f"entry {number}: got a log of {checkpoint.size} entries, expected one that holds it")
    records = reviews(room, number) if entry.kind == "prediction" else []
    reviewed = [(record, room.ledger.entry(record.number)) for record in records if record.number <= checkpoint.size]
    with reading(room.ledger.engine) as conn:
        roots = range_roots(conn)
        path = inclusion_of(entry, checkpoint, roots)
        said = tuple(StandingReview(record, e, inclusion_of(e, checkpoint, roots)) for record, e in reviewed)
    signers = tuple(key for key in keys if key.hash in signing_hashes(checkpoint.note))
    return Standing(Proof(entry, path, checkpoint, None, (), signers), said)


def _checkpoint(room: Room, at: int | None) -> Checkpoint:
    if at is not None:
        return checkpoint_of_size(room, at)
    with reading(room.ledger.engine) as conn:
        return newest_checkpoint(conn, ledger_keys(room))
