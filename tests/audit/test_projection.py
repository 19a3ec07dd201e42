"""The tables derived from the bodies: filled by every commit, append-only, and compared with the bodies by verify."""

from __future__ import annotations

import sqlite3
import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from audit.database import reading
from audit.entries import EntryDraft
from audit.findings import Knowledge
from audit.models import DERIVED, ComplaintRow, ErasureRow, PredictionRow, ReviewRow
from audit.room import BundleScorer, Room
from audit.service import Opinion, prediction, review, score_exam
from audit.verification import verify
from tests.audit.attacking import assert_named, attack, verified
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of

TABLES = [table.__tablename__ for table in DERIVED]


def rows(room: Room, table: type) -> list[tuple[object, ...]]:
    """Every row of one table."""
    with reading(room.ledger.engine) as conn:
        return sorted(tuple(row) for row in conn.execute(select(*table.__table__.columns)))  # type: ignore[attr-defined]


@pytest.fixture
def blamed(room: Room, home: Path) -> Path:
    """The filled room with rows in every table: entry 12 blames a prototype in 5, entry 13 erases somebody."""
    first = prediction(room, 5)[1].matches[0]
    review(room, 5, Opinion(verdict="disagree", reason="scar", misleading=(first.prototype_id,)), READER)
    erasure = {"patient_id": "patient-nobody", "exams": [], "reason": "request"}
    room.ledger.append([EntryDraft("erasure", erasure, "admin", "administrator")])
    room.close()
    return home


def test_a_row_says_what_its_body_says(room: Room) -> None:
    record = prediction(room, 3)[1]
    again = score_exam(room, [], BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(make_scored(exam="0"))), READER)
    first, *others = rows(room, PredictionRow)
    assert [(row[0], row[-1]) for row in (first, *others)] == [(3, None), (5, None), (7, None), (again.number, 3)]
    assert first[:4] == (3, record.exam_id, record.patient_id, record.bundle_id)
    assert first[7:13] == (0, record.margin, 2.0, 2.0 - record.margin, record.probability, 1)
    blamed = record.matches[1].prototype_id
    number = review(room, 3, Opinion(verdict="refer", misleading=(blamed, blamed)), READER).number
    assert rows(room, ReviewRow)[-1] == (number, 3, record.exam_id, "refer", "reading", None)
    assert rows(room, ComplaintRow) == [(number, blamed, 3)]


def test_an_amendment_names_the_review_it_takes_the_place_of(room: Room) -> None:
    first = review(room, 5, Opinion(verdict="agree"), READER).number
    review(room, 5, Opinion(verdict="refer", act="amendment", of=(first,)), READER)
    assert [row[4:] for row in rows(room, ReviewRow)[-2:]] == [("reading", None), ("amendment", first)]


def test_a_body_without_the_form_of_its_kind_has_no_rows(room: Room) -> None:
    odd: list[dict[str, object]] = [{}, {"prediction": 3}, {"prediction": {"exam_id": "e"}}, {"entry": 3, "verdict": 1}]
    drafts = [EntryDraft(kind, payload, "a", "b") for kind in ("prediction", "review", "erasure") for payload in odd]
    room.ledger.append(drafts)
    assert (len(rows(room, PredictionRow)), len(rows(room, ReviewRow)), len(rows(room, ErasureRow))) == (3, 1, 0)
    assert verify(room.ledger, Knowledge((room.public_key,))).guarantees[9].status == "holds"


def test_a_commit_that_fails_leaves_no_row_behind(room: Room) -> None:
    draft = EntryDraft("erasure", {"patient_id": "patient-nobody"}, "a", "b")

    def fail(_: object) -> None:
        raise ValueError("no room left")

    with pytest.raises(ValueError, match="no room left"):
        room.ledger.append([draft], fail)
    assert rows(room, ErasureRow) == []


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_is_missing_is_named(blamed: Path, table: str) -> None:
    number = {"review": 9, "complaint": 12, "erasure": 13, "bundle_use": 2}.get(table, 7)
    attack(blamed, f"DELETE FROM {table} WHERE number = {number}")
    assert verified(blamed) == (1, [f"entry {number}: a row of its in {table} is missing."])


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_no_body_calls_for_is_named(blamed: Path, table: str) -> None:
    with sqlite3.connect(blamed / "ledger.sqlite") as conn:
        columns = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
    conn.close()
    copied = ", ".join("8" if name == "number" else name for name in columns)
    attack(blamed, f"INSERT INTO {table} SELECT {copied} FROM {table} LIMIT 1")
    # 8 is an exam that was opened: of a kind that has no rows at all
    code, faults = verified(blamed)
    assert (code, faults[0]) == (1, f"entry 8: rows in {table} that no entry calls for.")
    assert all(sentence.startswith("entry 8: ") for sentence in faults)


