"""Every page for every role in every state of the room: drawn or refused, and never with a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from audit.access import permitted
from audit.erasure import erase
from audit.service import Actor, BundleScorer, LedgerFilter, open_room, prediction, score_exam
from tests.audit.factory import BUNDLE_ID, make_scored, three_classes
from tests.ui.conftest import ACTOR, fill, words
from ui.opening import DEMO_VARIABLE, HOME_VARIABLE, URL_VARIABLE
from ui.pages import PAGES
from ui.server import APP
from ui.sessions import COOKIE, shared

ROLES = ("reader", "auditor", "admin", "visitor")
STATES = ("no ledger", "nothing scored", "filled")
#: Entries that are asked for as an exam, and what the page says of them.
ASKED = {
    "flagged": "Flagged:",
    "not flagged": "Not flagged,",
    "no decision": "No decision:",
    "three classes": "Flagged:",
    "erased": "erased by entry",
    "refused": "expected a prediction",
    "1": "expected a prediction",
    "999": "Entry 999",
    "9" * 30: "Entry 9",
    "9" * 5000: "expected a number",
    "-1": "expected a number",
    "<b>": "expected a number",
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A home in each state."""
    folder = tmp_path_factory.mktemp("rooms")
    found = {state: folder / state for state in STATES}
    with open_room(found["nothing scored"], create=True):
        pass
    fill(found["filled"])
    with open_room(found["filled"]) as room:
        for scored in (three_classes(make_scored(exam="three")), make_scored(exam="gone")):
            judge = BundleScorer(BUNDLE_ID, "factory-phantom", lambda paths, pseudonymise, scored=scored: scored)
            last = score_exam(room, [], judge, ACTOR).number
        erase(room, prediction(room, last)[1].patient_id, "request", Actor("ada", "admin"))
    return found


@pytest.fixture
def numbers(homes: dict[str, Path]) -> dict[str, str]:
    """What to ask for, by name."""
    with open_room(homes["filled"]) as room:
        scored = [str(entry.number) for entry in reversed(room.ledger.entries(LedgerFilter(kind="prediction")))]
        (refused,) = room.ledger.entries(LedgerFilter(kind="refusal"))
    names = ("flagged", "not flagged", "no decision", "three classes", "erased")
    return {name: name for name in ASKED} | dict(zip(names, scored, strict=True)) | {"refused": str(refused.number)}


@pytest.fixture
def enter(
    homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch, browser_cookies: dict[str, str]
) -> Callable[[str, str], AppTest]:
    """Somebody of this role before the room in that state."""

    def entered(role: str, state: str) -> AppTest:
        monkeypatch.setenv(HOME_VARIABLE, str(homes[state]))
        browser_cookies[COOKIE] = shared().begin(Actor("Grace", role), None)
        return AppTest.from_file(str(APP), default_timeout=60).run()

    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.delenv(DEMO_VARIABLE, raising=False)
    return entered


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("state", STATES)
def test_a_page_is_drawn_for_its_roles_and_refused_to_others(
    enter: Callable[[str, str], AppTest], role: str, state: str
) -> None:
    app = enter(role, state)
    for page in PAGES:
        app.switch_page(f"screens/{page.script}.py").run()
        said = words(app)
        assert not app.exception, page.title
        assert "Research use only" in said, page.title
        assert ("There is no ledger here yet" in said) == (state == "no ledger" and permitted(role, page.action))
        if not permitted(role, page.action):
            assert state == "no ledger" or f"“{page.title}” is not for the role {role}" in said
            assert not app.button
            assert not app.get("download_button")


@pytest.mark.parametrize("role", ["reader", "auditor"])
def test_any_exam_that_is_asked_for_is_shown_or_answered_in_a_sentence(
    enter: Callable[[str, str], AppTest], numbers: dict[str, str], role: str
) -> None:
    app = enter(role, "filled")
    for name, says in ASKED.items():
        app.switch_page("screens/exam.py")
        app.query_params["entry"] = numbers[name]
        app.run()
        assert not app.exception, name
        assert says in words(app), name
        assert len(app.error) == (0 if says[-1] in ":," else 1), name


def test_an_exam_that_is_kept_in_the_session_and_is_none_is_answered_in_a_sentence(
    enter: Callable[[str, str], AppTest],
) -> None:
    app = enter("reader", "filled")
    for kept in ("1", "999", "none"):
        app.switch_page("screens/exam.py")
        app.session_state["exam_entry"] = kept
        app.run()
        assert not app.exception
        assert len(app.error) == 1


def test_the_addresses_of_an_auditors_page_tell_a_reader_nothing(
    enter: Callable[[str, str], AppTest], numbers: dict[str, str]
) -> None:
    app = enter("reader", "filled")
    asked = {"entry": numbers["flagged"], "prototype": "p000", "actor": "ada.scorer", "search": "exam"}
    for page in ("ledger", "gallery", "operations"):
        app.switch_page(f"screens/{page}.py")
        for name, value in asked.items():
            app.query_params[name] = value
        app.session_state["ledger_search"] = "exam"
        app.run()
        assert "is not for the role reader" in words(app)
        assert not any((app.button, app.json, app.code, app.expander, app.text_input, app.get("imgs")))
