"""The ledger on SQLite and on a real PostgreSQL: gapless, chained, signed, and read back as it was written."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st

import audit
from audit.database import REVISION, reading
from audit.entries import NO_LEAF, EntryDraft
from audit.filters import LedgerFilter
from audit.findings import Knowledge, Verification
from audit.ledger import Ledger, create_ledger, open_ledger
from audit.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from audit.models import Base
from audit.signing import Signer, create_keys, load_signer, read_notes, verify_note
from audit.verification import verify
from medproto.errors import AuditError, EntryNotFound, KeyProblem, LedgerDamaged, LedgerUnavailable


def draft(exam: str = "exam-1", actor: str = "reader-1") -> EntryDraft:
    """An entry that is cheap to make."""
    return EntryDraft("exam opened", {"entry": 1, "exam_id": exam}, actor, "radiologist")


def verified(ledger: Ledger) -> Verification:
    """Verification with the ledger's own key."""
    assert ledger.signer is not None
    return verify(ledger, Knowledge((ledger.signer.public,)))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """A fresh key."""
    return create_keys(tmp_path / "keys")


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """A place for a ledger: a file, or a database on a real server."""
    if request.param == "sqlite":
        return tmp_path / "ledger.sqlite"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def ledger(where: str | Path, signer: Signer) -> Iterator[Ledger]:
    """A ledger that holds entry 1 alone."""
    ledger = create_ledger(where, signer, {})
    yield ledger
    ledger.close()


def test_entries_are_chained_and_signed(ledger: Ledger) -> None:
    written = ledger.append([draft("exam-1"), draft("exam-2")]) + ledger.append([draft("exam-3")])
    entries = [ledger.entry(number) for number in range(1, 5)]
    assert entries[1:] == written
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert [entry.previous for entry in entries] == [NO_LEAF, *(entry.leaf for entry in entries[:-1])]
    assert all(entry.leaf == leaf_hash(entry.body).hex() for entry in entries)
    assert [ledger.checkpoint(number).size for number in (1, 2, 3, 4)] == [1, 3, 3, 4]
    assert ledger.signer is not None
    last = verify_note(ledger.checkpoint(4).note, [ledger.signer.public])
    leaves = ledger.leaves(4)
    assert last.root == root_of(leaves).hex()
    assert verify_inclusion(leaves[1], 1, 4, inclusion_proof(leaves, 1), bytes.fromhex(last.root))
    result = verified(ledger)
    assert (result.verified, result.size, result.checkpoints, result.root) == (True, 4, 3, last.root)


def test_a_ledger_is_opened_again_and_goes_on(ledger: Ledger, where: str | Path, signer: Signer) -> None:
    ledger.append([draft()])
    for again in (open_ledger(where, signer), create_ledger(where, signer, {})):
        again.append([draft()])
        assert verified(again).verified
        again.close()
    assert ledger.count() == 4


def test_entries_are_found_by_what_they_say(ledger: Ledger) -> None:
    ledger.append([draft("exam-1", "ada"), draft("exam-2", "ada"), draft("exam-2", "bob_50%")])
    found = ledger.entries(LedgerFilter(exam_id="exam-2"))
    assert [entry.number for entry in found] == [4, 3]
    assert [e.number for e in ledger.entries(LedgerFilter(kind="exam opened"), offset=1, limit=1)] == [3]
    assert [e.number for e in ledger.entries(LedgerFilter(search="ADA"))] == [3, 2]
    assert [e.number for e in ledger.entries(LedgerFilter(search="b_5"))] == [4]
    assert ledger.entries(LedgerFilter(search="d_")) == []
    assert ledger.count(LedgerFilter(search="%")) == 1
    assert ledger.count(LedgerFilter(refers_to=1)) == 3
    with pytest.raises(EntryNotFound, match="entry 9: there is none"):
        ledger.entry(9)
    with pytest.raises(EntryNotFound, match="entry 9: no checkpoint covers it"):
        ledger.checkpoint(9)


