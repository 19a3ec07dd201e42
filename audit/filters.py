"""Which entries to list, as a question to the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Select, or_

from audit.models import EntryRow

_Query = TypeVar("_Query", bound="Select[*tuple[Any, ...]]")


@dataclass(frozen=True)
class LedgerFilter:
    """Which entries to list: of one kind or some, about one exam, answering one entry, or with a text in their columns.

    What is None or empty leaves nothing out.
    """

    kind: str | None = None
    exam_id: str | None = None
    refers_to: int | None = None
    request: str | None = None
    search: str = ""
    kinds: tuple[str, ...] = ()


def matching(query: _Query, which: LedgerFilter | None) -> _Query:
    """The query, narrowed to the entries that match."""
    which = which or LedgerFilter()
    for column in ("kind", "exam_id", "refers_to", "request"):
        value = getattr(which, column)
        if value is not None:
            query = query.where(getattr(EntryRow, column) == value)
    if which.kinds:
        query = query.where(EntryRow.kind.in_(which.kinds))
    if which.search:
        columns = (EntryRow.kind, EntryRow.actor, EntryRow.role, EntryRow.exam_id)
        query = query.where(or_(*(column.icontains(which.search, autoescape=True) for column in columns)))
    return query
