"""The database behind the ledger: SQLite or PostgreSQL, opened so that a commit is durable and appends are serialised.

1. A commit survives a power cut: SQLite in WAL mode with synchronous FULL; PostgreSQL by its own default.
2. One writer at a time: BEGIN IMMEDIATE on SQLite, a transaction-wide advisory lock on PostgreSQL.
3. A reader sees one state: a read transaction on SQLite (WAL), REPEATABLE READ on PostgreSQL.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import SQLITE_CORRUPT, SQLITE_NOTADB
from sqlite3 import Connection as SqliteConnection
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from medproto.errors import LedgerDamaged, LedgerUnavailable

#: Newest revision in `audit/migrations`; a test holds the two together.
REVISION = "0002"
#: Revisions that `audit.upgrading` brings to it.
OLDER_REVISIONS = ("0001",)
#: Tables without which there is no ledger.
TABLES = ("entry", "checkpoint")
#: Tables that are derived from the bodies.
DERIVED_TABLES = ("prediction", "prototype_match", "review", "complaint", "erasure", "bundle_use")
_LOCK = 0x6D656470726F746F  # "medproto": the advisory lock of the append
_BUSY_SECONDS = 60
_SCRUB_SECONDS = 5
_MOST_ENGINES = 8
#: Held while an engine is opened or closed; how often each is open.
_ENGINES = threading.Lock()
_OPENED: Counter[Engine] = Counter()


def read_url(where: str | Path) -> URL:
    """Database URL of a path or URL; LedgerUnavailable for any database but SQLite and PostgreSQL."""
    if isinstance(where, Path):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where)
    except ArgumentError as err:
        raise LedgerUnavailable("ledger: expected a URL such as postgresql://user@host/medproto") from err
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite")
    raise LedgerUnavailable(f"ledger: got a URL for {url.get_backend_name()}, expected an SQLite file or PostgreSQL")


def open_engine(url: URL) -> Engine:
    """Engine for this database; connects to nothing yet.

    A process has one for each database, however often that is opened at once: to prepare its questions anew takes
    longer than to answer them. Where another file took the place of SQLite's, as after a restore, that is another
    database: the file that was there must take no entry any more. `close_engine` goes with each opening.
    """
    with _ENGINES:
        engine = _engine(url, os.getpid(), _file_of(url))
        _OPENED[engine] += 1
        return engine


def close_engine(engine: Engine) -> None:
    """Close what `open_engine` opened: with the last of them the connections go."""
    with _ENGINES:
        _OPENED[engine] -= 1
        if _OPENED[engine] <= 0:
            del _OPENED[engine]
            engine.dispose()


@functools.lru_cache(maxsize=_MOST_ENGINES)
def _engine(url: URL, _process: int, _file: Hashable) -> Engine:
    """The engine; a forked process never shares the connections of the one it came from."""
    # No bound on connections: whoever waits for the append lock holds one, and must not keep the writer from a second.
    if url.get_backend_name() == "postgresql":
        return create_engine(url, max_overflow=-1)
    engine = create_engine(url, max_overflow=-1, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _file_of(url: URL) -> Hashable:
    """Which file is there under SQLite's path; one that is yet to be made is like no other."""
    if url.get_backend_name() != "sqlite":
        return None
    try:
        there = os.stat(url.database or "")
    except OSError:
        return object()
    return there.st_dev, there.st_ino


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the append lock; commits at the end, or rolls back on any exception."""
    with _translated(), engine.connect().execution_options(medproto_write=True) as conn, conn.begin():
        if engine.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield conn


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A read-only view of one state of the database."""
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with _translated(), engine.connect().execution_options(**options) as conn, conn.begin():
        yield conn


def revision_of(conn: Connection) -> str | None:
    """Schema revision of the database, None when it holds no ledger."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(text("SELECT version_num FROM alembic_version")).scalar()


def missing_tables(conn: Connection, tables: Sequence[str] = TABLES) -> list[str]:
    """Those of these tables that the database does not have."""
    there = set(inspect(conn).get_table_names())
    return [table for table in tables if table not in there]


def upgrade(conn: Connection) -> None:
    """Bring the schema to `REVISION`, inside the caller's transaction."""
    # Alembic takes a quarter of a second to import, and almost every start finds the schema as it should be.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def scrub(engine: Engine) -> bool:
    """Rewrite what may still hold deleted rows; False where the database is in use or the role may not.

    SQLite: the whole file, and its journal is emptied. PostgreSQL: the identity table; what its write-ahead log,
    replicas and base backups hold is out of reach.
    """
    sqlite = engine.dialect.name == "sqlite"
    options = {"timeout": _SCRUB_SECONDS} if sqlite else {"options": f"-c lock_timeout={_SCRUB_SECONDS}s"}
    alone = create_engine(engine.url, isolation_level="AUTOCOMMIT", connect_args=options, poolclass=NullPool)
    with _translated():
        try:
            with alone.connect() as conn:
                return _scrub_sqlite(conn) if sqlite else _scrub_postgresql(conn)
        except OperationalError:
            return False  # locked by somebody else's transaction, or no room for the copy: to be done again


@contextmanager
def _translated() -> Iterator[None]:
    """Foreign exceptions become the domain's, once, here; the driver's words may hold values and stay out."""
    try:
        yield
    except SQLAlchemyError as err:
        cause = err.orig if isinstance(err, DBAPIError) else err
        if _is_damage(cause):
            raise LedgerDamaged(["The database is damaged: what it gives back is not what was written."]) from err
        raise LedgerUnavailable(f"ledger: the database refused or cannot be reached ({type(cause).__name__})") from err


def _is_damage(cause: object) -> bool:
    """Whether the database itself says that its pages are not what it wrote (SQLite; PostgreSQL class XX)."""
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    return code in (SQLITE_CORRUPT, SQLITE_NOTADB) or getattr(cause, "sqlstate", None) in ("XX001", "XX002")


def _scrub_sqlite(conn: Connection) -> bool:
    conn.exec_driver_sql("VACUUM")
    busy = conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
    return bool(busy == 0)


def _scrub_postgresql(conn: Connection) -> bool:
    # Without the right to do it PostgreSQL warns and goes on: only a new file says that the table was rewritten.
    file = text("SELECT pg_relation_filenode('identity')")
    before = conn.execute(file).scalar()
    conn.exec_driver_sql("VACUUM (FULL) identity")
    return conn.execute(file).scalar() != before


def _on_sqlite_connect(connection: SqliteConnection, _record: object) -> None:
    # The driver must not begin transactions by itself: `_on_sqlite_begin` does.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    # A text that somebody made invalid must be read and named, not end the verification.
    connection.text_factory = _lenient


def _on_sqlite_begin(conn: Connection) -> None:
    immediate = conn.get_execution_options().get("medproto_write", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
