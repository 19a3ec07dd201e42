"""The triggers that keep what is written from being changed, and whether they still are what they were made as.

A trigger of the right name may do nothing: definitions are compared, and on PostgreSQL whether it fires for everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, text

from audit.database import DERIVED_TABLES, TABLES
from audit.models import Base

_GUARDED: Final = (*TABLES, *DERIVED_TABLES)
# As in `audit/migrations`; a test holds the two together.
_REFUSES: Final = "BEGIN SELECT RAISE(ABORT, '{table}: what is written is never {done}'); END"
_SQLITE: Final = {
    "{table}_no_update": "BEFORE UPDATE ON {table} " + _REFUSES.replace("{done}", "updated"),
    "{table}_no_delete": "BEFORE DELETE ON {table} " + _REFUSES.replace("{done}", "deleted"),
    "{table}_no_replace": "BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
    + _REFUSES.replace("{done}", "replaced"),
}
_POSTGRESQL: Final = {
    "{table}_append_only": "BEFORE DELETE OR UPDATE OR TRUNCATE ON {table} FOR EACH STATEMENT "
    "EXECUTE FUNCTION medproto_append_only()"
}
_BODY: Final = "BEGIN RAISE EXCEPTION '%: what is written is never changed (% refused)', TG_TABLE_NAME, TG_OP; END"
_STORED: Final = {
    "sqlite": "SELECT name, sql, 1 AS fires FROM sqlite_master WHERE type = 'trigger'",
    # Neither disabled nor for replicas alone, and its function does what it did.
    "postgresql": "SELECT tgname, pg_get_triggerdef(t.oid, true), tgenabled IN ('O', 'A') AND btrim(prosrc) = :body "
    "FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid WHERE NOT tgisinternal",
}


def trigger_notices(conn: Connection) -> Iterator[str]:
    """Which triggers are gone, switched off or not as they were made, and which are not the ledger's."""
    dialect = conn.dialect.name
    rows = conn.execute(text(_STORED[dialect]), {"body": _BODY} if dialect == "postgresql" else {}).all()
    stored = {name: " ".join(str(made).split()) if fires else "" for name, made, fires in rows}
    as_made = _as_made(dialect)
    for name in sorted(as_made):
        if stored.get(name) != as_made[name]:
            words = "is not as it was made" if name in stored else "is gone"
            yield f"The trigger {name} {words}: the database refuses less."
    if strangers := stored.keys() - as_made.keys():
        yield f"Triggers that are not the ledger's: {len(strangers)}; they may change what is written."


def _as_made(dialect: str) -> dict[str, str]:
    made = {}
    for table in _GUARDED:
        key = [column.name for column in Base.metadata.tables[table].primary_key]
        words = {"table": table, "same": " AND ".join(f"{name} = NEW.{name}" for name in key)}
        for name, definition in (_SQLITE if dialect == "sqlite" else _POSTGRESQL).items():
            made[name.format(**words)] = f"CREATE TRIGGER {name} {definition}".format(**words)
    return made
