"""The quick reading of a log finds what the slow one finds, in the same words, whatever was done to the log."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import audit.rows
import audit.walk
from audit.canonical import canonical_bytes
from audit.entries import EntryDraft, EntryKind
from audit.findings import Knowledge, KnownHead, Verification
from audit.ledger import Ledger, create_ledger, open_ledger
from audit.merkle import leaf_hash
from audit.pieces import sound_piece
from audit.signing import create_keys, load_signer
from audit.verification import verify
from medproto.errors import AuditError

#: A piece of so many entries: that short histories have several.
PIECE = 4
KINDS: tuple[EntryKind, ...] = (
    "exam opened",
    "intent",
    "prediction",
    "failure",
    "review",
    "checkpoint anchored",
    "key rotated",
)
TEXTS = st.text(max_size=4) | st.sampled_from(["ada", 'a"b\\', "\x00", "exam-1", ',1e-7,"'])
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        "exam_id": TEXTS | st.integers(0, 3),
        "intent": st.integers(0, 9) | st.none(),
        "entry": st.integers(1, 9) | st.booleans(),
        "size": st.integers(0, 9),
        "request": TEXTS | st.integers(0, 1),
        "prediction": st.fixed_dictionaries({"exam_id": TEXTS}) | st.none(),
        "share": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e-7, 1e-5, -0.0, 1e16]),
        "many": st.integers(2**62, 2**65),
    },
)
DRAFTS = st.builds(EntryDraft, st.sampled_from(KINDS), PAYLOADS, TEXTS, TEXTS)
CLOSING = EntryDraft("exam opened", {}, "ada", "radiologist")
#: Entries by commit, and the seconds between one entry and the next.
HISTORIES = st.lists(st.lists(DRAFTS, min_size=1, max_size=6), min_size=1, max_size=6)
STEPS = st.lists(st.sampled_from([0.0, 1e-6, 0.5, 1.0, -0.5, -70.0]), min_size=50, max_size=50)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, 1, 2, 3, "", "ada", b"ada", b"\xff", "2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.00000\u0661Z"]
)
COLUMNS = ("kind", "time", "actor", "role", "exam_id", "refers_to", "request", "leaf", "body")


@dataclass(frozen=True)
class Damage:
    """One thing that an owner of the file does to it; `place` chooses the entry or checkpoint."""

    how: str
    place: int
    column: str
    value: Any

    def do(self, conn: sqlite3.Connection) -> None:
        """Do it to the entry or checkpoint that is meant."""
        table, key = ("checkpoint", "size") if self.how.startswith("checkpoint") else ("entry", "number")
        found = [number for (number,) in conn.execute(f"SELECT {key} FROM {table} ORDER BY {key}")]
        if found:
            getattr(self, self.how.replace(" ", "_"))(conn, found[self.place % len(found)])

    def column_set(self, conn: sqlite3.Connection, number: int) -> None:
        """A column holds something else, of any type."""
        # As text that is not UTF-8 where the value cannot be text: what SQLite lets anybody do.
        value = "CAST(? AS TEXT)" if self.value == b"\xff" else "?"
        conn.execute(f"UPDATE OR IGNORE entry SET {self.column} = {value} WHERE number = ?", (self.value, number))

    def column_retyped(self, conn: sqlite3.Connection, number: int) -> None:
        """A column holds the same bytes as another type."""
        conn.execute(f"UPDATE OR IGNORE entry SET {self.column} = CAST({self.column} AS BLOB) WHERE number = {number}")

    def body_rewritten(self, conn: sqlite3.Connection, number: int) -> None:
        """A body says something else in canonical form, or the same in another, and leaf and column fit."""
        (body,) = conn.execute("SELECT body FROM entry WHERE number = ?", (number,)).fetchone()
        try:
            said = json.loads(body)
        except (TypeError, ValueError):
            return
        if not isinstance(said, dict):
            return
        if self.column == "body":
            new = json.dumps(said).encode()
        elif isinstance(self.value, bytes):
            new = body.replace(b'"payload":{', b'"payload":{"exam_id":"twice",')
        else:
            new = canonical_bytes(said | {self.column: self.value})
            self.column_set(conn, number)
        conn.execute("UPDATE entry SET body = ?, leaf = ? WHERE number = ?", (new, leaf_hash(new).hex(), number))

    def deleted(self, conn: sqlite3.Connection, number: int) -> None:
        """An entry is gone."""
        conn.execute("DELETE FROM entry WHERE number = ?", (number,))

    def moved(self, conn: sqlite3.Connection, number: int) -> None:
        """An entry has another number."""
        conn.execute("UPDATE OR IGNORE entry SET number = ? WHERE number = ?", (self.place * 2 - 5, number))

    def checkpoint_deleted(self, conn: sqlite3.Connection, size: int) -> None:
        """A checkpoint is gone."""
        conn.execute("DELETE FROM checkpoint WHERE size = ?", (size,))

    def checkpoint_altered(self, conn: sqlite3.Connection, size: int) -> None:
        """A checkpoint's note or frontier is another."""
        column = "note" if self.place % 2 else "frontier"
        conn.execute(f"UPDATE checkpoint SET {column} = CAST(? AS TEXT) WHERE size = ?", (self.value or "", size))

    def checkpoint_swapped(self, conn: sqlite3.Connection, size: int) -> None:
        """A checkpoint's note is that of another."""
        conn.execute("UPDATE checkpoint SET note = (SELECT MAX(note) FROM checkpoint) WHERE size = ?", (size,))


