"""Entries, checkpoints and identities, with the triggers that keep the first two append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# INSERT OR REPLACE passes UPDATE and DELETE triggers, so an existing number is refused before the conflict is resolved.
_SQLITE = """
CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{table}: what is written is never updated'); END;
CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{table}: what is written is never deleted'); END;
CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})
BEGIN SELECT RAISE(ABORT, '{table}: what is written is never replaced'); END;
"""

_POSTGRESQL_FUNCTION = """
CREATE FUNCTION medproto_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%: what is written is never changed (% refused)', TG_TABLE_NAME, TG_OP; END $$
"""


def upgrade() -> None:
    """Create everything."""
    _create_tables()
    _create_indexes()
    for table, key in (("entry", "number"), ("checkpoint", "size")):
        if op.get_bind().dialect.name == "postgresql":
            _protect_postgresql(table)
        else:
            for statement in _SQLITE.format(table=table, key=key).split("END;\n"):
                if statement.strip():
                    op.execute(sa.text(statement + "END"))


def downgrade() -> None:
    """Refuse: a ledger is not taken down by a migration."""
    raise NotImplementedError("a ledger is never downgraded")


def _create_tables() -> None:
    op.create_table(
        "entry",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("exam_id", sa.Text()),
        sa.Column("refers_to", _NUMBER),
        sa.Column("request", sa.Text()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.Text(), nullable=False),
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "identity",
        sa.Column("patient_id", sa.Text(), primary_key=True),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
    )


def _create_indexes() -> None:
    for column in ("kind", "exam_id", "refers_to", "request"):
        op.create_index(f"ix_entry_{column}", "entry", [column])
    op.create_index("ix_identity_pseudonym", "identity", ["pseudonym"])


def _protect_postgresql(table: str) -> None:
    if table == "entry":
        op.execute(_POSTGRESQL_FUNCTION)
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION medproto_append_only()"
    )
