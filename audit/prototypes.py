"""From a prototype to every decision it drove, with the reviews of them, and what readers say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, SQLColumnExpression, and_, exists, func, select
from sqlalchemy.orm import aliased

from audit.database import reading
from audit.models import ComplaintRow, MatchRow, PredictionRow, ReviewRow
from audit.queries import ReviewRecord, reviews
from audit.room import Room
from medproto.errors import EntryNotFound
from medproto.records import Decision

_PIECE: Final = 500

_Row = Row[*tuple[Any, ...]]


@dataclass(frozen=True)
class Driven:
    """One decision that a prototype took part in; `rank` counts from 1 by falling contribution.

    `reviews` are the entries of the reviews that stand, `verdicts` what they say, in the same order.
    """

    number: int
    exam_id: str
    decision: Decision
    bundle_name: str
    margin: float
    contribution: float
    rank: int
    verdicts: tuple[str, ...]
    reviews: tuple[int, ...]
    misled: bool


@dataclass(frozen=True)
class PrototypeUse:
    """One prototype of a bundle: decisions it took part in, those it led (rank 1), and reviews saying it misled.

    A review whose place an amendment took counts no longer.
    """

    prototype_id: str
    decisions: int
    led: int
    complaints: int


@dataclass(frozen=True)
class Complaint:
    """One review that stands and says that a prototype misled, with its reader and their words, of the prediction."""

    prediction: int
    signed: ReviewRecord


def trace_prototype(
    room: Room, prototype_id: str, bundle_id: str | None = None, limit: int | None = None, led: bool = False
) -> list[Driven]:
    """The decisions this prototype took part in, newest first; EntryNotFound when there is none.

    Args:
        room: the room that holds them.
        prototype_id: name of the prototype within its bundle.
        bundle_id: the bundle; None for the prototypes of that name in all bundles.
        limit: how many decisions at most.
        led: only those in which it counted most.
    """
    took_part = (
        select(*PredictionRow.__table__.columns, MatchRow.contribution, MatchRow.place)
        .join(MatchRow, MatchRow.number == PredictionRow.number)
        .where(MatchRow.prototype_id == prototype_id)
        .order_by(MatchRow.number.desc())
        .limit(limit)
    )
    if bundle_id is not None:
        took_part = took_part.where(PredictionRow.bundle_id == bundle_id)
    if led:
        took_part = took_part.where(MatchRow.place == 1)
    with reading(room.ledger.engine) as conn:
        pages = conn.execute(took_part).partitions(_PIECE)
        driven = [one for page in pages for one in _driven(conn, page, prototype_id)]
    if not driven:
        raise EntryNotFound("prototype: no prediction in this ledger names it")
    return driven


def prototype_uses(room: Room, bundle_id: str) -> list[PrototypeUse]:
    """What became of each prototype of a bundle in this ledger: those with complaints first, then by decisions led."""
    of_bundle = PredictionRow.bundle_id == bundle_id
    newest = select(func.max(PredictionRow.number)).where(of_bundle).scalar_subquery()
    led = (
        select(MatchRow.prototype_id, func.count().label("times"))
        .join(PredictionRow, and_(PredictionRow.number == MatchRow.number, MatchRow.place == 1))
        .where(of_bundle)
        .group_by(MatchRow.prototype_id)
    )
    misled = (
        select(ComplaintRow.prototype_id, func.count().label("times"))
        .join(PredictionRow, PredictionRow.number == ComplaintRow.prediction)
        .where(of_bundle, ~_amended(ComplaintRow.number))
        .group_by(ComplaintRow.prototype_id)
    )
    with reading(room.ledger.engine) as conn:
        # Every prototype of a bundle is in every prediction by it.
        names = conn.execute(select(MatchRow.prototype_id).where(MatchRow.number == newest)).scalars().all()
        decisions = conn.execute(select(func.count()).select_from(PredictionRow).where(of_bundle)).scalar_one()
        times_led = {row.prototype_id: row.times for row in conn.execute(led)}
        complaints = {row.prototype_id: row.times for row in conn.execute(misled)}
    uses = [PrototypeUse(name, decisions, times_led.get(name, 0), complaints.get(name, 0)) for name in names]
    return sorted(uses, key=lambda use: (-use.complaints, -use.led, use.prototype_id))


def complaints(room: Room, prototype_id: str, bundle_id: str, limit: int = 20) -> list[Complaint]:
    """The reviews of this bundle's decisions that say this prototype misled, newest first, at most that many."""
    misled = (
        select(ComplaintRow.number, ComplaintRow.prediction)
        .join(PredictionRow, PredictionRow.number == ComplaintRow.prediction)
        .where(PredictionRow.bundle_id == bundle_id, ComplaintRow.prototype_id == prototype_id)
        .where(~_amended(ComplaintRow.number))
        .order_by(ComplaintRow.number.desc())
        .limit(limit)
    )
    with reading(room.ledger.engine) as conn:
        found = [(row.number, row.prediction) for row in conn.execute(misled)]
    signed = {one.number: one for entry in {entry for _, entry in found} for one in reviews(room, entry)}
    return [Complaint(entry, signed[number]) for number, entry in found]


def _driven(conn: Connection, rows: Sequence[_Row], prototype_id: str) -> Iterator[Driven]:
    """These predictions with the reviews of them that stand, in the order in which they were signed."""
    numbers = [row.number for row in rows]
    complaint = and_(ComplaintRow.number == ReviewRow.number, ComplaintRow.prototype_id == prototype_id)
    signed = (
        select(ReviewRow.number, ReviewRow.prediction, ReviewRow.verdict, exists().where(complaint).label("misled"))
        .where(ReviewRow.prediction.in_(numbers), ~_amended(ReviewRow.number))
        .order_by(ReviewRow.number)
    )
    said: dict[int, list[_Row]] = {}
    for one in conn.execute(signed):
        said.setdefault(one.prediction, []).append(one)
    for row in rows:
        signed_here = said.get(row.number, [])
        yield Driven(
            number=row.number,
            exam_id=row.exam_id,
            decision=row.decision,
            bundle_name=row.bundle_name,
            margin=row.margin,
            contribution=row.contribution,
            rank=row.place,
            verdicts=tuple(one.verdict for one in signed_here),
            reviews=tuple(one.number for one in signed_here),
            misled=any(one.misled for one in signed_here),
        )


def _amended(number: SQLColumnExpression[int]) -> ColumnElement[bool]:
    """Whether an amendment took the place of that review."""
    amendment = aliased(ReviewRow)
    return exists().where(amendment.amends == number)