@pytest.mark.parametrize(
    ("change", "number", "words"),
    [
        ("UPDATE review SET verdict = 'agree' WHERE number = 12", 12, "review differs from its body: verdict"),
        ("UPDATE prediction SET decision = 'not flagged', urgency = 2 WHERE number = 3", 3, "decision, urgency"),
        ("UPDATE prediction SET below = below + 1e-12 WHERE number = 5", 5, "below"),
        ("UPDATE prediction SET probability = 0.5 WHERE number = 7", 7, "probability"),
        ("UPDATE prototype_match SET contribution = 9 WHERE number = 5 AND place = 2", 5, "contribution"),
        ("UPDATE complaint SET prediction = 3 WHERE number = 12", 12, "prediction"),
        ("UPDATE erasure SET patient_id = x'00' WHERE number = 13", 13, "patient_id"),
        ("UPDATE bundle_use SET bundle_id = 'patient Meier' WHERE number = 2", 2, "bundle_id"),
        ("UPDATE review SET amends = 9 WHERE number = 12", 12, "amends"),
        ("UPDATE prediction SET previous = 3 WHERE number = 7", 7, "previous"),
    ],
)
def test_an_altered_row_is_named_with_its_column_and_not_its_content(
    blamed: Path, change: str, number: int, words: str
) -> None:
    attack(blamed, change)
    code, faults = verified(blamed)
    assert code == 1
    assert len(faults) == 1
    assert faults[0].startswith(f"entry {number}: ")
    assert words in faults[0]
    assert "Meier" not in faults[0]


def test_rows_moved_to_another_key_are_named(blamed: Path) -> None:
    attack(blamed, "UPDATE prototype_match SET place = place + 10 WHERE number = 3 AND place = 4")
    attack(blamed, "UPDATE prototype_match SET number = 'x' WHERE number = 7 AND place = 1")
    code, faults = verified(blamed)
    assert code == 1
    assert faults == [
        "entry 3: a row of its in prototype_match is missing.",
        "entry 3: a row in prototype_match is not called for by its body.",
        "entry 7: a row of its in prototype_match is missing.",
        "entry 13: a row in prototype_match behind its own has no number.",
    ]


def test_rows_do_not_explain_an_entry_that_was_altered(blamed: Path) -> None:
    attack(blamed, "UPDATE entry SET body = x'7b7d' WHERE number = 3")
    attack(blamed, "UPDATE review SET verdict = 'refer' WHERE number = 9")
    assert_named(blamed, 3, 9)


def test_only_the_rows_after_what_was_read_before_are_compared(blamed: Path, room: Room) -> None:
    attack(blamed, "UPDATE review SET verdict = 'refer' WHERE number = 9")
    keys = (room.public_key,)
    assert [fault.entry for fault in verify(room.ledger, Knowledge(keys)).faults] == [9]
    assert verify(room.ledger, Knowledge(keys, since=10)).verified


@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses_to_change_a_row(blamed: Path, room: Room, table: str) -> None:
    for statement in (
        f"UPDATE {table} SET number = number",
        f"DELETE FROM {table}",
        f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
    ):
        with room.ledger.engine.connect() as conn, pytest.raises(DBAPIError, match=f"{table}: what is written is neve"):
            conn.execute(text(statement))


def test_a_trigger_that_is_gone_is_noticed(blamed: Path, room: Room) -> None:
    with sqlite3.connect(blamed / "ledger.sqlite") as conn:
        conn.execute("DROP TRIGGER review_no_update")
    conn.close()
    result = verify(room.ledger, Knowledge((room.public_key,)))
    assert result.notices == ("The trigger review_no_update is gone: the database refuses less.",)


def test_more_rows_take_no_more_memory_to_verify(room: Room) -> None:
    body = room.ledger.entry(3).payload
    peaks = []
    for commits in (2, 6):
        for _ in range(commits):
            room.ledger.append([EntryDraft("prediction", dict(body), "a", "b")] * 50)
        tracemalloc.start()
        verify(room.ledger, Knowledge((room.public_key,)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 200 predictions more: their bodies alone are 2 MB
    assert peaks[1] - peaks[0] < 500_000, peaks
