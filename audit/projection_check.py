"""Guarantee 10 of a verification: the tables derived from the bodies say what the bodies say, no more and no less.

They are streamed in order beside the bodies, so that memory stays constant. Of what a row was altered to nothing is
repeated, for it may be anything. Whether a body is what was written is for `audit.walk` to say: rows are compared with
the body that is there, and one that proves nothing calls for no rows and forbids none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, inspect, text

from audit.database import reading
from audit.entries import Entry, decode
from audit.findings import MAX_FAULTS, Fault, span
from audit.models import DERIVED, Base
from audit.projection import KINDS_WITH_ROWS, LINK, rows_of
from medproto.errors import AuditError, LedgerDamaged

GUARANTEE: Final = 10
_BODIES_AT_ONCE: Final = 100
_ROWS_AT_ONCE: Final = 1000
#: Number of a row that has none, or of a stream that has ended.
_NONE: Final = sys.maxsize
# Typeless on purpose: what was altered must arrive as it is, not fail in a conversion.
# The numbers alone come first: sorted with their bodies they could fill the disk.
_NUMBERS = text("SELECT number FROM entry WHERE kind IN :kinds AND number > :since ORDER BY number").bindparams(
    bindparam("kinds", KINDS_WITH_ROWS, expanding=True)
)
_BODIES = text("SELECT number, body FROM entry WHERE number IN :numbers ORDER BY number").bindparams(
    bindparam("numbers", expanding=True)
)
_WRONG_LINKS = text(
    f"SELECT number FROM (SELECT number, {LINK}, LAG(number) OVER (PARTITION BY exam_id ORDER BY number) AS wanted "
    f"FROM prediction) AS linked WHERE number > :since AND COALESCE({LINK}, 0) <> COALESCE(wanted, 0) ORDER BY number"
)

_Row = tuple[Any, ...]


def derived_faults(engine: Engine, since: int, progress: Callable[[int], None]) -> list[Fault]:
    """What is wrong with the rows derived from the entries after this number.

    Args:
        progress: told now and then of the last entry that was compared.
    """
    found: list[Fault] = []
    pass_ = _Pass(since, progress)
    try:
        with reading(engine) as conn:
            for number, sentence in pass_.faults(conn):
                if len(found) == MAX_FAULTS:
                    found.append(Fault(GUARANTEE, None, "And more faults in the derived tables."))
                    break
                found.append(Fault(GUARANTEE, number, sentence))
    except LedgerDamaged as err:
        words = f"entry {pass_.last + 1}: rows derived from it or from what follows cannot be read: {err}"
        found.append(Fault(GUARANTEE, pass_.last + 1, words))
    return found


class _Pass:
    """One pass over bodies and derived tables; `last` is the last entry compared."""

    def __init__(self, since: int, progress: Callable[[int], None]) -> None:
        self.last = since
        self._progress = progress

    def faults(self, conn: Connection) -> Iterator[tuple[int, str]]:
        """Number of the entry and a sentence, for everything that is wrong."""
        since = self.last
        streams = [_Stream(conn, table, since) for table in DERIVED]
        for place, (number, entry) in enumerate(_entries(conn, since), 1):
            if place % _BODIES_AT_ONCE == 0:
                self._progress(number)
            yield from _strays(streams, number)
            wanted = rows_of(entry) if entry is not None else {}
            for stream in streams:
                rows = stream.take(number)
                for words in stream.differences(wanted.get(stream.table, []), rows) if entry is not None else ():
                    yield number, f"entry {number}: {words}."
            self.last = number
        yield from _strays(streams, _NONE)
        for number in conn.execute(_WRONG_LINKS, {"since": since}).scalars():
            yield number, f"entry {number}: its row in prediction names another {LINK} one than the exam has."
        for stream in streams:
            if stream.left:
                yield self.last, f"entry {self.last}: a row in {stream.name} behind its own has no number."


class _Stream:
    """The rows of one table in order of their entries, one ahead."""

    def __init__(self, conn: Connection, table: type[Base], since: int) -> None:
        self.table, self.name = table, table.__tablename__
        self._columns = [column.name for column in table.__table__.columns if column.name != LINK]
        self._values = itemgetter(*self._columns)
        #: Place of the column that tells the rows of one entry apart.
        self._key = len(inspect(table).primary_key) - 1
        query = text(f"SELECT {', '.join(self._columns)} FROM {self.name} WHERE number > :since ORDER BY number")
        self._rows = iter(conn.execute(query, {"since": since}, execution_options={"yield_per": _ROWS_AT_ONCE}))
        self._pending: _Row | None = None
        self.number = _NONE
        self._advance()

    @property
    def left(self) -> bool:
        """Whether a row is left that has no number."""
        return self._pending is not None

    def take(self, number: int) -> list[_Row]:
        """The rows of this entry, which are then behind."""
        taken = []
        while self.number == number and self._pending is not None:
            taken.append(self._pending)
            self._advance()
        return taken

    def drop(self, number: int) -> tuple[int, int] | None:
        """Leave the rows before this entry behind; smallest and largest number among them, None without any."""
        if self.number >= number:
            return None
        first = last = self.number
        while self.number < number:
            first, last = min(first, self.number), max(last, self.number)
            self._advance()
        return first, last

    def differences(self, wanted: list[dict[str, Any]], rows: list[_Row]) -> Iterator[str]:
        """How the rows differ from those that the body calls for, in words."""
        said: dict[Any, _Row] = {row[self._key]: row for row in map(self._values, wanted)}
        there = {row[self._key]: row for row in rows}
        if said == there and len(rows) == len(wanted) and _types(said) == _types(there):
            return
        if said.keys() - there.keys():
            yield f"a row of its in {self.name} is missing"
        if there.keys() - said.keys() or len(rows) > len(there):
            yield f"a row in {self.name} is not called for by its body"
        names: dict[str, None] = {}
        for key in said.keys() & there.keys():
            names |= {c: None for c, a, b in zip(self._columns, said[key], there[key], strict=True) if _differ(a, b)}
        if names:
            yield f"its row in {self.name} differs from its body: {', '.join(names)}"

    def _advance(self) -> None:
        row = next(self._rows, None)
        self._pending = None if row is None else tuple(row)
        number = None if row is None else row[0]
        self.number = number if type(number) is int else _NONE


def _entries(conn: Connection, since: int) -> Iterator[tuple[int, Entry | None]]:
    """Entries of the kinds that have rows, by number; None where the body proves nothing."""
    numbers = conn.execute(_NUMBERS, {"since": since}, execution_options={"yield_per": _ROWS_AT_ONCE}).scalars()
    for page in numbers.partitions(_BODIES_AT_ONCE):
        for row in conn.execute(_BODIES, {"numbers": list(page)}):
            yield row.number, _read(row.number, row.body)


def _read(number: int, body: object) -> Entry | None:
    try:
        entry = decode(body)
    except AuditError:
        return None
    return entry if entry.number == number else None


def _strays(streams: list[_Stream], number: int) -> Iterator[tuple[int, str]]:
    """Rows before this number, of entries that the pass did not meet."""
    met = {stream.name: found for stream in streams if (found := stream.drop(number))}
    if met:
        first, last = min(found[0] for found in met.values()), max(found[1] for found in met.values())
        yield first, f"{span(first, last)}: rows in {', '.join(met)} that no entry calls for."


def _differ(one: object, other: object) -> bool:
    """1 == 1.0: of two equal values the types could still differ."""
    return one != other or type(one) is not type(other)


def _types(rows: dict[Any, _Row]) -> dict[Any, list[type]]:
    return {key: [type(value) for value in row] for key, row in rows.items()}
