"""What the screens ask of a room: lists and single records, read only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from audit.entries import Entry
from audit.payloads import Review
from audit.room import Room
from audit.signing import Checkpoint
from medproto.records import Decision, Prediction


@dataclass(frozen=True)
class WorklistItem:
    """One line of the worklist: the newest prediction of an exam."""

    number: int
    exam_id: str
    patient_id: str
    time: datetime
    bundle_name: str
    decision: Decision
    margin: float
    operating_margin: float
    probability: float | None
    status: Literal["open", "reviewed"]
    verdict: str | None
    warnings: int
    notes: int
    refused_images: int
    synthetic: bool


@dataclass(frozen=True)
class ReviewRecord:
    """A review with who signed it, when, and the entry that holds it."""

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


@dataclass(frozen=True)
class LedgerFilter:
    """Which entries to list: of one kind, about one exam, or holding a text in kind, actor, role or exam."""

    kind: str | None = None
    exam_id: str | None = None
    search: str = ""


def worklist(room: Room, status: Literal["open", "reviewed"] | None = None) -> list[WorklistItem]:
    """Newest prediction of each exam: flagged, then no decision, then not flagged, farthest over the point first."""
    raise NotImplementedError


def prediction(room: Room, number: int) -> tuple[Entry, Prediction]:
    """A prediction entry and its record; EntryNotFound unless that entry is a prediction."""
    raise NotImplementedError


def picture(room: Room, digest: str) -> bytes:
    """PNG bytes (similarity maps: .npy) of that digest, checked against it; EvidenceMissing otherwise."""
    raise NotImplementedError


def reviews(room: Room, number: int) -> list[ReviewRecord]:
    """Reviews of one prediction, oldest first."""
    raise NotImplementedError


def refusals(room: Room) -> list[Entry]:
    """Entries of kind refusal and failure, newest first."""
    raise NotImplementedError


def ledger_page(room: Room, which: LedgerFilter | None = None, offset: int = 0, limit: int = 50) -> LedgerPage:
    """Some entries of the ledger, newest first."""
    raise NotImplementedError


def checkpoint_of(room: Room, number: int) -> Checkpoint:
    """The signed checkpoint of the commit that wrote this entry; its `note` is the C2SP text."""
    raise NotImplementedError
