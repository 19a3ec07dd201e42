"""Whom an organisation vouches for: one name for one person, and whoever has none or no role stays out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from audit.access import Role
from audit.organisation import NAME_TAKEN, NO_NAME, NO_ROLE, Vouched, enter_vouched, refuse_answer
from audit.room import Actor, Room, open_room
from audit.service import LedgerFilter
from audit.users import add_user
from medproto.errors import AccessRefused, InputError

ISSUER = "https://login.example"


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """An empty room."""
    return open_room(tmp_path / "home", create=True)


def person(subject: str, name: str | None, role: Role | None = "reader") -> Vouched:
    """Somebody of the hospital."""
    return Vouched(ISSUER, subject, "hospital", name, role, "readers" if role else None)


def refusals(room: Room) -> list[dict[str, object]]:
    """What the refused sign-ins say, newest first."""
    return [entry.payload for entry in room.ledger.entries(LedgerFilter(kind="sign-in refused"))]


def test_whoever_takes_the_name_of_another_is_turned_away(room: Room) -> None:
    assert enter_vouched(room, person("1", "grace")) == Actor("hospital:grace", "reader")
    for other in (person("2", "grace"), replace(person("1", "grace"), issuer="https://elsewhere.example")):
        with pytest.raises(AccessRefused, match=NAME_TAKEN):
            enter_vouched(room, other)
    assert refusals(room)[1] == {
        "reason": "name taken",
        "user": "hospital:grace",
        "issuer": ISSUER,
        "subject": "2",
    }
    assert enter_vouched(room, person("1", "grace", "auditor")).role == "auditor"


def test_a_person_keeps_the_name_of_their_first_sign_in(room: Room) -> None:
    """Else somebody could sign the second reading of their own exam."""
    for subject, name in (("1", "grace"), ("2", "lise"), ("1", "grace.hopper"), ("1", "amazing.grace")):
        came = enter_vouched(room, person(subject, name))
        assert came.name == {"1": "hospital:grace", "2": "hospital:lise"}[subject]


def test_of_two_who_come_with_one_new_name_at_once_one_comes_in(room: Room) -> None:
    together = threading.Barrier(6)

    def come(subject: str) -> bool:
        with open_room(room.home) as own:
            together.wait(10)
            try:
                enter_vouched(own, person(subject, "grace"))
            except AccessRefused:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        came = list(pool.map(come, "123456"))
    assert sum(came) == 1
    assert len(refusals(room)) == 5


def test_another_prefix_is_a_new_name(room: Room) -> None:
    enter_vouched(room, person("1", "grace"))
    assert enter_vouched(room, replace(person("1", "g.hopper"), prefix="clinic")).name == "clinic:g.hopper"


def test_no_local_user_has_such_a_name(room: Room) -> None:
    with pytest.raises(InputError, match="expected a name of 2 to 60 letters"):
        add_user(room, "hospital:grace", "admin", "correct horse battery", Actor("ada", "operator"))


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "Grace Hopper",
        "gr\u0430ce",
        "\u212aelly",
        "grace\u202e",
        "<b>grace",
        "grace\n",
        "*grace*",
        "demo reader",
        "x" * 121,
    ],
)
def test_a_name_that_could_be_taken_for_another_is_none(room: Room, name: str | None) -> None:
    with pytest.raises(AccessRefused, match=NO_NAME):
        enter_vouched(room, person("1", name))
    assert refusals(room) == [{"reason": "no name", "user": None, "issuer": ISSUER, "subject": "1"}]


def test_who_has_no_role_is_written_down_once_a_minute(room: Room) -> None:
    now = [room.ledger.clock()]
    room = replace(room, ledger=replace(room.ledger, clock=lambda: now[0]))
    for _ in range(3):
        with pytest.raises(AccessRefused, match=NO_ROLE):
            enter_vouched(room, person("1", "grace", None))
    with pytest.raises(AccessRefused, match=NO_ROLE):
        enter_vouched(room, person("2", "lise", None))
    assert [refusal["user"] for refusal in refusals(room)] == ["hospital:lise", "hospital:grace"]
    now[0] += timedelta(minutes=2)
    refuse_answer(room, ISSUER)
    refuse_answer(room, ISSUER)
    assert refusals(room)[0] == {"reason": "answer not genuine", "user": None, "issuer": ISSUER}
    assert len(refusals(room)) == 3
    assert room.ledger.count(LedgerFilter(kind="sign-in")) == 0
