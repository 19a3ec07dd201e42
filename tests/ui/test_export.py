"""A file that leaves by a button is made for whoever is signed in when the button is pressed, and for nobody else."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from audit.blind import give_first_opinion
from audit.service import Actor, Entry, LedgerFilter, Room, ledger_page
from audit.users import add_user, change_role, find_user
from medproto.errors import AccessRefused
from ui.blind import BLIND_VARIABLE
from ui.export import at_the_click, report_bytes
from ui.opening import DEMO_VARIABLE
from ui.sessions import COOKIE, shared

GRACE = Actor("grace", "reader")
OPERATOR = Actor("bench", "operator")


@pytest.fixture
def token(exams: dict[str, Entry], room: Room, browser_cookies: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The session of a reader who signed in at the browser."""
    monkeypatch.setenv(DEMO_VARIABLE, "")
    add_user(room, GRACE.name, "reader", "a password of some length", OPERATOR)
    user = find_user(room.home, GRACE.name)
    browser_cookies[COOKIE] = shared().begin(GRACE, user.digest if user else None)
    return browser_cookies[COOKIE]


def exported(room: Room) -> list[tuple[str, object]]:
    """Who took which report, by its digest."""
    entries = ledger_page(room, LedgerFilter(kind="report exported")).entries
    return [(entry.actor, entry.payload["pdf_digest"]) for entry in entries]


def test_a_report_is_made_and_written_down_at_the_click(token: str, exams: dict[str, Entry], room: Room) -> None:
    pressed = at_the_click(partial(report_bytes, exams["flagged"].number))
    assert exported(room) == []
    data = pressed()
    assert exported(room) == [("grace", sha256(data).hexdigest())]


def test_a_button_that_was_left_on_the_screen_gives_nothing_after_signing_out(
    token: str, exams: dict[str, Entry], room: Room
) -> None:
    pressed = at_the_click(partial(report_bytes, exams["flagged"].number))
    shared().end(token)
    with pytest.raises(AccessRefused, match="nobody is signed in here any more"):
        pressed()
    assert exported(room) == []


def test_a_button_gives_nothing_to_whoever_has_another_role_since(
    token: str, exams: dict[str, Entry], room: Room, browser_cookies: dict[str, str]
) -> None:
    pressed = at_the_click(partial(report_bytes, exams["flagged"].number))
    change_role(room, GRACE.name, "auditor", OPERATOR)
    with pytest.raises(AccessRefused, match="nobody is signed in here any more"):
        pressed()
    browser_cookies[COOKIE] = shared().begin(Actor(GRACE.name, "auditor"), None)
    with pytest.raises(AccessRefused, match="not for the role auditor"):
        at_the_click(partial(report_bytes, exams["flagged"].number))()
    assert exported(room) == []


def test_a_room_that_is_read_blind_hands_out_no_report_before_the_opinion(
    token: str, exams: dict[str, Entry], room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = exams["flagged"].number
    pressed = at_the_click(partial(report_bytes, number))
    monkeypatch.setenv(BLIND_VARIABLE, "1")
    with pytest.raises(AccessRefused, match="once your own opinion is signed"):
        pressed()
    assert exported(room) == []
    give_first_opinion(room, number, True, GRACE)
    assert pressed().startswith(b"%PDF")


def test_a_refusal_has_no_score_to_keep_back(
    token: str, exams: dict[str, Entry], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BLIND_VARIABLE, "1")
    assert at_the_click(partial(report_bytes, exams["refused"].number))().startswith(b"%PDF")
