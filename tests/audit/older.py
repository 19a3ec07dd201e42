"""A ledger as an older medproto left it: tables of that schema, filled with the rows of another."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, insert, select

import audit
from audit.database import open_engine, read_url, reading, writing
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
        for table in (EntryRow, CheckpointRow, IdentityRow):
            rows = there.execute(select(*table.__table__.columns)).mappings().all()
            here.execute(insert(table), [dict(row) for row in rows])
    target.dispose()
