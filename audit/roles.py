"""Roles for a ledger on PostgreSQL: who writes entries holds no right to change or take away what is written.

The owner makes the ledger once (`medproto audit init`), runs this script, and keeps its own password for migrations.
Triggers refuse a change to everybody; these grants refuse it before a trigger is asked, and to switch a trigger off
one would have to be the owner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from audit.models import Base, IdentityRow
from medproto.errors import InputError

#: The one table from which rows are taken away: to destroy a secret is to forget the patient.
_ERASABLE: Final = IdentityRow.__tablename__
_REVISION: Final = "alembic_version"
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def roles_script(application: str, auditor: str) -> str:
    """SQL for the owner of the tables; running it again changes nothing.

    Args:
        application: role under which medproto scores, signs and reads. No UPDATE, no TRUNCATE, and DELETE on
            identities alone.
        auditor: role that reads everything but identities, and writes nothing.
    """
    for name in (application, auditor):
        if not _NAME.fullmatch(name):
            raise InputError("role: expected small letters, digits and _, not beginning with a digit")
    grown = sorted(name for name in Base.metadata.tables if name != _ERASABLE)
    whole = [*grown, _ERASABLE, _REVISION]
    return "\n".join(
        [
            "-- Run by the owner of the ledger's tables. The roles have no password yet: \\password ROLE sets one.",
            "BEGIN;",
            *(_created(name) for name in (application, auditor)),
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
            f"REVOKE ALL ON {_listed(whole)} FROM PUBLIC, {application}, {auditor};",
            f"GRANT USAGE ON SCHEMA public TO {application}, {auditor};",
            f"GRANT SELECT, INSERT ON {_listed(grown)} TO {application};",
            f"GRANT SELECT, INSERT, DELETE ON {_ERASABLE} TO {application};",
            f"GRANT SELECT ON {_REVISION} TO {application};",
            f"GRANT SELECT ON {_listed([*grown, _REVISION])} TO {auditor};",
            "COMMIT;",
        ]
    )


def _created(name: str) -> str:
    there = f"SELECT FROM pg_roles WHERE rolname = '{name}'"
    return f"DO $$ BEGIN IF NOT EXISTS ({there}) THEN CREATE ROLE {name} LOGIN; END IF; END $$;"


def _listed(tables: Iterable[str]) -> str:
    return ", ".join(tables)
