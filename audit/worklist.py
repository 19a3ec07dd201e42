"""The worklist: the newest prediction of each exam that was not erased, a page at a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar, get_args

from sqlalchemy import Row, Select, and_, case, exists, func, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, aliased

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
_LINES: Final = select(*PredictionRow.__table__.columns, _verdict.label("verdict"), _final.label("closed"))


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
    """Which exams to list; None lists all. `search` is a part of the exam's or the patient's pseudonym, `patient_id`
    the whole of the patient's.

    With `by_age` the oldest comes first whatever its outcome; an order by priority tells something of the score.
    """

    decision: Decision | None = None
    status: Status | None = None
    verdict: str | None = None
    synthetic: bool | None = None
    search: str = ""
    patient_id: str | None = None
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
    lines = _listed(_LINES, which).order_by(*_order(which)).offset(offset)
    with reading(room.ledger.engine) as conn:
        total = conn.execute(_listed(select(func.count()).select_from(PredictionRow), which)).scalar_one()
        rows = conn.execute(lines if limit is None else lines.limit(limit)).all()
    return WorklistPage(tuple(map(_item, rows)), total)


def newest_of_patient(room: Room, patient_id: str, limit: int) -> tuple[WorklistItem, ...]:
    """This patient's exams, those that were scored last first, at most `limit` of them."""
    lines = _listed(_LINES, WorklistFilter(patient_id=patient_id)).order_by(PredictionRow.number.desc()).limit(limit)
    with reading(room.ledger.engine) as conn:
        return tuple(map(_item, conn.execute(lines)))


def worklist_next(room: Room, which: WorklistFilter, number: int) -> int | None:
    """The exam that comes after this prediction in the same order, after the last one the first again; None: no other.

    The prediction itself need not match.
    """
    order = _order(which)
    others = _listed(select(PredictionRow.number).where(PredictionRow.number != number), which).order_by(*order)
    with reading(room.ledger.engine) as conn:
        here = conn.execute(select(*order).where(PredictionRow.number == number)).first()
        after = conn.scalar(others.where(tuple_(*order) > tuple_(*here)).limit(1)) if here else None
        return after if after is not None else conn.scalar(others.limit(1))


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


def synthetic_among(room: Room, exam_ids: Collection[str]) -> bool:
    """Whether any of these exams is synthetic, or was scored by a model that learnt from synthetic images."""
    found = select(PredictionRow.number).where(PredictionRow.exam_id.in_(exam_ids), PredictionRow.synthetic == 1)
    with reading(room.ledger.engine) as conn:
        return conn.scalar(found.limit(1)) is not None


def scored_among(room: Room, numbers: Collection[int]) -> int:
    """How many of these entries are predictions."""
    if not numbers:
        return 0
    # By its ends: an import may have more entries than a query takes values.
    found = select(PredictionRow.number).where(PredictionRow.number.between(min(numbers), max(numbers)))
    with reading(room.ledger.engine) as conn:
        return len({*numbers}.intersection(conn.scalars(found)))


def _order(which: WorklistFilter) -> tuple[InstrumentedAttribute[Any], ...]:
    """By what the lines are ordered, the first first."""
    order = (PredictionRow.urgency, PredictionRow.below, PredictionRow.number)
    return order[-1:] if which.by_age else order


def _listed(query: _Query, which: WorklistFilter) -> _Query:
    """The query, narrowed to the exams that match: each by its newest prediction, and none that was erased."""
    query = query.where(
        ~exists().where(_later.previous == PredictionRow.number),
        ~exists().where(ErasureRow.patient_id == PredictionRow.patient_id),
    )
    if which.decision is not None:
        # The index on urgency serves the order by priority; by age it would have all that match sorted.
        of_kind = PredictionRow.decision == which.decision
        query = query.where(of_kind if which.by_age else PredictionRow.urgency == URGENCY[which.decision])
    if which.status is not None:
        query = query.where({"open": ~_read, "reviewed": and_(_read, ~_final), "final": _final}[which.status])
    if which.verdict is not None:
        query = query.where(_verdict == which.verdict)
    if which.synthetic is not None:
        query = query.where(PredictionRow.synthetic == int(which.synthetic))
    if which.patient_id is not None:
        query = query.where(PredictionRow.patient_id == which.patient_id)
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
