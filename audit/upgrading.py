"""A ledger that an older medproto wrote is brought to this one's tables; no body and no checkpoint is touched."""

from __future__ import annotations

from sqlalchemy import Engine

from audit.database import REVISION, revision_of, upgrade, writing
from audit.projection import fill
from medproto.errors import LedgerUnavailable


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
