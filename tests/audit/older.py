"""A ledger as an older medproto left it: tables of that schema, filled with the rows of another."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, column, insert, select, table

import audit
from audit.database import close_engine, open_engine, read_url, reading, writing
from audit.models import CheckpointRow, EntryRow, IdentityRow


def write_older(source: Engine, where: str | Path, revision: str = "0001") -> None:
    """Make the empty database there a ledger of that schema, with everything that the source has written down."""
    config = Config()
    config.set_main_option("script_location", str(Path(audit.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    target = open_engine(read_url(where))
    with reading(source) as there, writing(target) as here:
        config.attributes["connection"] = here
        command.upgrade(config, revision)
        for rows_of in (EntryRow, CheckpointRow, IdentityRow):
            rows = there.execute(select(*rows_of.__table__.columns)).mappings().all()
            # Schema 0001 kept when a patient was first met.
            more = {"created": "2026-01-31T12:00:00.000000Z"} if rows_of is IdentityRow and revision == "0001" else {}
            whole = table(rows_of.__tablename__, *map(column, [*rows_of.__table__.columns.keys(), *more]))
            here.execute(insert(whole), [dict(row) | more for row in rows])
    close_engine(target)
