"""Whoever is signed in reaches the pages of their role alone, by no address, parameter or replayed click another."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from audit.room import Actor, Room
from audit.service import Entry, LedgerFilter
from audit.users import add_user, disable_user, find_user
from tests.ui.conftest import opened, words
from ui.opening import DEMO_VARIABLE
from ui.pages import PAGES
from ui.review_form import SIGN
from ui.sessions import COOKIE, shared

OPERATOR = Actor("ada", "operator")
PASSWORD = "correct horse battery"


@pytest.fixture
def cookies(
    monkeypatch: pytest.MonkeyPatch, browser_cookies: dict[str, str], exams: dict[str, Entry]
) -> dict[str, str]:
    """The browser of somebody who has to sign in, over a filled room."""
    monkeypatch.delenv(DEMO_VARIABLE)
    return browser_cookies


def sign_in(cookies: dict[str, str], room: Room, name: str, role: str) -> None:
    """Put this user at the browser."""
    if find_user(room.home, name) is None:
        add_user(room, name, role, PASSWORD, OPERATOR)  # type: ignore[arg-type]
    user = find_user(room.home, name)
    assert user is not None
    cookies[COOKIE] = shared().begin(Actor(user.name, user.role), user.digest)


def refused(room: Room) -> list[tuple[str, str]]:
    """Who was turned away from what, oldest first."""
    entries = room.ledger.entries(LedgerFilter(kind="access refused"))
    return [(entry.actor, entry.payload["action"]) for entry in reversed(entries)]


def test_without_a_session_a_page_says_nothing_of_any_exam(cookies: dict[str, str], exams: dict[str, Entry]) -> None:
    for page in PAGES:
        app = opened(page.script, exams["flagged"].number)
        assert "You are signed out" in words(app)
        assert str(exams["flagged"].exam_id) not in words(app)
        assert not app.button


def test_a_token_that_was_made_up_is_nobodys(cookies: dict[str, str]) -> None:
    cookies[COOKIE] = "A" * 43
    assert "You are signed out" in words(opened())


@pytest.mark.parametrize("entry", [None, 1, 3])
def test_a_reader_is_turned_away_from_the_ledger_by_address_and_parameter(
    cookies: dict[str, str], room: Room, entry: int | None
) -> None:
    sign_in(cookies, room, "Grace", "reader")
    app = opened("ledger", entry)
    assert "“Ledger” is not for the role reader" in words(app)
    assert not app.button
    assert not app.json
    assert refused(room) == [("Grace", "ledger")]


def test_an_auditor_reads_the_ledger(cookies: dict[str, str], room: Room, exams: dict[str, Entry]) -> None:
    sign_in(cookies, room, "Lise", "auditor")
    app = opened("ledger", exams["flagged"].number)
    assert f"Entry {exams['flagged'].number}: prediction" in words(app)
    assert "Lise" in words(app)
    assert refused(room) == []


def test_an_auditor_looks_at_an_exam_and_is_offered_no_signature_and_no_report(
    cookies: dict[str, str], room: Room, exams: dict[str, Entry]
) -> None:
    sign_in(cookies, room, "Lise", "auditor")
    app = opened("exam", exams["flagged"].number)
    assert "as auditor you look on" in words(app)
    assert {block.label for block in app.button} & {SIGN, "Next exam"} == {"Next exam"}
    assert not app.get("download_button")
    assert not app.checkbox
    assert [entry.actor for entry in room.ledger.entries(LedgerFilter(kind="exam opened"))] == ["Lise"]


def test_a_click_that_is_replayed_after_another_signed_in_is_not_theirs(
    cookies: dict[str, str], room: Room, exams: dict[str, Entry]
) -> None:
    sign_in(cookies, room, "Grace", "reader")
    number = exams["flagged"].number
    app = opened("exam", number)
    app.segmented_control(key=f"draft_verdict_{number}").set_value("agree").run()
    sign_in(cookies, room, "Lise", "auditor")
    app.button(key=f"sign_{number}").click().run()
    assert room.ledger.entries(LedgerFilter(kind="review")) == []


def test_a_disabled_user_is_out_at_the_next_click(cookies: dict[str, str], room: Room, exams: dict[str, Entry]) -> None:
    sign_in(cookies, room, "Grace", "reader")
    number = exams["flagged"].number
    app = opened("exam", number)
    disable_user(room, "Grace", OPERATOR)
    app.run()
    assert "You are signed out" in words(app)
    assert room.ledger.entries(LedgerFilter(kind="review")) == []


def test_a_page_that_cannot_tell_who_asks_says_why_and_shows_nothing(
    cookies: dict[str, str], room: Room, exams: dict[str, Entry]
) -> None:
    sign_in(cookies, room, "Grace", "reader")
    app = opened("exam", exams["flagged"].number)
    (room.home / "users.json").write_text("damaged")
    app.run()
    assert not app.exception
    assert [error.value for error in app.error] == ["Users: their file is not one that `medproto user add` wrote."]
    assert str(exams["flagged"].exam_id) not in words(app)
    assert not app.button


def test_a_session_that_ends_says_what_was_not_signed(
    cookies: dict[str, str], room: Room, exams: dict[str, Entry]
) -> None:
    sign_in(cookies, room, "Grace", "reader")
    number = exams["flagged"].number
    app = opened("exam", number)
    app.segmented_control(key=f"draft_verdict_{number}").set_value("refer").run()
    shared().end(cookies[COOKIE])
    app.run()
    assert [block.value for block in app.warning] == [
        f"What you entered about entry {number} was not signed, and is not kept."
    ]


def test_a_reader_signs_under_their_own_name(cookies: dict[str, str], room: Room, exams: dict[str, Entry]) -> None:
    sign_in(cookies, room, "Grace", "reader")
    number = exams["flagged"].number
    _sign(opened("exam", number), number)
    (signed,) = room.ledger.entries(LedgerFilter(kind="review"))
    assert (signed.actor, signed.role) == ("Grace", "reader")


def test_nothing_but_the_door_opens_the_room_on_nobodys_behalf() -> None:
    """A page asks `entered`; whatever else opens the room says at once who holds it."""
    ui = Path(__file__).resolve().parent.parent.parent / "ui"
    texts = {path.name: path.read_text() for path in ui.rglob("*.py")}
    opening = {name for name, text in texts.items() if "opened()" in text or "open_room(" in text}
    assert opening >= {"opening.py", "health.py", "sign_in.py", "export.py"}
    unheld = opening - {"opening.py", "health.py", "sign_in.py", "sign_in_organisation.py"}
    assert [name for name in sorted(unheld) if ".held_by(" not in texts[name]] == []


def _sign(app: AppTest, number: int) -> AppTest:
    app.segmented_control(key=f"draft_verdict_{number}").set_value("agree").run()
    assert app.button(key=f"sign_{number}").label == SIGN
    app.button(key=f"sign_{number}").click().run()
    return app
