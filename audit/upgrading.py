"""A ledger that an older medproto wrote is brought to this one's tables; no body and no checkpoint is touched."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

from audit.database import (
    DERIVED_TABLES,
    OLDER_REVISIONS,
    REVISION,
    close_engine,
    missing_tables,
    open_engine,
    read_url,
    revision_of,
    upgrade,
    writing,
)
from audit.projection import fill
from medproto.errors import LedgerAbsent, LedgerUnavailable


def upgrade_tables(engine: Engine) -> None:
    """Bring the tables up to date in one transaction: all of it happens, or nothing.

    Raises:
        LedgerUnavailable: the database refuses.
    """
    try:
        with writing(engine) as conn:
            # Two that open it at once: the second finds it done.
            if revision_of(conn) != REVISION:
                upgrade(conn)
                fill(conn)
    except LedgerUnavailable as err:
        raise LedgerUnavailable(f"{err}; its tables are older than this medproto and stay as they are") from err


def derive_again(where: str | Path) -> None:
    """Throw the derived tables away and make them from the bodies again, in one transaction.

    Raises:
        LedgerUnavailable: no ledger of this medproto is there, or the database refuses.
    """
    url = read_url(where)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise LedgerAbsent("ledger: there is none here")
    engine = open_engine(url)
    try:
        with writing(engine) as conn:
            revision = revision_of(conn)
            if revision not in (REVISION, *OLDER_REVISIONS) or missing_tables(conn):
                raise LedgerUnavailable(
                    f"ledger: got schema {revision}, expected a whole ledger of {REVISION} or older"
                )
            for table in DERIVED_TABLES:
                conn.execute(text(f"DROP TABLE IF EXISTS {table}"))
            conn.execute(text("UPDATE alembic_version SET version_num = :before"), {"before": OLDER_REVISIONS[-1]})
            upgrade(conn)
            fill(conn)
    finally:
        close_engine(engine)
