"""A walk through the door in a real browser: in as a reader, turned away from the ledger, out, and in as an auditor."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from audit.room import Actor, Room
from audit.service import Entry, LedgerFilter
from audit.users import add_user
from tests.ui.serving import free_port, served
from tests.ui.test_walk import CHROMIUM, FLAGS, browser, pytestmark

__all__ = ["browser", "pytestmark"]
PASSWORD = "correct horse battery"


def test_a_reader_and_an_auditor_come_in_and_nothing_is_fetched_from_elsewhere(
    exams: dict[str, Entry], home: Path, room: Room, tmp_path: Path, browser: Browser
) -> None:
    for name, role in (("Grace", "reader"), ("Lise", "auditor")):
        add_user(room, name, role, PASSWORD, Actor("ada", "operator"))  # type: ignore[arg-type]
    asked: list[str] = []
    with served(home, tmp_path / "server.log") as address:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/ledger?entry=5")
        _sign_in(page, "Grace")
        expect(page.get_by_text("“Ledger” is not for the role reader")).to_be_visible()
        expect(page.get_by_role("link", name="Worklist")).to_be_visible()
        expect(page.get_by_role("link", name="Ledger")).to_have_count(0)
        page.get_by_role("button", name="Sign out").click()
        _sign_in(page, "Lise")
        page.get_by_role("link", name="Ledger").click()
        expect(page.get_by_role("button", name="Verify the ledger")).to_be_visible()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    kinds = [(entry.kind, entry.actor) for entry in room.ledger.entries(limit=3)]
    assert kinds == [("sign-in", "Lise"), ("access refused", "Grace"), ("sign-in", "Grace")]
    assert room.ledger.entries(LedgerFilter(kind="sign-in refused")) == []


def test_the_back_button_shows_nothing_after_signing_out(
    exams: dict[str, Entry], home: Path, room: Room, tmp_path: Path
) -> None:
    add_user(room, "Grace", "reader", PASSWORD, Actor("ada", "operator"))
    with served(home, tmp_path / "server.log") as address, sync_playwright() as playwright:
        # As people use it: Playwright's own choice is a browser that keeps no page to go back to.
        keeping = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(FLAGS), ignore_default_args=["--disable-back-forward-cache"]
        )
        page = keeping.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}/exam?entry={exams['flagged'].number}")
        _sign_in(page, "Grace")
        page.locator(".viewer[data-complete=true]").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Password").wait_for()
        page.go_back(wait_until="commit")
        page.wait_for_timeout(1_000)
        assert str(exams["flagged"].exam_id) not in page.content()
        assert page.get_by_label("Password").is_visible()
        keeping.close()


def test_a_server_that_forgot_who_is_signed_in_asks_and_leads_back(
    exams: dict[str, Entry], home: Path, room: Room, tmp_path: Path, browser: Browser
) -> None:
    add_user(room, "Grace", "reader", PASSWORD, Actor("ada", "operator"))
    page, port = browser.new_page(), free_port()
    page.set_default_timeout(60_000)
    with served(home, tmp_path / "server.log", port=port) as address:
        page.goto(f"{address}/exam?entry={exams['flagged'].number}")
        _sign_in(page, "Grace")
        page.locator(".viewer[data-complete=true]").wait_for()
    with served(home, tmp_path / "server.log", port=port):
        page.get_by_label("Password").wait_for()
        _sign_in(page, "Grace")
        page.locator(".viewer[data-complete=true]").wait_for()
        assert page.url == f"{address}/exam?entry={exams['flagged'].number}"


def _sign_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
