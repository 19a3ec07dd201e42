"""Erasing a patient: nothing of the patient is left in the room, the ledger verifies, and says by which entry."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from audit.cli import app
from audit.database import close_engine, open_engine, read_url, reading, scrub
from audit.entries import EntryDraft
from audit.erasure import erase, finish_erasures
from audit.evidence import exam_files, training_patches
from audit.identity import find_patient
from audit.report import report_for
from audit.room import BundleScorer, Room, open_room
from audit.service import (
    Opinion,
    WorklistFilter,
    exam_opened,
    find_prediction,
    picture,
    prediction,
    review,
    reviews,
    score_exam,
    verify_room,
    worklist_page,
)
from medproto.errors import EvidenceErased, InputError
from medproto.records import Pseudonymise, Scored
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, sha256
from tests.audit.modelling import register_model
from tests.audit.patients import ADMINISTRATOR, NAME, WORDS, patient_behind, score_ada

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def exam(room: Room) -> int:
    """The entry of the exam to be erased, in a room with three exams more."""
    return score_ada(room)


def run(home: Path, *arguments: str, typed: str = "") -> Result:
    """Run `medproto audit erase-patient`."""
    return CliRunner().invoke(app, ["erase-patient", "--home", str(home), *arguments], input=typed)


def holding(home: Path, *planted: str) -> list[str]:
    """Files of the room that hold one of these texts, free pages and journals included."""
    needles = [form for plain in planted for form in (plain.encode(), plain.encode("utf-16-le"))]
    files = [path for path in home.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if any(needle in path.read_bytes() for needle in needles))


def assert_erased(room: Room, number: int, erasing: int) -> None:
    """Nothing of the exam's own is readable, all else is, and the verification names the erasing entry."""
    entry, record = prediction(room, number)
    assert not any(room.evidence.present(name) for name in exam_files(entry.payload))
    assert all(room.evidence.check(name) for name in training_patches(entry.payload))
    with pytest.raises(EvidenceErased, match=f"erased by entry {erasing}"):
        picture(room, entry, record.images[0].preview)
    result = verify_room(room)
    assert result.faults == ()
    assert f"entry {number}: its words and pictures were erased by entry {erasing}." in result.notices
    assert not any("are left" in notice for notice in result.notices)


def test_nothing_of_an_erased_patient_is_left_in_the_room(room: Room, exam: int) -> None:
    patient = patient_behind(room, exam)
    previews = {image.preview for image in prediction(room, exam)[1].images}
    assert holding(room.home, NAME, WORDS) != []  # the identity table, until now
    room.close()
    result = run(room.home, "--why", "request", "--yes", typed=f" {NAME}\n")
    assert result.exit_code == 0, result.output
    assert (patient in result.output, NAME in result.output) == (True, False)
    assert "notice" not in result.output
    assert holding(room.home, NAME, WORDS) == []
    assert find_patient(room.ledger.engine, NAME) is None
    erasure = room.ledger.entries(limit=1)[0]
    assert (erasure.kind, erasure.role, erasure.payload["reason"]) == ("erasure", "operator", "request")
    assert erasure.payload["exams"] == [prediction(room, exam)[1].exam_id]
    assert_erased(room, exam, erasure.number)
    kept = {sha256(path.read_bytes()) for path in room.evidence.root.rglob("*") if path.is_file()}
    assert not kept & previews


def test_free_pages_of_an_sqlite_that_overwrites_nothing_are_rewritten(room: Room, exam: int) -> None:
    room.close()
    with sqlite3.connect(room.home / "ledger.sqlite") as conn:
        conn.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite overwrite what is deleted, most do not
        conn.execute("INSERT INTO identity VALUES (?, 'patient-0', X'00')", (f"{NAME}, born in 1815" * 500,))
        conn.commit()
        conn.execute("DELETE FROM identity WHERE pseudonym = 'patient-0'")
    conn.close()
    erase(room, patient_behind(room, exam), "request", ADMINISTRATOR)
    assert "ledger.sqlite" in holding(room.home, "born in 1815")
    assert finish_erasures(room).scrubbed
    assert holding(room.home, "born in 1815") == []


def test_the_others_keep_their_pictures(room: Room, exam: int) -> None:
    erase(room, patient_behind(room, exam), "retention", ADMINISTRATOR)
    finish_erasures(room)
    for number in (3, 5, 7):
        entry, record = prediction(room, number)
        assert all(sha256(picture(room, entry, digest)) == digest for digest in record.pictures())