DAMAGES = st.builds(
    Damage,
    st.sampled_from(
        [
            "column set",
            "column retyped",
            "body rewritten",
            "deleted",
            "moved",
            "checkpoint deleted",
            "checkpoint altered",
            "checkpoint swapped",
        ]
    ),
    st.integers(0, 30),
    st.sampled_from(COLUMNS),
    VALUES,
)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh ledger and its key, to be copied."""
    folder = tmp_path_factory.mktemp("blank")
    create_ledger(folder / "ledger.sqlite", create_keys(folder / "keys"), {}).close()
    return folder


@contextmanager
def history(blank: Path, commits: list[list[EntryDraft]], steps: list[float]) -> Iterator[Ledger]:
    """A ledger with this history; its clock goes on by these seconds."""
    moments = accumulate((timedelta(seconds=s) for s in steps), initial=datetime(2026, 1, 31, 12, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(blank / "ledger.sqlite", folder))
        opened = open_ledger(path, load_signer(blank / "keys"))
        with Ledger(opened.engine, opened.signer, None, lambda: next(moments)) as ledger:
            for commit in commits:
                # After an entry that names a key, which none of these do, its ledger could not go on.
                ledger.append([*commit, CLOSING] if commit[-1].kind == "key rotated" else commit)
            yield ledger


def verified(ledger: Ledger, knowledge: Knowledge) -> Verification | str:
    """What a verification says; the words of its error where it cannot be done."""
    try:
        return verify(ledger, knowledge)
    except AuditError as err:
        return str(err)


def both_readings(ledger: Ledger, knowledge: Knowledge) -> tuple[Verification | str, Verification | str]:
    """What the verification says as it is, and what it says when it reads entry by entry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit.rows, "_PIECE", PIECE)
        quick = verified(ledger, knowledge)
        patch.setattr(audit.walk, "sound_piece", lambda rows, before: None)
        return quick, verified(ledger, knowledge)


def known(ledger: Ledger, sizes: list[int], since: int) -> Knowledge:
    """Knowledge of the key, of heads at these sizes (below 0: of another log), and of how much was read before."""
    assert ledger.signer is not None
    count, heads = ledger.count(), []
    for size in sizes:
        forged = ledger.signer.sign(abs(size) % (2 * count) + 1, bytes(32))
        heads.append(KnownHead(forged if size < 0 else ledger.checkpoint(size % count + 1), "anchor a", 8))
    return Knowledge((ledger.signer.public,), heads=tuple(heads), since=since)


@settings(max_examples=100, deadline=None)
@given(HISTORIES, STEPS, st.lists(DAMAGES, max_size=3), st.lists(st.integers(-20, 20), max_size=3), st.integers(0, 9))
def test_quick_and_slow_reading_find_the_same(
    blank: Path,
    commits: list[list[EntryDraft]],
    steps: list[float],
    damages: list[Damage],
    sizes: list[int],
    since: int,
) -> None:
    with history(blank, commits, steps) as ledger:
        knowledge = known(ledger, sizes, since if since < 5 else 0)
        damage(ledger, damages)
        quick, slow = both_readings(ledger, knowledge)
    assert quick == slow


def damage(ledger: Ledger, damages: list[Damage]) -> None:
    """Do this to the file, as somebody who owns it."""
    conn = sqlite3.connect(str(ledger.engine.url.database), isolation_level=None)
    for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        conn.execute(f"DROP TRIGGER {name}")
    for one in damages:
        try:
            one.do(conn)
        except sqlite3.IntegrityError:
            continue
    conn.close()


def test_every_entry_of_a_sound_log_is_read_quickly(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def noted(rows: Any, before: Any) -> Any:
        piece = sound_piece(rows, before)
        read.append(0 if piece is None else len(piece.leaves))
        return piece

    monkeypatch.setattr(audit.walk, "sound_piece", noted)
    drafts = [EntryDraft("exam opened", {"entry": i, "share": 1e-7}, 'ä"da', "radiologist") for i in range(1000)]
    with history(blank, [drafts, drafts[:1]], [0.0, 61.5] * 600) as ledger:
        assert ledger.signer is not None
        assert verify(ledger, Knowledge((ledger.signer.public,))).verified
    assert read == [500, 500, 1]


def test_a_large_body_ends_a_piece(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(audit.walk, "sound_piece", lambda rows, before: sizes.append(len(rows)))
    large = EntryDraft("intent", {"words": "x" * 100_000}, "ada", "radiologist")
    with history(blank, [[large] * 7], [1.0] * 8) as ledger:
        assert ledger.signer is not None
        assert verify(ledger, Knowledge((ledger.signer.public,))).verified
    assert sizes == [3, 3, 1]
