"""The worklist: the newest prediction of each exam that was not erased, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from audit.entries import Entry
from audit.evidence import patient_of
from audit.filters import LedgerFilter
from audit.room import Room
from medproto.records import Decision

Status = Literal["open", "reviewed"]
_ORDER: Final = {"flagged": 0, "no decision": 1, "not flagged": 2}


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
    status: Status
    verdict: str | None
    warnings: int
    notes: int
    refused_images: int
    synthetic: bool


@dataclass(frozen=True)
class WorklistFilter:
    """Which exams to list; None lists all. `search` is a part of the exam's or the patient's pseudonym."""

    decision: Decision | None = None
    status: Status | None = None
    verdict: str | None = None
    synthetic: bool | None = None
    search: str = ""


@dataclass(frozen=True)
class WorklistPage:
    """Some lines of the worklist by falling priority, and how many exams match in all."""

    items: tuple[WorklistItem, ...]
    total: int


@dataclass(frozen=True)
class WorklistCounts:
    """How many exams match: by decision, without a review, of synthetic images; and all that were refused or failed."""

    decisions: dict[Decision, int]
    open: int
    synthetic: int
    refused: int

    @property
    def scored(self) -> int:
        """Exams of every decision."""
        return sum(self.decisions.values())


def worklist_page(room: Room, which: WorklistFilter, offset: int = 0, limit: int | None = None) -> WorklistPage:
    """Exams that match, in order: flagged, no decision, not flagged; among these the farthest over the point first."""
    items = sorted(_matching(room, which), key=lambda i: (_ORDER[i.decision], i.operating_margin - i.margin, i.number))
    return WorklistPage(tuple(items[offset : None if limit is None else offset + limit]), len(items))


def worklist_counts(room: Room, which: WorklistFilter) -> WorklistCounts:
    """Counts of the exams that match, to be written beside the filters."""
    items = _matching(room, which)
    decisions = [item.decision for item in items]
    refused = room.ledger.count(LedgerFilter(kind="refusal")) + room.ledger.count(LedgerFilter(kind="failure"))
    return WorklistCounts(
        decisions={
            "flagged": decisions.count("flagged"),
            "no decision": decisions.count("no decision"),
            "not flagged": decisions.count("not flagged"),
        },
        open=sum(item.status == "open" for item in items),
        synthetic=sum(item.synthetic for item in items),
        refused=refused,
    )


def worklist(room: Room, status: Status | None = None) -> list[WorklistItem]:
    """Every exam of the worklist at once, in its order."""
    return list(worklist_page(room, WorklistFilter(status=status)).items)


def _matching(room: Room, which: WorklistFilter) -> list[WorklistItem]:
    verdicts: dict[int, str] = {}
    for entry in room.ledger.entries(LedgerFilter(kind="review")):
        verdicts.setdefault(entry.payload["entry"], entry.payload["verdict"])
    newest: dict[str, WorklistItem] = {}
    erased = room.erasures()
    for entry in room.ledger.entries(LedgerFilter(kind="prediction")):
        if entry.exam_id not in newest and patient_of(entry.payload) not in erased:
            item = _item(entry, verdicts.get(entry.number))
            newest[item.exam_id] = item
    return [item for item in newest.values() if _matches(item, which)]


def _matches(item: WorklistItem, which: WorklistFilter) -> bool:
    wanted = which.search.strip().lower()
    return (
        which.decision in (None, item.decision)
        and which.status in (None, item.status)
        and which.verdict in (None, item.verdict)
        and which.synthetic in (None, item.synthetic)
        and (wanted in item.exam_id.lower() or wanted in item.patient_id.lower())
    )


def _item(entry: Entry, verdict: str | None) -> WorklistItem:
    """Read from the plain body: building the whole record for every line of a long list is too slow."""
    fields: dict[str, Any] = entry.payload["prediction"]
    findings = [*fields["findings"], *(f for image in fields["images"] for f in image["findings"])]
    severities = [finding["severity"] for finding in findings]
    return WorklistItem(
        number=entry.number,
        exam_id=fields["exam_id"],
        patient_id=fields["patient_id"],
        time=entry.time,
        bundle_name=fields["bundle_name"],
        decision=fields["decision"],
        margin=fields["margin"],
        operating_margin=fields["operating_point"]["margin"],
        probability=fields["probability"],
        status="open" if verdict is None else "reviewed",
        verdict=verdict,
        warnings=severities.count("warn"),
        notes=severities.count("note"),
        refused_images=len(fields["refused"]),
        synthetic=fields["synthetic"],
    )
