"""The worklist: the newest prediction of each exam that was not erased, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar, get_args

from sqlalchemy import Row, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import aliased

from audit.database import reading
from audit.entries import parse_time
from audit.filters import LedgerFilter, matching
from audit.models import EntryRow, ErasureRow, PredictionRow, ReviewRow
from audit.projection import URGENCY
from audit.room import Room
from medproto.records import Decision

Status = Literal["open", "reviewed", "final"]
#: Entries of exams that could not be scored.
REFUSED: Final = LedgerFilter(kinds=("refusal", "failure"))

_Query = TypeVar("_Query", bound="Select[*tuple[Any, ...]]")
_later = aliased(PredictionRow)
#: What the newest review of a prediction says: an amendment is newer than what it takes the place of.
_verdict = (
    select(ReviewRow.verdict)
    .where(ReviewRow.prediction == PredictionRow.number)
    .order_by(ReviewRow.number.desc())
    .limit(1)
    .correlate(PredictionRow)
    .scalar_subquery()
)
_read = exists().where(ReviewRow.prediction == PredictionRow.number).correlate(PredictionRow)
_final = _read.where(ReviewRow.act == "final")


@dataclass(frozen=True)
class WorklistItem:
    """One line of the worklist: the newest prediction of an exam, and what the newest review of it says.

    `status` is final once a final reading closed the exam.
    """

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
    """Which exams to list; None lists all. `search` is a part of the exam's or the patient's pseudonym.

    With `by_age` the oldest comes first whatever its outcome: an order by priority would tell the score.
    """

    decision: Decision | None = None
    status: Status | None = None
    verdict: str | None = None
    synthetic: bool | None = None
    search: str = ""
    by_age: bool = False


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
    """Exams that match, in order: flagged, no decision, not flagged; among these the farthest over the point first.

    Of two that are equally far the one that waits longer comes first.
    """
    lines = _listed(select(*PredictionRow.__table__.columns, _verdict.label("verdict"), _final.label("closed")), which)
    order = () if which.by_age else (PredictionRow.urgency, PredictionRow.below)
    lines = lines.order_by(*order, PredictionRow.number).offset(offset)
    with reading(room.ledger.engine) as conn:
        total = conn.execute(_listed(select(func.count()).select_from(PredictionRow), which)).scalar_one()
        rows = conn.execute(lines if limit is None else lines.limit(limit)).all()
    return WorklistPage(tuple(map(_item, rows)), total)


def worklist_counts(room: Room, which: WorklistFilter) -> WorklistCounts:
    """Counts of the exams that match, to be written beside the filters."""
    kinds = select(
        PredictionRow.decision,
        func.count().label("exams"),
        func.sum(case((_read, 0), else_=1)).label("open"),
        func.sum(PredictionRow.synthetic).label("synthetic"),
    ).group_by(PredictionRow.decision)
    with reading(room.ledger.engine) as conn:
        rows = conn.execute(_listed(kinds, which)).all()
        refused = conn.execute(matching(select(func.count()).select_from(EntryRow), REFUSED)).scalar_one()
    exams = {row.decision: row.exams for row in rows}
    return WorklistCounts(
        decisions={decision: exams.get(decision, 0) for decision in get_args(Decision)},
        open=sum(row.open for row in rows),
        synthetic=sum(row.synthetic for row in rows),
        refused=refused,
    )


def _listed(query: _Query, which: WorklistFilter) -> _Query:
    """The query, narrowed to the exams that match: each by its newest prediction, and none that was erased."""
    query = query.where(
        ~exists().where(_later.previous == PredictionRow.number),
        ~exists().where(ErasureRow.patient_id == PredictionRow.patient_id),
    )
    if which.decision is not None:
        query = query.where(PredictionRow.urgency == URGENCY[which.decision])
    if which.status is not None:
        query = query.where({"open": ~_read, "reviewed": and_(_read, ~_final), "final": _final}[which.status])
    if which.verdict is not None:
        query = query.where(_verdict == which.verdict)
    if which.synthetic is not None:
        query = query.where(PredictionRow.synthetic == int(which.synthetic))
    if wanted := which.search.strip():
        names = (PredictionRow.exam_id, PredictionRow.patient_id)
        query = query.where(or_(*(name.icontains(wanted, autoescape=True) for name in names)))
    return query


def _item(row: Row[*tuple[Any, ...]]) -> WorklistItem:
    status: Status = "final" if row.closed else "open" if row.verdict is None else "reviewed"
    return WorklistItem(
        number=row.number,
        exam_id=row.exam_id,
        patient_id=row.patient_id,
        time=parse_time(row.time),
        bundle_name=row.bundle_name,
        decision=row.decision,
        margin=row.margin,
        operating_margin=row.operating_margin,
        probability=row.probability,
        status=status,
        verdict=row.verdict,
        warnings=row.warnings,
        notes=row.notes,
        refused_images=row.refused_images,
        synthetic=bool(row.synthetic),
    )
