"""The tables: entries and checkpoints, which only grow, and identities, the one place that knows who a pseudonym is.

The tables after these are derived from the bodies, to ask questions by; they only grow too, and `verify` compares
every row with the body behind it. There is no table of exams: an exam is its newest prediction.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Index, Integer, LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite makes only INTEGER PRIMARY KEY the row's own number.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
_FLOAT = Float(53)
# Without it SQLite would keep these rows twice: in a table of its own numbering, and in the index of the key.
_KEYED = {"sqlite_with_rowid": False}


class Base(DeclarativeBase):
    """Base of all tables of the audit trail."""


class EntryRow(Base):
    """One entry. All columns but number, body and leaf repeat the body, to find entries by.

    No column but the number is unique: INSERT OR REPLACE deletes rows that collide on any unique column, and SQLite
    runs no DELETE trigger for them. One index holds all that is searched, for the bodies lie between the other columns.
    """

    __tablename__ = "entry"
    __table_args__ = (Index("ix_entry_found", "kind", "number", "time", "actor", "role", "exam_id"),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(Text)
    time: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    exam_id: Mapped[str | None] = mapped_column(Text, index=True)
    refers_to: Mapped[int | None] = mapped_column(_NUMBER, index=True)
    request: Mapped[str | None] = mapped_column(Text, index=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    leaf: Mapped[str] = mapped_column(Text)


class CheckpointRow(Base):
    """The signed tree head of one commit, and the frontier from which the next one grows."""

    __tablename__ = "checkpoint"

    size: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(Text)
    frontier: Mapped[bytes] = mapped_column(LargeBinary)


class IdentityRow(Base):
    """One patient's secret. The one table that is not append-only: to destroy a secret is to forget the patient."""

    __tablename__ = "identity"

    patient_id: Mapped[str] = mapped_column(Text, primary_key=True)
    pseudonym: Mapped[str] = mapped_column(Text, index=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)


class PredictionRow(Base):
    """What the worklist asks of a prediction's body. `below` is how far the margin lies under the operating point.

    `previous` is the prediction of the same exam before it: by that one index tells which is an exam's newest.
    """

    __tablename__ = "prediction"
    __table_args__ = (
        Index("ix_prediction_priority", "urgency", "below", "number"),
        Index("ix_prediction_exam_id", "exam_id", "number"),
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    exam_id: Mapped[str] = mapped_column(Text)
    patient_id: Mapped[str] = mapped_column(Text)
    bundle_id: Mapped[str] = mapped_column(Text)
    bundle_name: Mapped[str] = mapped_column(Text)
    time: Mapped[str] = mapped_column(Text)
    decision: Mapped[str] = mapped_column(Text)
    urgency: Mapped[int] = mapped_column(Integer)
    margin: Mapped[float] = mapped_column(_FLOAT)
    operating_margin: Mapped[float] = mapped_column(_FLOAT)
    below: Mapped[float] = mapped_column(_FLOAT)
    probability: Mapped[float | None] = mapped_column(_FLOAT)
    warnings: Mapped[int] = mapped_column(Integer)
    notes: Mapped[int] = mapped_column(Integer)
    refused_images: Mapped[int] = mapped_column(Integer)
    synthetic: Mapped[int] = mapped_column(Integer)
    previous: Mapped[int | None] = mapped_column(_NUMBER, index=True)


class MatchRow(Base):
    """One prototype of a prediction; `place` counts from 1 by falling contribution."""

    __tablename__ = "prototype_match"
    __table_args__ = (Index("ix_prototype_match_prototype_id", "prototype_id", "number"), _KEYED)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    prototype_id: Mapped[str] = mapped_column(Text)
    similarity: Mapped[float] = mapped_column(_FLOAT)
    weight: Mapped[float] = mapped_column(_FLOAT)
    contribution: Mapped[float] = mapped_column(_FLOAT)


class ReviewRow(Base):
    """One review, of the prediction in that entry; an amendment takes the place of the review it `amends`."""

    __tablename__ = "review"
    __table_args__ = (Index("ix_review_prediction", "prediction", "number", "verdict", "act"),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    prediction: Mapped[int] = mapped_column(_NUMBER)
    exam_id: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(Text)
    act: Mapped[str] = mapped_column(Text)
    amends: Mapped[int | None] = mapped_column(_NUMBER, index=True)


class ComplaintRow(Base):
    """One prototype that a review says misled, in the prediction in that entry."""

    __tablename__ = "complaint"
    __table_args__ = (Index("ix_complaint_prototype_id", "prototype_id", "prediction"), _KEYED)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    prototype_id: Mapped[str] = mapped_column(Text, primary_key=True)
    prediction: Mapped[int] = mapped_column(_NUMBER)


class ErasureRow(Base):
    """One erased patient."""

    __tablename__ = "erasure"

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    patient_id: Mapped[str] = mapped_column(Text, index=True)


class BundleUseRow(Base):
    """An entry of any kind that names a bundle."""

    __tablename__ = "bundle_use"
    __table_args__ = (Index("ix_bundle_use_bundle_id", "bundle_id", "number"),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    bundle_id: Mapped[str] = mapped_column(Text)


#: Tables that are derived from the bodies and only grow (`audit.projection`).
DERIVED: tuple[type[Base], ...] = (PredictionRow, MatchRow, ReviewRow, ComplaintRow, ErasureRow, BundleUseRow)