def test_screens_and_reports_of_an_erased_exam_say_so(room: Room, exam: int) -> None:
    number = erase(room, patient_behind(room, exam), "request", ADMINISTRATOR).number
    for say in (
        lambda: report_for(room, exam),
        lambda: exam_opened(room, exam, READER),
        lambda: review(room, exam, Opinion(verdict="agree"), READER),
    ):
        with pytest.raises(EvidenceErased, match=f"erased by entry {number}"):
            say()
    (signed,) = reviews(room, exam)
    assert (signed.review.verdict, signed.review.reason) == ("disagree", "")
    assert f"erased by entry {number}" in signed.review.comment
    assert exam not in {item.number for item in worklist_page(room, WorklistFilter()).items}


def test_a_later_exam_of_the_same_patient_has_other_pseudonyms(room: Room, exam: int) -> None:
    entry, before = prediction(room, exam)
    erase(room, before.patient_id, "request", ADMINISTRATOR)
    files = room.ledger.entry(int(entry.payload["intent"])).payload["files"]
    assert find_prediction(room, files, BUNDLE_ID) is None
    again = prediction(room, score_ada(room))[1]
    assert (again.patient_id == before.patient_id, again.exam_id == before.exam_id) == (False, False)
    assert find_prediction(room, files, BUNDLE_ID) is not None


def test_an_exam_scored_while_its_patient_is_erased_is_not_shown(room: Room, exam: int) -> None:
    patient = patient_behind(room, exam)

    def score(paths: Sequence[Path], pseudonymise: Pseudonymise) -> Scored:
        scored = make_scored(exam="late", patient_id=patient)
        erase(room, patient, "request", ADMINISTRATOR)
        return scored

    late = score_exam(room, [room.home.parent / "ada.dcm"], BundleScorer(BUNDLE_ID, "b", score), READER)
    assert (late.kind, late.payload["error"]) == ("failure", "EvidenceErased")
    assert verify_room(room).verified


def test_a_patient_is_erased_once(room: Room, exam: int) -> None:
    patient = patient_behind(room, exam)
    erase(room, patient, "mistake", ADMINISTRATOR)
    size = room.ledger.count()
    with pytest.raises(InputError, match="knows nobody of that name"):
        erase(room, patient, "mistake", ADMINISTRATOR)
    assert room.ledger.count() == size


@pytest.mark.parametrize(("given", "typed"), [((), "NOBODY-17\n"), (("patient-0123456789abcdef",), "")])
def test_a_patient_who_is_not_here_changes_nothing(home: Path, given: tuple[str, ...], typed: str) -> None:
    result = run(home, *given, "--why", "order", "--yes", typed=typed)
    assert result.exit_code == 2
    assert "nobody of that name is known here" in result.output
    assert "NOBODY-17" not in result.output
    with open_room(home) as room:
        assert (room.ledger.count(), verify_room(room).verified) == (11, True)


def test_an_identifier_on_the_command_line_is_refused_unseen(home: Path) -> None:
    result = run(home, NAME, "--why", "request", "--yes")
    assert result.exit_code == 2
    assert "expected a pseudonym" in result.output
    assert NAME not in result.output


@pytest.mark.parametrize("point", ["uncommitted", "committed", "half", "scrub"])
def test_a_killed_erasure_did_nothing_or_is_completed_by_the_next(room: Room, exam: int, point: str) -> None:
    patient, size = patient_behind(room, exam), room.ledger.count()
    room.close()
    command = [sys.executable, "-m", "tests.audit.erasing", str(room.home), patient, point]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    with open_room(room.home) as after:
        assert verify_room(after).faults == ()
        assert after.ledger.count() == size + (point != "uncommitted")
        assert (find_patient(after.ledger.engine, NAME) == patient) == (point == "uncommitted")
    done = run(room.home, patient, "--why", "request", "--yes")
    assert done.exit_code == (0 if point == "uncommitted" else 2), done.output
    with open_room(room.home) as after:
        assert_erased(after, exam, size + 1)
    assert holding(room.home, NAME, WORDS) == []


