"""Which entries to list, as a question to the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, or_, select, union_all
from sqlalchemy.orm import aliased

from audit.entries import format_time
from audit.models import BundleUseRow, ComplaintRow, EntryRow, MatchRow

_Query = TypeVar("_Query", bound="Select[*tuple[Any, ...]]")


@dataclass(frozen=True)
class LedgerFilter:
    """Which entries to list; what is None or empty leaves nothing out.

    Args:
        kind: one kind.
        exam_id: pseudonym of the exam they are about.
        refers_to: the entry they answer, review or export.
        request: digest of an intent's request.
        search: a part of kind, actor, role or exam, in small letters or capitals.
        kinds: some kinds.
        actor: the whole name of who acted.
        since: at this time or later.
        until: before this time.
        bundle_id: the bundle they name.
        prototype_id: a prototype that they hold as evidence, or that they say misled.
    """

    kind: str | None = None
    exam_id: str | None = None
    refers_to: int | None = None
    request: str | None = None
    search: str = ""
    kinds: tuple[str, ...] = ()
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    bundle_id: str | None = None
    prototype_id: str | None = None

    @property
    def searches(self) -> bool:
        """Whether it asks for what only a look at many entries finds."""
        return bool(self.search) or any(value is not None for value in (self.actor, self.since, self.until))


def matching(query: _Query, which: LedgerFilter | None) -> _Query:
    """The query, narrowed to the entries that match."""
    which = which or LedgerFilter()
    for column in ("kind", "exam_id", "refers_to", "request"):
        value = getattr(which, column)
        if value is not None:
            query = query.where(getattr(EntryRow, column) == value)
    if which.kinds:
        query = query.where(EntryRow.kind.in_(which.kinds))
    if which.searches:
        query = query.where(EntryRow.number.in_(_searched(which)))
    if which.bundle_id is not None:
        query = query.where(EntryRow.number.in_(_numbers(BundleUseRow, BundleUseRow.bundle_id == which.bundle_id)))
    if which.prototype_id is not None:
        evidence = _numbers(MatchRow, MatchRow.prototype_id == which.prototype_id)
        complaints = _numbers(ComplaintRow, ComplaintRow.prototype_id == which.prototype_id)
        query = query.where(EntryRow.number.in_(union_all(evidence, complaints)))
    return query


def _searched(which: LedgerFilter) -> Select[int]:
    """Numbers found by columns that one index holds: the bodies between the columns are not gone through."""
    found = aliased(EntryRow)
    query = select(found.number)
    if which.kind is not None:
        query = query.where(found.kind == which.kind)
    if which.actor is not None:
        query = query.where(found.actor == which.actor)
    if which.since is not None:
        query = query.where(found.time >= format_time(which.since))
    if which.until is not None:
        query = query.where(found.time < format_time(which.until))
    if which.search:
        columns = (found.kind, found.actor, found.role, found.exam_id)
        query = query.where(or_(*(column.icontains(which.search, autoescape=True) for column in columns)))
    return query


def _numbers(table: type[BundleUseRow | ComplaintRow | MatchRow], where: ColumnElement[bool]) -> Select[int]:
    return select(table.number).where(where)