def test_an_append_that_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    bad = EntryDraft("exam opened", {"entry": float("nan")}, "reader-1", "radiologist")
    with pytest.raises(AuditError, match=r"not finite at \$\.payload\.entry"):
        ledger.append([draft(), bad])
    with pytest.raises(AuditError, match="got no entry"):
        ledger.append([])
    assert ledger.count() == 1
    assert verified(ledger).verified


def test_without_a_key_a_ledger_is_read_only(ledger: Ledger, where: str | Path) -> None:
    reader = open_ledger(where, None)
    assert reader.entry(1).kind == "ledger created"
    with pytest.raises(KeyProblem, match="can only be read"):
        reader.append([draft()])
    reader.close()


def test_another_key_appends_nothing(ledger: Ledger, where: str | Path, tmp_path: Path) -> None:
    stranger = open_ledger(where, create_keys(tmp_path / "other"))
    with pytest.raises(KeyProblem, match="no signature by a key of this ledger"):
        stranger.append([draft()])
    stranger.close()


def test_a_clock_that_was_set_back_is_noticed(ledger: Ledger) -> None:
    ledger.append([draft()])
    early = Ledger(ledger.engine, ledger.signer, clock=lambda: datetime.now(UTC) - timedelta(days=1))
    early.append([draft()])
    result = verified(ledger)
    assert result.verified
    assert result.notices == ("entry 3: dated before the entry before it; the clock was set back.",)


def test_an_interrupted_intent_is_listed_and_no_fault(ledger: Ledger) -> None:
    ledger.append([EntryDraft("intent", {"request": "0" * 64}, "reader-1", "radiologist")])
    result = verified(ledger)
    assert result.verified
    assert result.notices[0].startswith("entry 2: an intent without a result")


@pytest.mark.parametrize("intent", [1, 3, 99])
def test_a_result_that_answers_no_open_intent_is_named(ledger: Ledger, intent: int) -> None:
    ledger.append([EntryDraft("intent", {"request": "0" * 64}, "reader-1", "radiologist")])
    failure = {"error": "X", "sentence": None}
    ledger.append([EntryDraft("failure", failure | {"intent": 2}, "reader-1", "radiologist")])
    ledger.append([EntryDraft("failure", failure | {"intent": intent}, "reader-1", "radiologist")])
    faults = [fault.sentence for fault in verified(ledger).faults]
    assert faults == [f"entry 4: answers entry {intent}, which is no open intent."]


def test_every_commit_is_anchored_outside(where: str | Path, signer: Signer, tmp_path: Path) -> None:
    anchors = tmp_path / "elsewhere.txt"
    ledger = create_ledger(where, signer, {}, anchors)
    ledger.append([draft()])
    ledger.append([draft(), draft()])
    sizes = [verify_note(note, [signer.public]).size for note in read_notes(anchors)]
    ledger.close()
    assert sizes == [2, 4]


def test_postgresql_refuses_to_change_what_is_written(postgresql: str, signer: Signer) -> None:
    ledger = create_ledger(postgresql, signer, {})
    ledger.append([draft()])
    statements = [
        "UPDATE entry SET actor = 'nobody'",
        "DELETE FROM entry WHERE number = 2",
        "TRUNCATE entry",
        "TRUNCATE checkpoint",
        "DELETE FROM checkpoint",
        "INSERT INTO entry SELECT * FROM entry WHERE number = 2 ON CONFLICT (number) DO UPDATE SET actor = 'nobody'",
    ]
    with psycopg.connect(postgresql, autocommit=True) as conn:
        for statement in statements:
            with pytest.raises(psycopg.errors.RaiseException, match="what is written is never changed"):
                conn.execute(statement)
        with pytest.raises(psycopg.errors.UniqueViolation, match="entry_pkey"):
            conn.execute("INSERT INTO entry SELECT * FROM entry WHERE number = 2")
    assert verified(ledger).verified
    ledger.close()