def test_pictures_in_clear_are_removed_unless_others_name_them(room: Room) -> None:
    for exam in ("old", "twin"):
        scored = make_scored(exam="old", patient_id=room.pseudonym(exam, "patient", exam), exam_id=f"exam-{exam}")
        for data in scored.pictures.values():
            room.evidence.put(data)
        payload = {"intent": 0, "prediction": scored.prediction.model_dump(mode="json")}
        room.ledger.append([EntryDraft("prediction", payload, "reader-1", "reader")])
    preview = scored.prediction.images[0].preview
    for exam, left in (("twin", True), ("old", False)):
        erase(room, room.pseudonym(exam, "patient", exam), "request", ADMINISTRATOR)
        finish_erasures(room)
        assert room.evidence.check(preview) == left


def test_a_models_neighbour_stays_though_an_old_exam_in_clear_had_the_same_picture(room: Room) -> None:
    shared = register_model(room, make_scored()).payload["prototypes"][0]["neighbours"]["nearest"][0]["patch"]
    scored = make_scored(exam="old", patient_id=room.pseudonym("old", "patient", "old"), exam_id="exam-old")
    first, *others = scored.prediction.model_dump(mode="json")["matches"]
    told = scored.prediction.model_dump(mode="json") | {"matches": [first | {"patch": shared}, *others]}
    for data in scored.pictures.values():
        room.evidence.put(data)
    room.ledger.append([EntryDraft("prediction", {"intent": 0, "prediction": told}, "reader-1", "reader")])
    erase(room, scored.prediction.patient_id, "request", ADMINISTRATOR)
    finish_erasures(room)
    assert room.evidence.check(shared)
    assert not room.evidence.check(scored.prediction.images[0].preview)


def test_words_in_old_bodies_are_named_as_not_erased(room: Room, exam: int) -> None:
    old = {"verdict": "agree", "reason": "", "misleading": [], "comment": WORDS, "meaning": "I agree."}
    about = {"entry": exam, "exam_id": prediction(room, exam)[1].exam_id}
    number = room.ledger.append([EntryDraft("review", old | about, "reader-1", "reader")])[0].number
    result = run(room.home, patient_behind(room, exam), "--why", "request", "--yes")
    assert f"NOT erased: words of reviews from before there was encryption, in the bodies of {number}" in result.output


def test_a_ledger_that_a_restore_moved_aside_is_named(room: Room, exam: int) -> None:
    (room.home / "ledger.sqlite.replaced-20260131T120000Z").write_bytes(NAME.encode())
    result = run(room.home, patient_behind(room, exam), "--why", "request", "--yes")
    assert "NOT erased: what a restore moved aside, ledger.sqlite.replaced-20260131T120000Z" in result.output


def test_a_database_in_use_is_said_not_to_be_clean(room: Room, exam: int) -> None:
    with reading(room.ledger.engine) as conn:
        conn.execute(text("SELECT count(*) FROM identity")).scalar()
        result = run(room.home, patient_behind(room, exam), "--why", "request", "--yes")
    assert result.exit_code == 0
    assert "may lie in its free pages until this command is run again" in " ".join(result.output.split())


def test_a_patient_is_erased_from_postgresql(tmp_path: Path, postgresql: str) -> None:
    with open_room(tmp_path / "home", postgresql, create=True) as room:
        number = score_ada(room)
        erasing = erase(room, patient_behind(room, number), "request", ADMINISTRATOR).number
        assert finish_erasures(room).scrubbed
        assert_erased(room, number, erasing)
    with psycopg.connect(postgresql) as conn:
        row = conn.execute("SELECT pg_read_binary_file(pg_relation_filepath('identity'))").fetchone()
    assert row is not None
    assert NAME.encode() not in row[0]


def test_a_role_that_may_not_rewrite_the_table_is_told_so(tmp_path: Path, postgresql: str) -> None:
    open_room(tmp_path / "home", postgresql, create=True).close()
    with psycopg.connect(postgresql, autocommit=True) as conn:
        conn.execute("CREATE ROLE reader_only LOGIN")
        conn.execute("GRANT SELECT ON identity TO reader_only")
        try:
            engine = open_engine(read_url(postgresql).set(username="reader_only"))
            with reading(engine) as reader:
                assert reader.execute(text("SELECT count(*) FROM identity")).scalar() == 0
            close_engine(engine)
            assert not scrub(engine)
        finally:
            conn.execute("DROP OWNED BY reader_only")
            conn.execute("DROP ROLE reader_only")
