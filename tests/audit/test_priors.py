"""The prior: the patient's last exam before, by the days of the studies, and by the order of scoring without them."""

from __future__ import annotations

import pytest

from audit.erasure import erase
from audit.room import Room
from audit.service import BundleScorer, PriorExam, prediction, prior_exam, score_exam
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored
from tests.audit.patients import ADMINISTRATOR

PATIENT = "patient-0011223344556677"


def score(room: Room, exam: str, day: int | None, patient: str = PATIENT) -> int:
    """Score an exam of that day; its entry's number."""
    scored = make_scored(exam=exam, patient_id=patient, study_day=day)
    film = room.home.parent / f"{exam}.dcm"
    film.write_bytes(exam.encode())
    judge = BundleScorer(BUNDLE_ID, "factory-phantom", lambda paths, pseudonymise: scored)
    return score_exam(room, [film], judge, READER).number


def prior(room: Room, number: int) -> PriorExam | None:
    """What hangs beside that prediction."""
    return prior_exam(room, number, prediction(room, number)[1])


def found(room: Room, number: int) -> tuple[int, int | None] | None:
    """Entry of the prior and the days before, where there is one."""
    beside = prior(room, number)
    return (beside.number, beside.days_before) if beside else None


def test_the_study_before_is_the_prior_whatever_was_scored_first(either_room: Room) -> None:
    newest, oldest, middle = (score(either_room, name, day) for name, day in (("c", 9000), ("a", 8000), ("b", 8600)))
    assert found(either_room, newest) == (middle, 400)
    assert found(either_room, middle) == (oldest, 600)
    assert found(either_room, oldest) is None


def test_an_exam_that_was_scored_again_stands_for_itself_once(empty_room: Room) -> None:
    before, current = score(empty_room, "a", 8000), score(empty_room, "b", 8100)
    again, current_again = score(empty_room, "a", 8000), score(empty_room, "b", 8100)
    assert before < current < again < current_again
    assert found(empty_room, current_again) == (again, 100)
    assert found(empty_room, current) == (again, 100)


def test_without_days_the_order_of_scoring_tells(empty_room: Room) -> None:
    first, second, third = (score(empty_room, name, None) for name in "abc")
    assert [found(empty_room, number) for number in (first, second, third)] == [None, (first, None), (second, None)]
    same_day = score(empty_room, "d", 8000), score(empty_room, "e", 8000)
    assert found(empty_room, same_day[1]) == (same_day[0], None)
    beside = prior(empty_room, second)
    assert beside is not None
    assert beside.words == f"SCORED EARLIER, {beside.scored:%Y-%m-%d}"


def test_a_known_day_comes_before_an_exam_without_one(empty_room: Room) -> None:
    known, unknown, current = score(empty_room, "a", 8000), score(empty_room, "b", None), score(empty_room, "c", 8365)
    assert found(empty_room, current) == (known, 365)
    assert found(empty_room, unknown) == (known, None)


def test_others_and_the_erased_have_no_part_in_it(empty_room: Room) -> None:
    score(empty_room, "a", 8000, "patient-8899aabbccddeeff")
    before, current = score(empty_room, "b", 8000), score(empty_room, "c", 8001)
    assert found(empty_room, current) == (before, 1)
    erase(empty_room, PATIENT, "request", ADMINISTRATOR)
    assert prior_exam(empty_room, current, make_scored(exam="c", patient_id=PATIENT).prediction) is None


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (1, "1 DAY"),
        (45, "45 DAYS"),
        (46, "2 MONTHS"),
        (183, "6 MONTHS"),
        (365, "1 YEAR"),
        (397, "1 YEAR 1 MONTH"),
        (731, "2 YEARS"),
        (761, "2 YEARS 1 MONTH"),
        (1000, "2 YEARS 9 MONTHS"),
    ],
)
def test_the_time_between_is_told_in_a_readers_words(empty_room: Room, days: int, words: str) -> None:
    score(empty_room, "a", 8000)
    beside = prior(empty_room, score(empty_room, "b", 8000 + days))
    assert beside is not None
    assert beside.words == f"PRIOR, {words} BEFORE"
