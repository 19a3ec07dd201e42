"""The service: nothing is seen that was not written, whatever the scorer does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.payloads import (
    BundleRegistered,
    DatasetRegistered,
    EvaluationRun,
    ExamOpened,
    RegisteredPrototype,
    TrainingRun,
)
from audit.service import (
    Actor,
    BundleScorer,
    LedgerFilter,
    Opinion,
    Room,
    Scorer,
    WorklistFilter,
    checkpoint_of,
    exam_opened,
    file_digest,
    find_prediction,
    find_registered,
    ledger_page,
    open_room,
    picture,
    prediction,
    refusals,
    register,
    report_exported,
    review,
    reviews,
    score_exam,
    verify_room,
    worklist_page,
)
from medproto.errors import (
    EmptyExam,
    EntryNotFound,
    InputError,
    UnreadableImage,
)
from medproto.records import GateFinding, Pseudonymise, Record, RefusedRecord, Scored
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of, sha256


def bundle_scorer(score: Scorer, bundle_id: str = BUNDLE_ID) -> BundleScorer:
    """A scorer of the factory's bundle."""
    return BundleScorer(bundle_id, "factory-phantom", score)


def failing(err: Exception) -> Callable[..., Scored]:
    """A scorer that raises."""

    def score(paths: Sequence[Path], pseudonymise: Pseudonymise) -> Scored:
        raise err

    return score


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files of an exam."""
    paths = [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def test_a_prediction_is_written_before_it_is_returned(empty_room: Room, files: list[Path]) -> None:
    scored = make_scored()
    entry = score_exam(empty_room, files, bundle_scorer(scorer_of(scored)), READER)
    assert (entry.number, entry.kind, entry.actor, entry.role) == (3, "prediction", "reader-1", "radiologist")
    intent = empty_room.ledger.entry(2)
    assert intent.kind == "intent"
    assert intent.payload["files"] == sorted(map(file_digest, files))
    assert entry.refers_to == 2
    stored, record = prediction(empty_room, 3)
    assert (stored, record) == (entry, scored.prediction)
    assert all(picture(empty_room, entry, digest) == scored.pictures[digest] for digest in record.pictures())
    assert verify_room(empty_room).verified


def test_the_intent_is_committed_before_the_scorer_runs(empty_room: Room, files: list[Path]) -> None:
    seen: list[str] = []

    def score(paths: Sequence[Path], pseudonymise: Pseudonymise) -> Scored:
        with open_room(empty_room.home) as other:
            seen.append(other.ledger.entry(2).kind)
        return make_scored()

    score_exam(empty_room, files, bundle_scorer(score), READER)
    assert seen == ["intent"]


def test_a_score_is_found_again_and_not_made_twice(empty_room: Room, files: list[Path]) -> None:
    digests = [file_digest(path) for path in files]
    assert find_prediction(empty_room, digests, BUNDLE_ID) is None
    score_exam(empty_room, files, bundle_scorer(failing(InputError("no"))), READER)
    assert find_prediction(empty_room, digests, BUNDLE_ID) is None
    entry = score_exam(empty_room, files, bundle_scorer(scorer_of(make_scored())), READER)
    assert find_prediction(empty_room, digests[::-1], BUNDLE_ID) == entry
    assert find_prediction(empty_room, digests[:1], BUNDLE_ID) is None
    assert find_prediction(empty_room, digests, "0" * 64) is None


def test_an_exam_with_nothing_to_score_is_a_refusal(empty_room: Room, files: list[Path]) -> None:
    finding = GateFinding(code="FOR_PROCESSING", severity="refuse", sentence="Stored for processing.")
    refused = RefusedRecord(image_id="image-1", file_sha256=sha256(b"f"), findings=(finding,))
    err = EmptyExam("No image is left to score.", [refused])
    entry = score_exam(empty_room, files, bundle_scorer(failing(err)), READER)
    assert entry.kind == "refusal"
    assert entry.payload["sentence"] == "No image is left to score."
    assert entry.payload["refused"][0]["findings"][0]["code"] == "FOR_PROCESSING"
    assert refusals(empty_room) == [entry]
    assert verify_room(empty_room).notices == ()


def test_an_error_of_medproto_is_a_failure_with_its_sentence(empty_room: Room, files: list[Path]) -> None:
    entry = score_exam(empty_room, files, bundle_scorer(failing(UnreadableImage("Not DICOM."))), READER)
    assert entry.kind == "failure"
    assert (entry.payload["error"], entry.payload["sentence"]) == ("UnreadableImage", "Not DICOM.")


def test_an_unexpected_error_is_logged_without_its_words_and_raised(empty_room: Room, files: list[Path]) -> None:
    with pytest.raises(RuntimeError, match="Jane Doe"):
        score_exam(empty_room, files, bundle_scorer(failing(RuntimeError("Jane Doe, born 1970"))), READER)
    entry = empty_room.ledger.entry(3)
    assert (entry.kind, entry.payload["error"], entry.payload["sentence"]) == ("failure", "RuntimeError", None)
    assert b"Jane" not in entry.body
    assert verify_room(empty_room).notices == ()


def test_a_file_that_is_gone_is_a_failure_too(empty_room: Room, tmp_path: Path) -> None:
    entry = score_exam(empty_room, [tmp_path / "Doe^Jane.dcm"], bundle_scorer(failing(InputError("x"))), READER)
    assert (entry.number, entry.kind, entry.refers_to) == (2, "failure", None)
    assert b"Jane" not in entry.body
    assert verify_room(empty_room).verified


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda scored: {}, "not handed over"),
        (lambda scored: dict.fromkeys(scored.pictures, b"other"), "do not hash to its name"),
    ],
)
def test_a_prediction_without_its_pictures_is_a_failure(
    empty_room: Room, files: list[Path], wrong: Callable[[Scored], dict[str, bytes]], words: str
) -> None:
    scored = make_scored()
    broken = Scored(scored.prediction, wrong(scored))
    entry = score_exam(empty_room, files, bundle_scorer(scorer_of(broken)), READER)
    assert (entry.kind, entry.payload["error"]) == ("failure", "EvidenceMissing")
    assert words in entry.payload["sentence"]


def test_a_prediction_of_another_bundle_is_a_failure(empty_room: Room, files: list[Path]) -> None:
    entry = score_exam(empty_room, files, bundle_scorer(scorer_of(make_scored()), "0" * 64), READER)
    assert (entry.kind, entry.payload["error"]) == ("failure", "BundleError")


def test_the_worklist_shows_the_newest_prediction_of_each_exam_flagged_first(room: Room) -> None:
    items = worklist_page(room, WorklistFilter()).items
    assert [(item.number, item.decision) for item in items] == [
        (3, "flagged"),
        (7, "no decision"),
        (5, "not flagged"),
    ]
    assert (items[0].status, items[0].verdict, items[1].status) == ("reviewed", "agree", "open")
    assert (items[0].warnings, items[0].notes, items[0].refused_images, items[0].synthetic) == (1, 4, 0, True)
    assert items[1].probability is None
    assert [item.number for item in worklist_page(room, WorklistFilter(status="open")).items] == [7, 5]
    again = score_exam(room, [], bundle_scorer(scorer_of(make_scored(exam="0"))), READER)
    newest = worklist_page(room, WorklistFilter()).items[0]
    assert (newest.number, newest.status) == (again.number, "open")


def test_flagged_exams_are_ordered_by_how_far_over_the_point(empty_room: Room) -> None:
    for exam, prototypes in (("a", 1), ("b", 2), ("c", 4)):
        score_exam(empty_room, [], bundle_scorer(scorer_of(make_scored(exam=exam, prototypes=prototypes))), READER)
    margins = [item.margin - item.operating_margin for item in worklist_page(empty_room, WorklistFilter()).items]
    assert margins == sorted(margins, reverse=True)
    assert len(set(margins)) == 3


def test_a_review_is_signed_with_who_when_and_meaning(room: Room) -> None:
    misleading = prediction(room, 5)[1].matches[0].prototype_id
    opinion = Opinion(verdict="disagree", reason="benign scar", misleading=(misleading,), comment="seen before")
    entry = review(room, 5, opinion, Actor("reader-2", "radiologist"))
    (record,) = reviews(room, 5)
    assert (record.number, record.actor, record.role, record.time) == (
        entry.number,
        "reader-2",
        "radiologist",
        entry.time,
    )
    assert record.review.meaning == "I reviewed this exam and disagree with the decision."
    assert record.review.misleading == (misleading,)
    assert (record.review.reason, record.review.comment) == ("benign scar", "seen before")
    assert (entry.refers_to, entry.exam_id) == (5, prediction(room, 5)[1].exam_id)


def test_a_review_that_cannot_be_meant_is_refused(room: Room) -> None:
    with pytest.raises(InputError, match="expected a reason when disagreeing"):
        Opinion(verdict="disagree", reason="  ")
    with pytest.raises(InputError, match="prototypes that entry 3 does not hold: p999"):
        review(room, 3, Opinion(verdict="agree", misleading=("p999",)), READER)
    with pytest.raises(EntryNotFound, match="entry 2: is of kind intent, expected a prediction"):
        review(room, 2, Opinion(verdict="agree"), READER)


def test_opening_and_exporting_are_written_down(room: Room) -> None:
    assert exam_opened(room, 3, READER).refers_to == 3
    exported = report_exported(room, 3, "1" * 64, READER)
    assert exported.payload["pdf_digest"] == "1" * 64
    with pytest.raises(EntryNotFound, match="entry 1: is of kind ledger created"):
        report_exported(room, 1, "1" * 64, READER)
    with pytest.raises(EntryNotFound, match="entry 99: there is none"):
        exam_opened(room, 99, READER)


def registrable() -> list[Record]:
    """One record of each kind that can be registered."""
    source = make_scored().prediction.matches[0].source
    prototype = RegisteredPrototype(prototype_id="p0", prototype_class="malignant", source=source)
    digest: Any = "2" * 64
    return [
        DatasetRegistered(manifest_digest=digest, name="phantom", licence="CC0-1.0", patients=2, images=8),
        TrainingRun(dataset_entry=2, config={"epochs": 3, "rate": 1e-3}, seeds={"torch": 1}, code_version="0.1.0"),
        BundleRegistered(
            bundle_id=BUNDLE_ID,
            name="b",
            data_licence="CC0-1.0",
            training_entry=3,
            prototypes=(prototype,),
            metrics={"auroc": 0.93},
        ),
        EvaluationRun(bundle_id=BUNDLE_ID, manifest_digest=digest, results_digest=digest, results={"auroc": 0.9}),
    ]


def test_data_training_bundle_and_evaluation_are_registered(empty_room: Room) -> None:
    entries = []
    for record in registrable():
        assert find_registered(empty_room, record) is None
        entries.append(register(empty_room, record, READER))
        assert find_registered(empty_room, record) == entries[-1]
    assert [entry.kind for entry in entries] == [
        "dataset registered",
        "training run",
        "bundle registered",
        "evaluation run",
    ]
    with pytest.raises(InputError, match="register: got ExamOpened, expected one of DatasetRegistered"):
        register(empty_room, ExamOpened(entry=1, exam_id="e"), READER)
    assert verify_room(empty_room).verified


def test_the_ledger_is_paged_newest_first(room: Room) -> None:
    page = ledger_page(room, offset=2, limit=3)
    assert ([entry.number for entry in page.entries], page.total) == ([9, 8, 7], 11)
    page = ledger_page(room, LedgerFilter(kind="prediction", search="reader"))
    assert ([entry.number for entry in page.entries], page.total) == ([7, 5, 3], 3)
    assert checkpoint_of(room, 3).size == 3
