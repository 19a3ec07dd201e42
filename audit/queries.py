"""What the screens ask of a room: lists and single records, read only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from audit.encryption import unsalted
from audit.entries import Entry
from audit.filters import LedgerFilter
from audit.payloads import Review
from audit.room import Room
from audit.signing import Checkpoint
from audit.worklist import REFUSED
from medproto.errors import EntryNotFound, EvidenceErased, LedgerTampered
from medproto.records import Prediction


@dataclass(frozen=True)
class ReviewRecord:
    """A review with who signed it, when, and the entry that holds it.

    `review` has its reason and comment again; where they were erased, its comment says by which entry.
    """

    number: int
    actor: str
    role: str
    time: datetime
    review: Review


@dataclass(frozen=True)
class LedgerPage:
    """Some entries, newest first, and how many match in all."""

    entries: tuple[Entry, ...]
    total: int


def prediction(room: Room, number: int) -> tuple[Entry, Prediction]:
    """A prediction entry and its record; EntryNotFound unless that entry is a prediction."""
    entry = room.ledger.entry(number)
    if entry.kind != "prediction":
        raise EntryNotFound(f"entry {number}: is of kind {entry.kind}, expected a prediction")
    return entry, _record(entry)


def picture(room: Room, entry: Entry, digest: str) -> bytes:
    """PNG bytes (similarity maps: .npy) that the entry names, checked; EvidenceMissing or EvidenceErased otherwise."""
    return room.picture(entry, digest)


def pictures(room: Room, entry: Entry) -> Callable[[str], bytes]:
    """What opens one picture after the other of those that the entry names, as `picture` does."""
    return room.pictures(entry)


def reviews(room: Room, number: int) -> list[ReviewRecord]:
    """Reviews of one prediction, oldest first."""
    entries = room.ledger.entries(LedgerFilter(kind="review", refers_to=number))
    return [ReviewRecord(e.number, e.actor, e.role, e.time, _review(room, e)) for e in reversed(entries)]


def refusals(room: Room, offset: int = 0, limit: int | None = None) -> list[Entry]:
    """Entries of kind refusal and failure, newest first."""
    return room.ledger.entries(REFUSED, offset, limit)


def ledger_page(room: Room, which: LedgerFilter | None = None, offset: int = 0, limit: int = 50) -> LedgerPage:
    """Some entries of the ledger, newest first."""
    return LedgerPage(tuple(room.ledger.entries(which, offset, limit)), room.ledger.count(which))


def checkpoint_of(room: Room, number: int) -> Checkpoint:
    """The signed checkpoint of the commit that wrote this entry; its `note` is the C2SP text."""
    return room.ledger.checkpoint(number)


def _review(room: Room, entry: Entry) -> Review:
    """The review with its words, which lie sealed beside the ledger; in old bodies they are in the body."""
    try:
        signed = Review.model_validate(dict(entry.payload))
    except ValidationError as err:
        raise LedgerTampered([f"entry {entry.number}: its payload is not a review of this schema."]) from err
    if signed.words is None:
        return signed
    try:
        words = unsalted(room.picture(entry, signed.words))
    except EvidenceErased as err:
        words = {"comment": f"({err})"}
    return signed.model_copy(update=words)


def _record(entry: Entry) -> Prediction:
    try:
        # JSON has no tuples: strict validation would refuse the lists that they became.
        return Prediction.model_validate(entry.payload["prediction"])
    except (KeyError, ValidationError) as err:
        raise LedgerTampered([f"entry {entry.number}: its payload is not a prediction of this schema."]) from err
