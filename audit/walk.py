"""The one pass of a verification over entries and checkpoints; the numbers are those of `audit.verification`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row

from audit.database import reading
from audit.ending import faults_at_end
from audit.entries import KEY_CHANGES, NO_LEAF, Entry, decode, derive, format_time
from audit.findings import Found, Knowledge, Progress, span
from audit.heads import Heads
from audit.holdings import Holdings
from audit.keychain import KeyChain, named_keys
from audit.meaning import Meaning
from audit.merkle import Frontier
from audit.pieces import Piece, Place, sound_piece
from audit.rows import (
    FROM_THE_START,
    checkpoint_rows,
    entry_pieces,
    key_entries,
    newest_checkpoint,
    promised_size,
    start_rows,
)
from audit.signing import Checkpoint
from audit.triggers import trigger_notices
from medproto.errors import AuditError, LedgerDamaged


class Walk:
    """State of the pass: what is expected next, and what was found. Use: `Walk(knowledge).run(engine)`.

    With `knowledge.since` the pass starts at the last signed checkpoint of that size or less, and reads nothing before.
    `progress` is told of pictures, then of entries, a piece at a time.
    """

    def __init__(self, knowledge: Knowledge, progress: Progress | None = None) -> None:
        self.knowledge = knowledge
        self.progress = progress
        self.found = Found()
        self.last = 0
        self.checkpoints = 0
        self.head: Checkpoint | None = None
        #: Leaf and tree so far; None where a fault left them unknown, until a signed checkpoint gives them back.
        self._previous: str | None = NO_LEAF
        self._tree: Frontier | None = Frontier()
        self._covered = 0
        self._promised: Checkpoint | None = None
        self._ahead: Frontier | None = None
        #: Time of the last entry that could be read, in the spelling that sorts; empty before the first.
        self._time = ""
        self._base = FROM_THE_START
        self._signed: Iterator[Row[Any]] = iter(())
        self._pending: Row[Any] | None = None
        #: Size of the checkpoint before the next one; None where nobody looked.
        self._signed_at: object = 0
        self._heads = Heads(knowledge.heads)
        self._meaning = Meaning(self.found, self._heads, None, self._base)
        self.keys = KeyChain(knowledge.keys)

    def run(self, engine: Engine) -> None:
        """Walk over everything once, in one view of the database."""
        try:
            self._pass(engine)
        except LedgerDamaged as err:
            self.found.fault(2, self.last + 1, f"entry {self.last + 1}: it and what follows cannot be read: {err}")
            return
        self._end()

    def _pass(self, engine: Engine) -> None:
        promised = promised_size(engine) if self.progress else 0
        with reading(engine) as conn:
            self._start(conn)
            self._signed = checkpoint_rows(conn, self._base)
            self._pending = next(self._signed, None)
            # The view is fixed by the first query; a file that an entry of it names was written before.
            store = self.knowledge.evidence
            holdings = Holdings(store, conn, self.progress) if store is not None else None
            self._meaning = Meaning(self.found, self._heads, holdings, self._base)
            self._pieces(conn, promised - max(self._base, 0))
            self._checkpoints_below(math.inf)
            self.found.notices += trigger_notices(conn)

    def _pieces(self, conn: Connection, expected: int) -> None:
        met = 0
        for rows in entry_pieces(conn, self._base):
            self._piece(rows)
            met += len(rows)
            if self.progress:
                self.progress("entries", met, max(expected, met))

    def _start(self, conn: Connection) -> None:
        """Know the keys that the entries name, and stand where the reading is to begin."""
        named = key_entries(conn)
        self.keys = KeyChain(self.knowledge.keys, named_keys(named))
        if not self.knowledge.since:
            return
        start, last = start_rows(conn, self.knowledge.since)
        for entry in named:
            row = newest_checkpoint(conn, entry.number)
            if row is not None and entry.number <= start.size:
                self._names_keys(entry)
                self._signed_at = None
                self._checkpoint(row)
        self.last = self._base = start.size
        self._signed_at = self._tree = None
        self._checkpoint(start)
        self.head = self._promised
        self._previous = before.leaf if (before := self._read(last)) is not None else None
        self._known_heads(start.size)
        if dropped := self._heads.drop_before(start.size):
            self.found.notices.append(
                f"{dropped} known checkpoints cover less than {start.size} entries: not compared."
            )

    def all_notices(self) -> Iterator[str]:
        """What is to be noticed but no fault; intents that nothing answered come last."""
        yield from self.found.notices
        yield from self.keys.notices
        yield from self._heads.notices()
        yield from self._meaning.unanswered()

    def _piece(self, rows: Sequence[Row[Any]]) -> None:
        """Rows in order: quickly where all of them are sound, one by one where anything is unlike, and entry 1."""
        self._checkpoints_below(rows[0].number)
        piece = None
        if self.last > 0 and self._previous is not None and self._tree is not None:
            piece = sound_piece(rows, Place(self.last, self._previous, self._time))
        if piece is None or any(entry.kind in KEY_CHANGES for entry in piece.told):
            self._one_by_one(rows)
        else:
            self._sound(piece)

    def _checkpoints_below(self, number: float) -> None:
        while self._pending is not None and self._pending.size < number:
            self._checkpoint(self._pending)
            self._pending = next(self._signed, None)

    def _one_by_one(self, rows: Sequence[Row[Any]]) -> None:
        for row in rows:
            self._checkpoints_below(row.number)
            self._entry(row)

    def _sound(self, piece: Piece) -> None:
        """What a sound piece leaves to be asked: signed and known heads, and what entries mean."""
        first, end = self.last + 1, piece.end.number
        told = {entry.number: entry for entry in piece.told}
        waiting = deque(told)
        while self.last < end:
            seen = min(self._heads.after(self.last), end, self._pending.size if self._pending is not None else end)
            stop = int(min(seen, waiting[0] if waiting else end))
            self.last, self._previous = stop, piece.leaves[stop - first].hex()
            if self._tree is not None and stop == seen:
                self._tree.extend(piece.leaves[self._tree.size + 1 - first : stop + 1 - first])
                self._known_heads(stop)
            if stop in told:
                waiting.popleft()
                self._meaning.of(told[stop], stop in piece.late)
            if stop < end:
                self._checkpoints_below(stop + 1)
        self._time = piece.end.time

    def _entry(self, row: Row[Any]) -> None:
        number = row.number
        if number != self.last + 1:
            self._gap(self.last + 1, number - 1)
        self.last = max(self.last, number)
        entry = self._read(row)
        if entry is None:
            self._previous = self._tree = None
            self.keys.lose()
            return
        if self._previous is not None and entry.previous != self._previous:
            self._broken_chain(number)
        self._previous = entry.leaf
        if number == 1 or entry.kind in KEY_CHANGES:
            self._names_keys(entry)
        if self._tree is not None:
            self._tree.append(bytes.fromhex(entry.leaf))
            self._known_heads(number)
        self._columns(row, entry)
        time = format_time(entry.time)
        self._meaning.of(entry, time < self._time)
        self._time = time

    def _read(self, row: Row[Any]) -> Entry | None:
        """Guarantees 1 and 2 for one row; None when its body proves nothing about the entry."""
        number = row.number
        try:
            entry = decode(row.body)
        except AuditError as err:
            self.found.fault(2, number, f"entry {number}: its body was altered: {err}.")
            return None
        if entry.leaf != row.leaf:
            self.found.fault(2, number, f"entry {number}: its body does not hash to its leaf.")
            return None
        if entry.number != number:
            self.found.fault(1, number, f"entry {number}: its body says it is entry {entry.number}.")
            return None
        return entry

    def _gap(self, first: int, last: int) -> None:
        if last < first:
            self.found.fault(1, last + 1, f"entry {last + 1}: got this number, expected numbers from 1.")
        else:
            self.found.fault(1, first, f"{span(first, last)}: missing.")
        self._previous = self._tree = None
        self.keys.lose()
        if self._ahead is not None and self._ahead.size == last:
            # Signed just before the entry after the gap: from here on the tree is known again.
            self._tree, self._covered = self._ahead, last

    def _broken_chain(self, number: int) -> None:
        """Guarantee 3. A checkpoint that held up to the entry before clears that one."""
        culprit = number if self._covered == number - 1 else number - 1
        words = f"entry {number} names another leaf before it than entry {number - 1} has"
        self.found.fault(3, culprit, f"entry {culprit}: altered after it was written: {words}.")

    def _columns(self, row: Row[Any], entry: Entry) -> None:
        """Guarantee 4."""
        said = vars(derive(entry))
        # 3.0 == 3: of all columns the number alone could be equal and yet of another type.
        if tuple(row[3:]) == tuple(said.values()) and type(row.refers_to) is type(said["refers_to"]):
            return
        for column, value in said.items():
            if getattr(row, column) != value or type(getattr(row, column)) is not type(value):
                self.found.fault(4, entry.number, f"entry {entry.number}: its column {column} differs from its body.")

    def _checkpoint(self, row: Row[Any]) -> None:
        """Guarantee 5 for one checkpoint row; gives back the tree where a fault had lost it."""
        self.checkpoints += 1
        try:
            if not isinstance(row.note, str) or not isinstance(row.frontier, bytes):
                raise AuditError("it is no longer stored as text and bytes")
            signed = self.keys.check(row.note)
            frontier = Frontier.from_bytes(signed.size, row.frontier)
            if signed.size != row.size or frontier.root().hex() != signed.root:
                raise AuditError("its columns differ from what was signed")
        except AuditError as err:
            self.found.fault(5, row.size, f"entry {row.size}: the checkpoint over it was altered: {err}.")
            return
        finally:
            before, self._signed_at = self._signed_at, row.size
        if signed.previous is not None and before is not None and signed.previous != before:
            words = f"the checkpoint over it is missing: the one over {signed.size} entries follows it"
            self.found.fault(5, signed.previous, f"entry {signed.previous}: {words}.")
        self._promised = signed
        if signed.size > self.last:
            self._ahead = frontier
            return
        if self._tree is not None and self._tree.size == signed.size:
            if self._tree.root().hex() == signed.root:
                self.head, self._covered = signed, signed.size
                return
            self._unlike_signed(signed.size)
            self._previous = None
        self._tree, self._covered = frontier, signed.size

    def _unlike_signed(self, size: int) -> None:
        first = self._covered + 1
        if not any(first <= entry <= size for entry in self.found.faulty):
            self.found.fault(5, first, f"{span(first, size)}: altered: the signed checkpoint covers other bytes.")

    def _known_heads(self, size: int) -> None:
        """Guarantees 8 and 9, when the tree has just reached the size of a known head."""
        if self._tree is not None and self._heads.at(size):
            for head, words in self._heads.met(size, self._tree.root().hex(), self.keys):
                self.found.fault(head.guarantee, size, f"entry {size}: {words}.")

    def _names_keys(self, entry: Entry) -> None:
        """Guarantee 5: which key signs from here on."""
        try:
            self.keys.entry(entry)
        except AuditError as err:
            self.found.fault(5, entry.number, f"entry {entry.number}: it changes the key, but {err}.")

    def _end(self) -> None:
        promised = self._promised.size if self._promised else 0
        for fault in faults_at_end(self.last, promised, self._heads, self.keys):
            self.found.fault(*fault)
