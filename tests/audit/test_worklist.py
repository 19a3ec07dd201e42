"""The worklist: filters, order, counts and pages."""

from __future__ import annotations

import pytest

from audit.entries import EntryDraft
from audit.room import Room
from audit.service import (
    BundleScorer,
    Opinion,
    WorklistCounts,
    WorklistFilter,
    prediction,
    refusals,
    review,
    score_exam,
    worklist_counts,
    worklist_next,
    worklist_page,
)
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of


def numbers(room: Room, which: WorklistFilter) -> list[int]:
    """Entries of the exams that match, in order."""
    return [item.number for item in worklist_page(room, which).items]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (WorklistFilter(), [3, 7, 5]),
        (WorklistFilter(decision="flagged"), [3]),
        (WorklistFilter(status="open"), [7, 5]),
        (WorklistFilter(status="reviewed"), [3]),
        (WorklistFilter(verdict="agree"), [3]),
        (WorklistFilter(verdict="refer"), []),
        (WorklistFilter(synthetic=True), [3, 7, 5]),
        (WorklistFilter(synthetic=False), []),
        (WorklistFilter(decision="no decision", status="open"), [7]),
    ],
)
def test_the_worklist_is_narrowed_by_what_is_asked(
    either_room: Room, which: WorklistFilter, expected: list[int]
) -> None:
    assert numbers(either_room, which) == expected


def test_exams_are_found_by_a_part_of_either_pseudonym(either_room: Room) -> None:
    record = prediction(either_room, 5)[1]
    for part in (record.exam_id[5:15].upper(), record.patient_id, f" {record.patient_id[3:]} "):
        assert numbers(either_room, WorklistFilter(search=part)) == [5]
    for part in ("100%", "_", "%", "exam-nobody"):
        assert numbers(either_room, WorklistFilter(search=part)) == []


def test_the_exams_of_one_patient_are_asked_for_by_the_whole_pseudonym(either_room: Room) -> None:
    patient = prediction(either_room, 5)[1].patient_id
    assert numbers(either_room, WorklistFilter(patient_id=patient)) == [5]
    assert numbers(either_room, WorklistFilter(patient_id=patient[:-1])) == []


def test_pages_together_are_the_whole_worklist(either_room: Room) -> None:
    pages = [worklist_page(either_room, WorklistFilter(), offset, 2) for offset in (0, 2, 4)]
    assert [[item.number for item in page.items] for page in pages] == [[3, 7], [5], []]
    assert {page.total for page in pages} == {3}


def test_counts_are_those_of_the_pages(either_room: Room) -> None:
    counts = worklist_counts(either_room, WorklistFilter())
    assert counts == WorklistCounts({"flagged": 1, "no decision": 1, "not flagged": 1}, open=2, synthetic=3, refused=0)
    review(either_room, 5, Opinion(verdict="refer"), READER)
    assert worklist_counts(either_room, WorklistFilter(decision="flagged")).scored == 1
    assert worklist_counts(either_room, WorklistFilter()).open == 1


def test_refused_exams_come_in_pages_too(empty_room: Room) -> None:
    broken = BundleScorer("0" * 64, "factory-phantom", scorer_of(make_scored()))
    for _ in range(3):
        score_exam(empty_room, [], broken, READER)
    assert [entry.number for entry in refusals(empty_room)] == [7, 5, 3]
    assert [entry.number for entry in refusals(empty_room, 1, 1)] == [5]
    assert worklist_counts(empty_room, WorklistFilter()).refused == 3


def test_a_second_opinion_counts_instead_of_the_first(either_room: Room) -> None:
    review(either_room, 3, Opinion(verdict="disagree", reason="scar"), READER)
    (item,) = worklist_page(either_room, WorklistFilter(status="reviewed")).items
    assert item.verdict == "disagree"
    score_exam(either_room, [], BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(make_scored(exam="0"))), READER)
    assert numbers(either_room, WorklistFilter(status="reviewed")) == []


def test_an_amendment_counts_instead_of_what_it_amends_and_a_final_closes(either_room: Room) -> None:
    first = review(either_room, 5, Opinion(verdict="agree"), READER).number
    amended = review(either_room, 5, Opinion(verdict="refer", act="amendment", of=(first,)), READER).number
    assert numbers(either_room, WorklistFilter(verdict="refer", status="reviewed")) == [5]
    review(either_room, 5, Opinion(verdict="agree", act="final", of=(amended,)), READER)
    assert numbers(either_room, WorklistFilter(status="final", verdict="agree")) == [5]
    assert numbers(either_room, WorklistFilter(status="reviewed")) == [3]


def test_an_erased_patient_leaves_the_worklist(either_room: Room) -> None:
    patient = prediction(either_room, 3)[1].patient_id
    either_room.ledger.append([EntryDraft("erasure", {"patient_id": patient}, "admin", "administrator")])
    assert numbers(either_room, WorklistFilter()) == [7, 5]
    assert worklist_counts(either_room, WorklistFilter()).scored == 2


def test_of_two_equally_urgent_exams_the_older_comes_first(empty_room: Room) -> None:
    for exam in ("x", "y"):
        scored = make_scored(exam=exam)
        score_exam(empty_room, [], BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(scored)), READER)
    assert numbers(empty_room, WorklistFilter()) == [3, 5]


def test_nothing_scored_is_an_empty_worklist(empty_room: Room) -> None:
    assert worklist_page(empty_room, WorklistFilter(), 0, 20).total == 0
    assert worklist_counts(empty_room, WorklistFilter()).scored == 0


def test_the_next_exam_is_the_one_after_and_after_the_last_the_first_again(either_room: Room) -> None:
    for which, order in ((WorklistFilter(), [3, 7, 5]), (WorklistFilter(by_age=True), [3, 5, 7])):
        assert [worklist_next(either_room, which, number) for number in order] == [*order[1:], order[0]]


def test_the_next_exam_that_waits_is_found_from_one_that_does_not(either_room: Room) -> None:
    waiting = WorklistFilter(status="open")
    assert [worklist_next(either_room, waiting, number) for number in (3, 7, 5)] == [7, 5, 7]
    assert worklist_next(either_room, WorklistFilter(decision="flagged"), 3) is None
    assert worklist_next(either_room, waiting, 999) == 7
