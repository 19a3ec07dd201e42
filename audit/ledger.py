"""The ledger: append, read, and nothing else; there is no update and no delete.

`append` guarantees:

1. Appends are serialised, and numbers run from 1 without a gap.
2. The stored bytes are the hashed bytes, and each body names the leaf before it.
3. Entries and the signed checkpoint over them are committed together, or not at all.
4. It signs over no head that its own key has not signed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, Row, Select, func, insert, select

from audit.database import (
    DERIVED_TABLES,
    OLDER_REVISIONS,
    REVISION,
    TABLES,
    close_engine,
    missing_tables,
    open_engine,
    read_url,
    reading,
    revision_of,
    upgrade,
    writing,
)
from audit.entries import KEY_CHANGES, NO_LEAF, Entry, EntryDraft, decode, derive, encode, format_time
from audit.filters import LedgerFilter, matching
from audit.merkle import Frontier
from audit.models import CheckpointRow, EntryRow
from audit.projection import project
from audit.signing import Checkpoint, PublicKey, Signer, append_note, verify_note
from audit.upgrading import upgrade_tables
from medproto.errors import AuditError, EntryNotFound, KeyProblem, LedgerAbsent, LedgerTampered, LedgerUnavailable

#: The largest number that the column of numbers holds.
_MOST_ENTRIES: Final = 2**63 - 1
_CREATE_HINT = "create one by scoring an exam or with `medproto audit init`"


@dataclass(frozen=True)
class Head:
    """Where the ledger ends: its last checkpoint, the frontier there, and the last entry's leaf."""

    checkpoint: Checkpoint
    frontier: Frontier
    leaf: str


