"""Tables derived from the bodies, append-only like what they are derived from; `audit.projection` fills them.

When a patient was first met is no longer kept: nothing read it, so nobody would have noticed where it was altered.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEYS = {
    "prediction": ("number",),
    "prototype_match": ("number", "place"),
    "review": ("number",),
    "complaint": ("number", "prototype_id"),
    "erasure": ("number",),
    "bundle_use": ("number",),
}
_INDEXES = {
    "ix_entry_found": ("entry", "kind", "number", "time", "actor", "role", "exam_id"),
    "ix_prediction_previous": ("prediction", "previous"),
    "ix_prediction_priority": ("prediction", "urgency", "below", "number"),
    "ix_prediction_exam_id": ("prediction", "exam_id", "number"),
    "ix_prototype_match_prototype_id": ("prototype_match", "prototype_id", "number"),
    "ix_review_prediction": ("review", "prediction", "number", "verdict", "act"),
    "ix_review_amends": ("review", "amends"),
    "ix_complaint_prototype_id": ("complaint", "prototype_id", "prediction"),
    "ix_erasure_patient_id": ("erasure", "patient_id"),
    "ix_bundle_use_bundle_id": ("bundle_use", "bundle_id", "number"),
}

# INSERT OR REPLACE passes UPDATE and DELETE triggers, so an existing key is refused before the conflict is resolved.
_SQLITE = (
    "CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table}: what is written is never updated'); END",
    "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table}: what is written is never deleted'); END",
    "CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
    "BEGIN SELECT RAISE(ABORT, '{table}: what is written is never replaced'); END",
)
_POSTGRESQL = (
    "CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION medproto_append_only()",
)


def upgrade() -> None:
    """Create the tables, empty."""
    if "created" in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("identity")}:
        op.drop_column("identity", "created")
    _create_predictions()
    _create_reviews()
    # Where the derived tables are made again, those of the entries are as they should be.
    op.drop_index("ix_entry_kind", "entry", if_exists=True)
    for name, (table, *columns) in _INDEXES.items():
        op.create_index(name, table, columns, if_not_exists=True)
    triggers = _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE
    for table, key in _KEYS.items():
        same = " AND ".join(f"{column} = NEW.{column}" for column in key)
        for trigger in triggers:
            op.execute(sa.text(trigger.format(table=table, same=same)))


def downgrade() -> None:
    """Refuse: a ledger is not taken down by a migration."""
    raise NotImplementedError("a ledger is never downgraded")


def _create_predictions() -> None:
    op.create_table(
        "prediction",
        _number(),
        *(_text(name) for name in ("exam_id", "patient_id", "bundle_id", "bundle_name", "time", "decision")),
        _whole("urgency"),
        *(_real(name) for name in ("margin", "operating_margin", "below")),
        sa.Column("probability", sa.Float(53)),
        *(_whole(name) for name in ("warnings", "notes", "refused_images", "synthetic")),
        sa.Column("previous", _NUMBER),
    )
    op.create_table(
        "prototype_match",
        _number(),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        _text("prototype_id"),
        *(_real(name) for name in ("similarity", "weight", "contribution")),
        sqlite_with_rowid=False,
    )
    op.create_table("bundle_use", _number(), _text("bundle_id"))


def _create_reviews() -> None:
    said = [_text(name) for name in ("exam_id", "verdict", "act")]
    op.create_table("review", _number(), _prediction(), *said, sa.Column("amends", _NUMBER))
    key = sa.Column("prototype_id", sa.Text(), primary_key=True)
    op.create_table("complaint", _number(), key, _prediction(), sqlite_with_rowid=False)
    op.create_table("erasure", _number(), _text("patient_id"))


def _number() -> sa.Column[int]:
    return sa.Column("number", _NUMBER, primary_key=True, autoincrement=False)


def _prediction() -> sa.Column[int]:
    return sa.Column("prediction", _NUMBER, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _real(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Float(53), nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)
