"""Sessions end: by time, by sign-out, and when the user behind them is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.room import Actor, open_room
from audit.users import add_user, change_role, find_user
from ui.sessions import COOKIE, IDLE_S, LONGEST_S, Sessions, holder, shared

GRACE = Actor("Grace", "reader")
OPERATOR = Actor("ada", "operator")


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_when_nothing_is_asked_for_a_while() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = sessions.begin(GRACE, None)
    for _ in range(3):
        clock.now += IDLE_S - 1
        assert sessions.find(token) is not None
    clock.now += IDLE_S + 1
    assert sessions.find(token) is None
    clock.now = 0
    assert sessions.find(token) is None


def test_looking_whether_it_is_over_does_not_keep_it_open() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = sessions.begin(GRACE, None)
    clock.now += IDLE_S - 1
    assert sessions.find(token, touch=False) is not None
    clock.now += 2
    assert sessions.find(token, touch=False) is None


def test_a_session_ends_at_the_end_of_the_day_however_busy() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = sessions.begin(GRACE, None)
    while clock.now + 600 <= LONGEST_S:
        clock.now += 600
        assert sessions.find(token) is not None
    clock.now += 600
    assert sessions.find(token) is None


def test_the_store_holds_no_token() -> None:
    sessions = Sessions()
    token = sessions.begin(GRACE, None)
    assert token not in repr(vars(sessions))
    assert len(token) >= 43
    assert sessions.find(token + "x") is None


def test_two_browsers_do_not_share_a_session() -> None:
    sessions = Sessions()
    one, other = sessions.begin(GRACE, None), sessions.begin(Actor("Lise", "auditor"), None)
    sessions.end(one)
    assert sessions.find(one) is None
    assert sessions.find(other).actor.name == "Lise"  # type: ignore[union-attr]


def test_another_role_ends_what_was_open_in_the_old_one(tmp_path: Path) -> None:
    with open_room(tmp_path / "home", create=True) as room:
        add_user(room, "Grace", "reader", "correct horse battery", OPERATOR)
        user = find_user(room.home, "Grace")
        assert user is not None
        cookies = {COOKIE: shared().begin(GRACE, user.digest)}
        assert holder(room.home, cookies) == GRACE
        change_role(room, "Grace", "auditor", OPERATOR)
        assert holder(room.home, cookies) is None


@pytest.mark.parametrize("cookies", [{}, {COOKIE: ""}, {COOKIE: "0" * 43}, {"other": "x"}])
def test_a_cookie_that_was_not_given_out_is_nobodys(tmp_path: Path, cookies: dict[str, str]) -> None:
    assert holder(tmp_path, cookies) is None