@dataclass(frozen=True)
class Ledger:
    """An open ledger. Without a signer it can be read and verified, not appended to."""

    engine: Engine
    signer: Signer | None
    anchors: Path | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def append(self, drafts: Sequence[EntryDraft], within: Callable[[Connection], None] | None = None) -> list[Entry]:
        """Write these entries in one durable commit that ends in a signed checkpoint, and return them.

        Args:
            drafts: the entries, in order.
            within: what else the same commit is to do; where it raises, nothing is written.
        """
        signer = self._signer()
        if not drafts:
            raise AuditError("append: got no entry, expected at least one")
        with writing(self.engine) as conn:
            head = read_head(conn, signer.public)
            entries, checkpoint = _write(conn, drafts, head, [signer], self.clock)
            if within is not None:
                within(conn)
        self._anchor(checkpoint)
        return entries

    def change_key(self, draft: EntryDraft, valid: PublicKey, signers: Sequence[Signer]) -> Entry:
        """Write the entry that names another key from here on, under a checkpoint that carries several signatures.

        Args:
            draft: the entry; its payload names both keys.
            valid: the key in force until then.
            signers: the keys that are at hand, the new one last. Without that of `valid` every verification says so.
        """
        with writing(self.engine) as conn:
            head = read_head(conn, valid)
            entries, checkpoint = _write(conn, [draft], head, signers, self.clock)
        self._anchor(checkpoint)
        return entries[0]

    def entry(self, number: int) -> Entry:
        """The entry of that number; EntryNotFound, or LedgerTampered when it is not what was written."""
        row = None
        if number <= _MOST_ENTRIES:  # a database asked for a number it cannot hold has an error of its own
            with reading(self.engine) as conn:
                row = conn.execute(_entries().where(EntryRow.number == number)).one_or_none()
        if row is None:
            raise EntryNotFound(f"entry {number}: there is none of that number")
        return _read(row, _decoded)

    def entries(self, which: LedgerFilter | None = None, offset: int = 0, limit: int | None = None) -> list[Entry]:
        """The entries that match, newest first."""
        query = matching(_entries(), which).order_by(EntryRow.number.desc()).offset(offset)
        with reading(self.engine) as conn:
            rows = conn.execute(query if limit is None else query.limit(limit)).all()
        return [_read(row) for row in rows]

    def count(self, which: LedgerFilter | None = None) -> int:
        """How many entries match."""
        with reading(self.engine) as conn:
            return conn.execute(matching(select(func.count()).select_from(EntryRow), which)).scalar_one()

    def checkpoint(self, number: int) -> Checkpoint:
        """The checkpoint of the commit that wrote entry `number`; EntryNotFound where none covers it."""
        query = select(CheckpointRow.note).where(CheckpointRow.size >= number).order_by(CheckpointRow.size).limit(1)
        with reading(self.engine) as conn:
            note = conn.execute(query).scalar()
        if note is None or number < 1:
            raise EntryNotFound(f"entry {number}: no checkpoint covers it")
        return Checkpoint.from_note(note)

    def head(self, key: PublicKey) -> Checkpoint:
        """The last checkpoint, if this key signed it and the last entry is the one it ends in."""
        with reading(self.engine) as conn:
            return read_head(conn, key).checkpoint

    def leaves(self, size: int) -> list[bytes]:
        """Leaf hashes of the first `size` entries, as stored: what inclusion and consistency proofs are made from."""
        query = select(EntryRow.leaf).where(EntryRow.number <= size).order_by(EntryRow.number)
        with reading(self.engine) as conn:
            return [bytes.fromhex(leaf) for leaf in conn.execute(query).scalars()]

    def close(self) -> None:
        """Let go of the database."""
        close_engine(self.engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _signer(self) -> Signer:
        if self.signer is None:
            raise KeyProblem("signing key: this ledger was opened without one, and can only be read")
        return self.signer

    def _anchor(self, checkpoint: Checkpoint) -> None:
        """Append the checkpoint to the anchors file: after the commit, so that it never promises what is not there."""
        if self.anchors is None:
            return
        try:
            append_note(self.anchors, checkpoint)
        except KeyProblem as err:
            raise AuditError(f"the entry is written, but not anchored: {err}") from err


def create_ledger(where: str | Path, signer: Signer, payload: dict[str, Any], anchors: Path | None = None) -> Ledger:
    """Make an empty database a ledger: schema and entry 1, which names its public key, in one commit.

    A database that already holds a ledger is opened as it is, so that creating twice loses nothing.
    """
    ledger = Ledger(open_engine(read_url(where)), signer, anchors)
    with writing(ledger.engine) as conn:
        before = revision_of(conn)
        if before is None:
            upgrade(conn)
            created = EntryDraft("ledger created", payload | {"public_key": signer.public.vkey}, "medproto", "system")
            _write(conn, [created], None, [signer], ledger.clock)
    if before is None:
        return ledger
    ledger.close()
    return open_ledger(where, signer, anchors)


def open_ledger(
    where: str | Path, signer: Signer | None, anchors: Path | None = None, *, may_upgrade: bool = False
) -> Ledger:
    """Open a ledger that exists; LedgerUnavailable when there is none, or one that a newer medproto wrote.

    Tables that an older medproto wrote are brought up to date where there is a signer or `may_upgrade`; whoever only
    reads changes nothing and is told.
    """
    url = read_url(where)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise LedgerAbsent(f"ledger: there is none here; {_CREATE_HINT}")
    ledger = Ledger(open_engine(url), signer, anchors)
    try:
        _fit_tables(ledger.engine, signer is not None or may_upgrade)
    except AuditError:
        ledger.close()
        raise
    return ledger


def _fit_tables(engine: Engine, may_upgrade: bool) -> None:
    """See to it that the tables are those of this medproto."""
    with reading(engine) as conn:
        revision, missing, derived = revision_of(conn), missing_tables(conn), missing_tables(conn, DERIVED_TABLES)
    if revision is None and len(missing) == len(TABLES):
        raise LedgerAbsent(f"ledger: the database holds none; {_CREATE_HINT}")
    if revision == REVISION:
        missing += derived
    if revision is None or missing:
        raise LedgerTampered([f"entry 1: missing: the table {', '.join(missing) or 'alembic_version'} was emptied."])
    if revision in OLDER_REVISIONS and len(derived) < len(DERIVED_TABLES):
        raise LedgerTampered([f"entry 1: the schema is said to be {revision}, and has tables of {REVISION}."])
    if revision in OLDER_REVISIONS and not may_upgrade:
        words = f"got schema {revision}, expected {REVISION}: an older medproto wrote it"
        raise LedgerUnavailable(f"ledger: {words}; `medproto audit upgrade` brings its tables up to date")
    if revision in OLDER_REVISIONS:
        upgrade_tables(engine)
    elif revision != REVISION:
        raise LedgerUnavailable(f"ledger: got schema {revision}, expected {REVISION}: another medproto wrote it")


def read_head(conn: Connection, key: PublicKey) -> Head:
    """Where the ledger ends, if what the database shows is what this key signed; LedgerTampered otherwise."""
    stored, row = conn.execute(_LAST_CHECKPOINT).one_or_none(), conn.execute(_LAST_ENTRY).one_or_none()
    if stored is None or row is None:
        raise LedgerTampered(["The ledger was emptied: it holds no entry or no checkpoint."])
    checkpoint, last = verify_note(stored.note, [key]), _read(row)
    if last.kind in KEY_CHANGES and last.payload.get("new_key") != key.vkey:
        # Both keys signed that checkpoint, and the old one signs nothing after it.
        raise KeyProblem(f"signing key: retired by entry {last.number}; open the ledger again, with the key after it")
    frontier = Frontier.from_bytes(checkpoint.size, stored.frontier)
    if frontier.root().hex() != checkpoint.root or last.number != checkpoint.size:
        raise LedgerTampered([f"entry {last.number}: the last signed checkpoint does not end there."])
    return Head(checkpoint, frontier, last.leaf)


def _write(
    conn: Connection,
    drafts: Sequence[EntryDraft],
    head: Head | None,
    signers: Sequence[Signer],
    clock: Callable[[], datetime],
) -> tuple[list[Entry], Checkpoint]:
    """Insert entries and their checkpoint after this head (None: at the very beginning), under the append lock."""
    frontier = Frontier() if head is None else head.frontier
    previous = NO_LEAF if head is None else head.leaf
    entries: list[Entry] = []
    for draft in drafts:
        entry = decode(encode(draft, frontier.size + 1, previous, format_time(clock())))
        frontier.append(bytes.fromhex(entry.leaf))
        previous = entry.leaf
        entries.append(entry)
    columns = [vars(derive(entry)) for entry in entries]
    rows = [{"number": e.number, "body": e.body, "leaf": e.leaf, **c} for e, c in zip(entries, columns, strict=True)]
    conn.execute(_INSERT_ENTRY, rows)
    project(conn, entries)
    first, *more = signers
    checkpoint = first.sign(frontier.size, frontier.root(), head.checkpoint.size if head else None)
    for signer in more:
        checkpoint = signer.countersign(checkpoint)
    stored = {"size": checkpoint.size, "note": checkpoint.note, "frontier": frontier.to_bytes()}
    conn.execute(_INSERT_CHECKPOINT, [stored])
    return entries, checkpoint


def _entries() -> Select[int, bytes, str]:
    return select(EntryRow.number, EntryRow.body, EntryRow.leaf)


# Built once: building them takes longer than the database takes to run them.
_LAST_ENTRY = _entries().order_by(EntryRow.number.desc()).limit(1)
_LAST_CHECKPOINT = select(CheckpointRow.note, CheckpointRow.frontier).order_by(CheckpointRow.size.desc()).limit(1)
_INSERT_ENTRY, _INSERT_CHECKPOINT = insert(EntryRow), insert(CheckpointRow)


@functools.lru_cache(maxsize=64)
def _decoded(body: bytes) -> Entry:
    """The entry of these very bytes: what is shown of an exam asks for its entry a dozen times over."""
    return decode(body)


def _read(row: Row[int, bytes, str], read: Callable[[bytes], Entry] = decode) -> Entry:
    """The entry of a row whose number, body and leaf fit each other; LedgerTampered otherwise."""
    try:
        entry = read(row.body)
    except AuditError as err:
        raise LedgerTampered([f"entry {row.number}: its body was altered ({err})."]) from err
    if entry.leaf != row.leaf or entry.number != row.number:
        raise LedgerTampered([f"entry {row.number}: its body is not the one that was written."])
    return entry