def test_postgresql_attacks_are_named(postgresql: str, signer: Signer) -> None:
    ledger = create_ledger(postgresql, signer, {})
    ledger.append([draft()] * 3)
    ledger.append([draft()])
    with psycopg.connect(postgresql, autocommit=True) as conn:
        conn.execute("ALTER TABLE entry DISABLE TRIGGER ALL")
        conn.execute("UPDATE entry SET body = set_byte(body, 5, 120) WHERE number = 2")
        conn.execute("UPDATE entry SET exam_id = 'exam-9' WHERE number = 3")
        conn.execute("DELETE FROM entry WHERE number = 5")
    result = verified(ledger)
    ledger.close()
    assert [fault.entry for fault in result.faults] == [2, 3, 5]
    assert any("entry_append_only" in notice for notice in result.notices)


def test_the_tables_are_those_of_the_models(ledger: Ledger) -> None:
    with reading(ledger.engine) as conn:
        assert compare_metadata(MigrationContext.configure(conn), Base.metadata) == []


def test_the_revision_is_that_of_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(audit.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_what_is_no_ledger_is_said_to_be_none(tmp_path: Path, signer: Signer) -> None:
    path = tmp_path / "other.sqlite"
    with pytest.raises(LedgerUnavailable, match="there is none here"):
        open_ledger(path, signer)
    sqlite3.connect(path).close()
    with pytest.raises(LedgerUnavailable, match="the database holds none"):
        open_ledger(path, signer)
    path.write_text("no database at all, but quite a long text " * 100)
    with pytest.raises(LedgerDamaged, match="not what was written"):
        open_ledger(path, signer)
    for url in ("mysql://host/db", "sqlite://", "nonsense"):
        with pytest.raises(LedgerUnavailable, match="expected"):
            open_ledger(url, signer)
    with pytest.raises(LedgerUnavailable, match=r"cannot be reached \(OperationalError\)"):
        open_ledger("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2", signer)


def test_a_ledger_of_another_version_is_left_alone(tmp_path: Path, signer: Signer) -> None:
    path = tmp_path / "newer.sqlite"
    create_ledger(path, signer, {}).close()
    with sqlite3.connect(path) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.close()
    with pytest.raises(LedgerUnavailable, match="got schema 9999, expected 0002"):
        open_ledger(path, signer)


def test_verification_takes_no_more_memory_for_a_longer_ledger(tmp_path: Path, signer: Signer) -> None:
    ledger = create_ledger(tmp_path / "long.sqlite", signer, {})
    peaks = []
    for _ in range(2):
        for _ in range(2 if not peaks else 6):
            ledger.append([draft()] * 1000)
        tracemalloc.start()
        assert verified(ledger).verified
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert ledger.count() == 8001
    ledger.close()
    # 6,000 entries more: a digest kept of each would take 192 kB, what other threads do meanwhile a few
    assert peaks[1] - peaks[0] < 64_000, peaks


TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
DRAFTS = st.builds(EntryDraft, st.just("exam opened"), st.dictionaries(TEXTS, st.integers() | TEXTS), TEXTS, TEXTS)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh ledger and its key, to be copied."""
    folder = tmp_path_factory.mktemp("blank")
    create_ledger(folder / "ledger.sqlite", create_keys(folder / "keys"), {}).close()
    return folder


@settings(max_examples=60, deadline=None)
@given(history=st.lists(st.lists(DRAFTS, min_size=1, max_size=4), max_size=5))
def test_an_untouched_history_always_verifies(blank: Path, history: list[list[EntryDraft]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(blank / "ledger.sqlite", folder))
        ledger = open_ledger(path, load_signer(blank / "keys"))
        for commit in history:
            ledger.append(commit)
        result = verified(ledger)
        ledger.close()
    assert result.faults == ()
    assert result.size == 1 + sum(map(len, history))
