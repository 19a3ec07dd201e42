"""Who may sign what after whom: readings, amendments, second readings, and the final that closes an exam."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.room import Actor, Room, verify_room
from audit.service import Opinion, open_room, review, reviews
from medproto.errors import InputError

ADA, GRACE, LISE = Actor("Ada", "reader"), Actor("Grace", "reader"), Actor("Lise", "reader")
EXAM = 5


def sign(room: Room, who: Actor, act: str = "reading", *of: int) -> int:
    """Sign that one agrees; the number of the entry."""
    opinion = Opinion.model_validate({"verdict": "agree", "act": act, "of": of, "seconds": 41})
    return review(room, EXAM, opinion, who).number


def test_an_amendment_names_what_it_takes_the_place_of_and_both_stay(room: Room) -> None:
    first = sign(room, ADA)
    amended = review(room, EXAM, Opinion(verdict="refer", act="amendment", of=(first,), seconds=3), ADA)
    assert [r.number for r in reviews(room, EXAM)] == [first, amended.number]
    assert amended.payload["of"] == [first]
    assert amended.payload["meaning"].startswith(f"This takes the place of what I signed as entry {first}. I reviewed")
    assert verify_room(room).verified


def test_nobody_amends_what_another_signed(room: Room) -> None:
    first = sign(room, ADA)
    with pytest.raises(InputError, match=f"entry {first} is amended by nobody but who signed it"):
        sign(room, GRACE, "amendment", first)


def test_a_reading_is_amended_once_and_then_its_amendment(room: Room) -> None:
    first = sign(room, ADA)
    second = sign(room, ADA, "amendment", first)
    with pytest.raises(InputError, match="names no reading of this exam that stands"):
        sign(room, ADA, "amendment", first)
    assert sign(room, ADA, "amendment", second) > second


def test_an_amendment_names_one_reading(room: Room) -> None:
    both = sign(room, ADA), sign(room, ADA)
    with pytest.raises(InputError, match="names 2 readings, expected one"):
        sign(room, ADA, "amendment", *both)


def test_a_second_reading_is_by_another_person(room: Room) -> None:
    first = sign(room, ADA)
    with pytest.raises(InputError, match="signed by somebody who signed none of this exam before"):
        sign(room, ADA, "second reading", first)
    second = sign(room, GRACE, "second reading", first)
    assert [(r.number, r.review.act) for r in reviews(room, EXAM)][-1] == (second, "second reading")


def test_a_final_names_every_reading_that_stands(room: Room) -> None:
    first = sign(room, ADA)
    second = sign(room, GRACE, "second reading", first)
    with pytest.raises(InputError, match=f"expected every reading that stands: entry {first}, entry {second}"):
        sign(room, LISE, "final", second)
    final = sign(room, LISE, "final", second, first)
    assert reviews(room, EXAM)[-1].review.of == (first, second)
    assert reviews(room, EXAM)[-1].review.seconds == 41
    assert reviews(room, EXAM)[-1].number == final


@pytest.mark.parametrize("act", ["reading", "second reading", "final", "amendment"])
def test_after_the_final_nothing_is_signed_but_its_amendment(room: Room, act: str) -> None:
    first = sign(room, ADA)
    final = sign(room, GRACE, "final", first)
    of = () if act == "reading" else (first,)
    with pytest.raises(InputError, match=f"closed by entry {final}"):
        sign(room, LISE, act, *of)
    amended = sign(room, GRACE, "amendment", final)
    with pytest.raises(InputError, match=f"closed by entry {amended}"):
        sign(room, LISE)


def test_of_finals_that_are_signed_at_once_one_closes_the_exam(home: Path, room: Room) -> None:
    first, ready = sign(room, ADA), threading.Barrier(6)

    def close(place: int) -> str:
        with open_room(home) as opened:
            ready.wait(30)
            try:
                return str(sign(opened, Actor(f"Reader {place}", "reader"), "final", first))
            except InputError as err:
                return str(err)

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(close, range(6)))
    (closing,) = (one for one in said if one.isdecimal())
    refused = f"review: closed by entry {closing}; expected an amendment of it, by who signed it"
    assert sorted(said) == sorted([closing, *[refused] * 5])
    assert [r.review.act for r in reviews(room, EXAM)] == ["reading", "final"]


def test_readings_of_another_exam_cannot_be_named(room: Room) -> None:
    with pytest.raises(InputError, match="names no reading of this exam that stands"):
        sign(room, ADA, "second reading", 10)
    with pytest.raises(InputError, match="got a reading that names others"):
        sign(room, ADA, "reading", 10)


def test_a_refused_act_writes_nothing(room: Room) -> None:
    before = room.ledger.count()
    with pytest.raises(InputError, match="stands"):
        sign(room, ADA, "final", 99)
    assert room.ledger.count() == before
