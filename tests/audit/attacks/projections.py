"""Attacks on the tables that are derived from the bodies: rows that say more or less than their bodies."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from audit.models import DERIVED, Base
from audit.projection import fill
from tests.audit.attacks.attack import Attack, NotPossible
from tests.audit.attacks.copies import Copy


def derive_again(conn: Connection) -> None:
    """Let the derived tables say what the bodies say now, as an attacker would who knows of them."""
    for table in DERIVED:
        conn.execute(delete(table))
    fill(conn)


def _row(copy: Copy, conn: Connection, table: type[Base]) -> dict[str, Any]:
    rows = conn.execute(select(table.__table__).order_by(*table.__table__.primary_key)).mappings().all()
    if not rows:
        raise NotPossible(f"no row in {table.__tablename__}")
    return dict(copy.chance.choice(rows))


def _delete(copy: Copy, table: type[Base]) -> None:
    with copy.owned() as conn:
        row = _row(copy, conn, table)
        conn.execute(delete(table).where(*(column == row[column.name] for column in table.__table__.primary_key)))


def _add(copy: Copy, table: type[Base]) -> None:
    """A row like one that is there, for entry 1, which has none."""
    with copy.owned() as conn:
        conn.execute(insert(table), [_row(copy, conn, table) | {"number": 1}])


def _empty(copy: Copy, table: type[Base]) -> None:
    with copy.owned() as conn:
        _row(copy, conn, table)
        conn.execute(delete(table))


def on_derived_tables() -> Iterator[Attack]:
    """Every table with a row less, a row more, and no row at all."""
    for table in DERIVED:
        name = table.__tablename__
        yield Attack(f"derived table {name}: row deleted", functools.partial(_delete, table=table))
        yield Attack(f"derived table {name}: row added", functools.partial(_add, table=table))
        yield Attack(f"derived table {name}: emptied", functools.partial(_empty, table=table))
