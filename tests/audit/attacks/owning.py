"""What somebody can do who owns the database: any statement, with no trigger in the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, create_engine, inspect, text
from sqlalchemy.pool import NullPool


@contextmanager
def as_owner(url: URL) -> Iterator[Connection]:
    """A transaction in which no trigger fires; those of SQLite are dropped first and put back after."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as conn:
        if engine.dialect.name == "postgresql":
            conn.exec_driver_sql("SET session_replication_role = replica")
            yield conn
            return
        conn.exec_driver_sql("PRAGMA synchronous = OFF")  # a copy is thrown away: no power cut can hurt it
        triggers = conn.exec_driver_sql("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'").all()
        for trigger in triggers:
            conn.exec_driver_sql(f'DROP TRIGGER "{trigger.name}"')
        yield conn
        left = inspect(conn).get_table_names()
        for trigger in triggers:
            if trigger.tbl_name in left:
                conn.exec_driver_sql(trigger.sql)


def body_of(conn: Connection, number: int) -> bytes:
    """The stored bytes of one entry."""
    return bytes(conn.execute(text("SELECT body FROM entry WHERE number = :n"), {"n": number}).scalar_one())
