"""A real room with one exam of each outcome, and the application over it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from audit.service import Actor, BundleScorer, Entry, LedgerFilter, Room, ledger_page, open_room, score_exam
from medproto.errors import EmptyExam
from medproto.records import GateFinding, Pseudonymise, RefusedRecord, Scored
from tests.audit.factory import BUNDLE_ID, checked, make_scored, sha256
from ui.opening import DEMO_VARIABLE, HOME_VARIABLE, URL_VARIABLE
from ui.server import APP
from ui.sessions import COOKIE, DEMO_AUDITOR, shared

ACTOR = Actor("ada.scorer", "service")


def refusing(paths: object, pseudonymise: Pseudonymise) -> Scored:
    """A scorer that refuses every exam with one reason."""
    reason = GateFinding(code="FOR_PROCESSING", severity="refuse", sentence="The image holds raw detector values.")
    image = RefusedRecord(image_id="image-0011223344556677", file_sha256=sha256(b"raw"), findings=(reason,))
    raise EmptyExam("No image of this exam can be scored.", (image,))


def fill(home: Path, url: str | None = None) -> dict[str, Entry]:
    """Score a flagged, a not flagged and an undecided exam, and one that is refused."""
    scorers: dict[str, Callable[..., Scored]] = {"refused": refusing}
    for exam, decision in enumerate(("flagged", "not flagged", "no decision"), start=1):
        scored = make_scored(decision, exam=str(exam))  # type: ignore[arg-type]
        scored = checked(scored, 1) if decision == "flagged" else scored
        scorers[decision] = lambda paths, pseudonymise, scored=scored: scored
    entries = {}
    with open_room(home, url, create=True) as room:
        for name, score in scorers.items():
            path = home.parent / f"{name}.dcm"
            path.write_bytes(name.encode())
            entries[name] = score_exam(room, [path], BundleScorer(BUNDLE_ID, "factory-phantom", score), ACTOR)
    return entries


@pytest.fixture
def browser_cookies(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the browser sends: AppTest has none. Empty at first, as of somebody who never signed in."""
    cookies: dict[str, str] = {}
    monkeypatch.setattr("ui.opening.browser_cookies", lambda: cookies)
    return cookies


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser_cookies: dict[str, str]) -> Path:
    """An empty home that the application is pointed at."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setenv(DEMO_VARIABLE, "1")
    return tmp_path / "home"


@pytest.fixture
def auditor(home: Path, browser_cookies: dict[str, str]) -> None:
    """The demo auditor sits at the browser."""
    browser_cookies[COOKIE] = shared().begin(DEMO_AUDITOR, None)


@pytest.fixture
def exams(home: Path) -> dict[str, Entry]:
    """The entries of a filled room, by outcome."""
    return fill(home)


@pytest.fixture
def room(exams: dict[str, Entry], home: Path) -> Room:
    """The filled room, opened beside the application."""
    return open_room(home)


def opened(page: str = "", entry: int | None = None) -> AppTest:
    """The application on one of its pages, for whoever the browser's cookies say."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.run()
    if page:
        app.switch_page(f"screens/{page}.py")
        if entry is not None:
            app.query_params["entry"] = str(entry)
        app.run()
    return app


def verified(app: AppTest) -> AppTest:
    """The ledger's page after its verification, which goes on in a thread of its own, has ended."""
    app.button(key="verify").click().run()
    for thread in [thread for thread in threading.enumerate() if thread.name == "verification"]:
        thread.join(60)
    return app.run()


def kinds(room: Room) -> list[str]:
    """Kinds of all entries, oldest first."""
    return [entry.kind for entry in reversed(ledger_page(room, LedgerFilter(), 0, 100).entries)]


def words(app: AppTest) -> str:
    """Everything a page says, pictures left out."""
    parts = [
        str(block.value)
        for kind in ("html", "markdown", "caption", "error", "info", "success", "text", "subheader")
        for block in app.get(kind)
        if hasattr(block, "value")
    ]
    return " ".join(parts)
