"""One flipped bit in any column of any table, whatever tables there are."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from random import Random
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from tests.audit.attacks.attack import Attack, NotPossible
from tests.audit.attacks.copies import Copy

_TRIES = 200
#: The table that may be emptied: of what is altered there a warning is all there can be.
_ERASABLE = "identity"


def bit_flips(copy: Copy) -> Iterator[Attack]:
    """One attack for each column of each table."""
    with copy.owned() as conn:
        found = inspect(conn)
        columns = [
            (table, str(c["name"])) for table in sorted(found.get_table_names()) for c in found.get_columns(table)
        ]
    for table, column in columns:
        run = functools.partial(_flip, table=table, column=column)
        yield Attack(f"bit flipped in {table}.{column}", run, warning=table == _ERASABLE)


def _flip(copy: Copy, table: str, column: str) -> None:
    """Flip one bit of one value in a row of chance; again elsewhere where the database refuses the new value."""
    with copy.owned() as conn:
        key = inspect(conn).get_pk_constraint(table)["constrained_columns"]
        # SQLite gives text as its bytes: it need not be text any more afterwards.
        stored = f"CAST({column} AS BLOB), typeof({column})" if conn.dialect.name == "sqlite" else f"{column}, ''"
        query = f"SELECT {stored}, {column}, {', '.join(key)} FROM {table} WHERE {column} IS NOT NULL"
        rows = conn.exec_driver_sql(f"{query} ORDER BY {', '.join(key)}").all()
        if not rows:
            raise NotPossible(f"no value in {table}.{column}")
        for _ in range(_TRIES):
            raw, kind, value, *place = copy.chance.choice(rows)
            new = "CAST(:new AS TEXT)" if kind == "text" else ":new"
            address = " AND ".join(f"{name} = :key{i}" for i, name in enumerate(key))
            values = {f"key{i}": part for i, part in enumerate(place)}
            values["new"] = _flipped(copy.chance, raw if kind == "text" else value)
            if _taken(conn, f"UPDATE {table} SET {column} = {new} WHERE {address}", values):
                return
    raise NotPossible(f"no bit that {table}.{column} would take")


def _flipped(chance: Random, value: Any) -> Any:
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(20)
    if isinstance(value, float):
        (bits,) = struct.unpack("<q", struct.pack("<d", value))
        return struct.unpack("<d", struct.pack("<q", bits ^ 1 << chance.randrange(52)))[0]
    if isinstance(value, str):
        at = chance.choice([place for place, letter in enumerate(value) if letter.isascii()])
        return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    at = chance.randrange(8 * len(value))
    flipped = bytearray(value)
    flipped[at // 8] ^= 1 << at % 8
    return bytes(flipped)


def _taken(conn: Connection, statement: str, values: dict[str, Any]) -> bool:
    try:
        with conn.begin_nested():
            conn.execute(text(statement), values)
    except DBAPIError:
        return False
    return True
