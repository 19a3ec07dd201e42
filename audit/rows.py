"""What a verification reads from the tables: as it is stored, in order, a piece at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import SQLAlchemyError

from audit.database import reading
from audit.entries import Entry, decode
from medproto.errors import AuditError, LedgerDamaged, LedgerUnavailable

#: Below every number: also what somebody numbered 0 or less is met.
FROM_THE_START = -(2**63)
_PIECE = 500
#: Bodies of a piece are held at once, with what they say.
_PIECE_BYTES = 2**18
# Typeless on purpose: what was altered must arrive as it is, not fail in a conversion.
# The columns after the leaf come in the order of `Derived`.
_COLUMNS = "number, body, leaf, kind, time, actor, role, exam_id, refers_to, request"
_ENTRIES = text(f"SELECT {_COLUMNS} FROM entry WHERE number > :base ORDER BY number")
_ENTRY = text(f"SELECT {_COLUMNS} FROM entry WHERE number = :number")
_KEY_ENTRIES = text(
    "SELECT body FROM entry WHERE kind IN ('ledger created', 'key rotated', 'restored') ORDER BY number"
)
_ERASING_ENTRIES = text("SELECT body FROM entry WHERE kind = 'erasure' ORDER BY number")
_CHECKPOINTS = text("SELECT size, note, frontier FROM checkpoint WHERE size > :base ORDER BY size")
_NEWEST = text("SELECT size, note, frontier FROM checkpoint WHERE size <= :size ORDER BY size DESC LIMIT 1")


def entry_pieces(conn: Connection, base: int) -> Iterator[list[Row[Any]]]:
    """Rows of the entries after this number, some at a time, entry 1 alone; all that a damaged page does not hide."""
    piece: list[Row[Any]] = []
    weight = 0
    try:
        for row in conn.execute(_ENTRIES, {"base": base}, execution_options={"yield_per": _PIECE}):
            piece.append(row)
            weight += len(row[1]) if type(row[1]) is bytes else 0
            if row[0] == 1 or len(piece) == _PIECE or weight > _PIECE_BYTES:
                yield piece
                piece, weight = [], 0
    except SQLAlchemyError:
        if piece:
            yield piece
        raise
    if piece:
        yield piece


def checkpoint_rows(conn: Connection, base: int) -> Iterator[Row[Any]]:
    """Rows of the checkpoints over more entries than this."""
    yield from conn.execute(_CHECKPOINTS, {"base": base}, execution_options={"yield_per": _PIECE})


def newest_checkpoint(conn: Connection, size: int) -> Row[Any] | None:
    """Row of the last checkpoint over this many entries or fewer."""
    return conn.execute(_NEWEST, {"size": size}).one_or_none()


def promised_size(engine: Engine) -> int:
    """How many entries the last checkpoint claims to cover, unproven; 0 where the database will not say.

    It is asked in a view of its own: where the database is damaged the pass is to say what, and where.
    """
    try:
        with reading(engine) as conn:
            row = newest_checkpoint(conn, sys.maxsize)
    except (LedgerDamaged, LedgerUnavailable):
        return 0
    return row.size if row is not None and type(row.size) is int else 0


def start_rows(conn: Connection, since: int) -> tuple[Row[Any], Row[Any]]:
    """Checkpoint and last entry from which a reading of what follows `since` entries begins; AuditError if absent."""
    start = newest_checkpoint(conn, since)
    entry = conn.execute(_ENTRY, {"number": start.size}).one_or_none() if start is not None else None
    if start is None or entry is None or conn.execute(_ENTRY, {"number": since}).first() is None:
        raise AuditError(f"since: got {since}, expected a number of entries that are there and covered by a checkpoint")
    return start, entry


def key_entries(conn: Connection) -> list[Entry]:
    """Entries whose column says that they name a key, oldest first, as far as they can be read."""
    return [entry for row in conn.execute(_KEY_ENTRIES) if (entry := _readable(row.body)) is not None]


def erasing_entries(conn: Connection) -> list[Entry]:
    """Entries whose column says that they erased a patient, oldest first, as far as they are what it says."""
    read = (_readable(row.body) for row in conn.execute(_ERASING_ENTRIES))
    return [entry for entry in read if entry is not None and entry.kind == "erasure"]


def _readable(body: object) -> Entry | None:
    try:
        return decode(body)
    except AuditError:
        return None  # the pass meets the same row and reports it
