"""The ledger as JSON lines that prove themselves: read by any program, checked by `docs/verify_proof.py`.

First a head (format, newest checkpoint, public keys, and the roots of the tree before the first entry exported), then
every entry with its leaf and its path to that checkpoint, behind the last entry of each commit its checkpoint, and at
the end how much there was. An export guarantees what a proof does for every entry in it, and that none is left out.

It is one view of the database, streamed in constant memory, and a file of that name is there whole or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, Row, text

from audit.canonical import canonical_bytes
from audit.database import reading
from audit.entries import Entry, decode
from audit.evidence import sync_directory
from audit.merkle import HASH_BYTES, Frontier, RangeRoot
from audit.proofs import entry_plain, head_plain, inclusion_of, ledger_keys, newest_checkpoint, range_roots
from audit.room import Room
from audit.signing import Checkpoint, verify_note
from medproto.errors import AuditError, EntryNotFound, LedgerTampered

EXPORT_FORMAT: Final = "medproto-export/1"
_PIECE = 500
_ENTRIES = text("SELECT number, body FROM entry WHERE number >= :since AND number <= :size ORDER BY number")
_NOTES = text("SELECT size, note FROM checkpoint WHERE size >= :since AND size <= :size ORDER BY size")

#: Told (done, total) while the export goes on.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What an export holds: its first entry, the last and the root there, and how many entries and checkpoints."""

    first: int
    size: int
    root: str
    entries: int
    checkpoints: int


def export_ledger(room: Room, path: Path, since: int, progress: Progress) -> Exported:
    """Write the entries from `since` on, with their proofs, to this file.

    Raises:
        EntryNotFound: the ledger has no entry `since`.
        LedgerTampered: an entry cannot be proved; no file is written then.
        AuditError: the file cannot be written.
    """
    with written_whole(path) as file, reading(room.ledger.engine) as conn:
        export = _Export(room, conn, since)
        for line in export.lines(progress):
            file.write(canonical_bytes(line) + b"\n")
    return export.summary()


class _Export:
    """One pass over a ledger: the tree grows with it, and each signed root is compared when it is reached."""

    def __init__(self, room: Room, conn: Connection, since: int) -> None:
        self._conn, self._since, self._keys = conn, since, ledger_keys(room)
        self._newest = newest_checkpoint(conn, self._keys)
        if since > self._newest.size:
            raise EntryNotFound(f"entry {since}: there is none of that number")
        self._roots = range_roots(conn)
        before = b"".join(_perfect_roots(since - 1, self._roots))
        self._tree = Frontier.from_bytes(since - 1, before)
        self._checkpoints = 0

    def lines(self, progress: Progress) -> Iterator[dict[str, Any]]:
        """Head, entries and checkpoints in order, end."""
        before = self._tree.to_bytes()
        roots = [before[i : i + HASH_BYTES].hex() for i in range(0, len(before), HASH_BYTES)]
        head = head_plain(EXPORT_FORMAT, self._newest, self._keys)
        yield head | {"first": self._since, "frontier": roots}
        notes = self._stream(_NOTES)
        pending = next(notes, None)
        for row in self._stream(_ENTRIES):
            yield self._entry(row)
            while pending is not None and pending.size <= self._tree.size:
                yield self._checkpoint(pending)
                pending = next(notes, None)
            progress(self._tree.size - self._since + 1, self._newest.size - self._since + 1)
        if self._tree.size != self._newest.size or pending is not None:
            raise LedgerTampered([f"entry {self._tree.size + 1}: missing: a signed checkpoint covers it."])
        yield vars(self.summary())

    def summary(self) -> Exported:
        """What was exported so far."""
        size, root = self._tree.size, self._tree.root().hex()
        return Exported(self._since, size, root, size - self._since + 1, self._checkpoints)

    def _entry(self, row: Row[Any]) -> dict[str, Any]:
        entry = _decoded(row, self._tree.size + 1)
        self._tree.append(bytes.fromhex(entry.leaf))
        return entry_plain(entry, inclusion_of(entry, self._newest, self._roots))

    def _checkpoint(self, row: Row[Any]) -> dict[str, Any]:
        signed: Checkpoint = verify_note(str(row.note), self._keys)
        if (signed.size, signed.root) != (self._tree.size, self._tree.root().hex()):
            raise LedgerTampered([f"entry {row.size}: the checkpoint over it covers other bytes."])
        self._checkpoints += 1
        return {"checkpoint": signed.note}

    def _stream(self, query: Any) -> Iterator[Row[Any]]:
        bounds = {"since": self._since, "size": self._newest.size}
        yield from self._conn.execute(query, bounds, execution_options={"yield_per": _PIECE})


def _decoded(row: Row[Any], expected: int) -> Entry:
    try:
        entry = decode(row.body)
    except AuditError as err:
        raise LedgerTampered([f"entry {row.number}: its body was altered ({err})."]) from err
    if (row.number, entry.number) != (expected, expected):
        raise LedgerTampered([f"entry {expected}: missing, or another stands in its place."])
    return entry


def _perfect_roots(size: int, roots: RangeRoot) -> Iterator[bytes]:
    """Roots of the perfect subtrees of a tree of that size, largest first: its frontier."""
    start = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            yield roots(start, start + (1 << level))
            start += 1 << level


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside the place, moved there when all went well and is on disk; gone when not. Mode 0600."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError as err:
        raise AuditError(f"export: the file cannot be written there ({err.strerror})") from err
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
        sync_directory(path.parent)
    except OSError as err:
        raise AuditError(f"export: the file cannot be written ({err.strerror})") from err
    finally:
        Path(name).unlink(missing_ok=True)
