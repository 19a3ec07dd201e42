"""What the ledger held of one entry when it had N entries: all that a report of it may say beside its pictures."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from audit.database import reading
from audit.entries import Entry
from audit.filters import LedgerFilter
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
    #: Its words with their salt, whose digest the entry holds; None where the entry holds them itself, or none.
    words: str | None = None

    def plain(self) -> dict[str, Any]:
        """The review's entry as a proof holds it, and its words, which are on the pages too."""
        return entry_plain(self.entry, self.path) | ({} if self.words is None else {"words": self.words})


@dataclass(frozen=True)
class Proved:
    """An entry that was in the ledger by then, with its path to the checkpoint."""

    entry: Entry
    path: tuple[bytes, ...]

    def plain(self) -> dict[str, Any]:
        """The entry as a proof holds it."""
        return entry_plain(self.entry, self.path)


@dataclass(frozen=True)
class Origin:
    """What was registered of a model by then: itself, what it was trained on, and its newest evaluation."""

    bundle: Proved | None = None
    training: Proved | None = None
    dataset: Proved | None = None
    evaluation: Proved | None = None

    def plain(self) -> dict[str, Any]:
        """The entries that there are, each as a proof holds it."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: proved.plain() for name, proved in parts.items() if proved is not None}


@dataclass(frozen=True)
class Standing:
    """One entry with the proof that it is in the log of N entries, its reviews so far, oldest first, and its model."""

    proof: Proof
    reviews: tuple[StandingReview, ...] = ()
    origin: Origin = Origin()

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
    behind = _behind(room, entry, checkpoint.size) if entry.kind == "prediction" else {}
    with reading(room.ledger.engine) as conn:
        roots = range_roots(conn)
        path = inclusion_of(entry, checkpoint, roots)
        paths = [inclusion_of(e, checkpoint, roots) for _, e in reviewed]
        origin = Origin(**{name: Proved(e, inclusion_of(e, checkpoint, roots)) for name, e in behind.items()})
    said = tuple(StandingReview(*pair, path, _words(room, *pair)) for pair, path in zip(reviewed, paths, strict=True))
    signers = tuple(key for key in keys if key.hash in signing_hashes(checkpoint.note))
    return Standing(Proof(entry, path, checkpoint, None, (), signers), said, origin)


def _words(room: Room, record: ReviewRecord, entry: Entry) -> str | None:
    digest = record.review.words
    return None if digest is None else room.picture(entry, digest).decode("utf-8", "backslashreplace")


def _behind(room: Room, entry: Entry, size: int) -> dict[str, Entry]:
    """What the first `size` entries registered of the model that scored an exam, the newest of each."""
    fields = entry.payload.get("prediction")
    wanted = fields.get("bundle_id") if isinstance(fields, dict) else None
    found: dict[str, Entry] = {}
    for name, kind in (("bundle", "bundle registered"), ("evaluation", "evaluation run")):
        registered = room.ledger.entries(LedgerFilter(kind=kind))
        mine = (e for e in registered if e.number <= size and e.payload.get("bundle_id") == wanted)
        if (newest := next(mine, None)) is not None:
            found[name] = newest
    for name, above, key in (("training", "bundle", "training_entry"), ("dataset", "training", "dataset_entry")):
        number = found[above].payload.get(key) if above in found else None
        if isinstance(number, int) and 0 < number <= size:
            found[name] = room.ledger.entry(number)
    return found


def _checkpoint(room: Room, at: int | None) -> Checkpoint:
    if at is not None:
        return checkpoint_of_size(room, at)
    with reading(room.ledger.engine) as conn:
        return newest_checkpoint(conn, ledger_keys(room))
