"""The tables: entries and checkpoints, which only grow, and identities, the one place that knows who a pseudonym is."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite makes only INTEGER PRIMARY KEY the row's own number.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Base of all tables of the audit trail."""


class EntryRow(Base):
    """One entry. All columns but number, body and leaf repeat the body, to find entries by.

    No column but the number is unique: INSERT OR REPLACE deletes rows that collide on any unique column, and SQLite
    runs no DELETE trigger for them.
    """

    __tablename__ = "entry"

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(Text, index=True)
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
    created: Mapped[str] = mapped_column(Text)
