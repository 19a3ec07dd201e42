"""One walk through the served application in a real browser: worklist, exam, heatmap, PDF, ledger, verification."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from audit.report_words import NO_BETTER
from audit.service import Entry, LedgerFilter, Room, ledger_page, reviews
from tests.ui.serving import served
from ui.review_form import SIGN

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not installed")


@pytest.fixture
def address(exams: dict[str, Entry], home: Path, tmp_path: Path) -> Iterator[str]:
    """The application, served over the filled room as a demonstration."""
    with served(home, tmp_path / "server.log", "--demo") as where:
        yield where


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield opened
        opened.close()


def test_a_reader_reviews_the_flagged_exam_and_an_auditor_verifies(
    address: str, browser: Browser, exams: dict[str, Entry], room: Room
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    page.goto(address)
    expect(page.get_by_role("button", name="Open the marked exam")).to_be_visible()
    page.get_by_text(str(exams["flagged"].exam_id)).click(force=True)  # the line's button lies over its words
    page.locator(".viewer[data-complete=true]").wait_for()
    _toggles_the_heatmap(page)
    pdf = _downloads_the_report(page)
    _brings_a_card_into_the_views(page)
    _disagrees(page)
    page.get_by_role("button", name="be the auditor").click()
    page.get_by_role("link", name="Ledger").click()
    page.get_by_role("button", name="Verify the ledger").click()
    expect(page.get_by_text("Verified: 12 entries")).to_be_visible()
    _traces(page, exams["flagged"])
    (exported,) = ledger_page(room, LedgerFilter(kind="report exported")).entries
    assert exported.payload["pdf_digest"] == sha256(pdf).hexdigest()
    (signed,) = ledger_page(room, LedgerFilter(kind="review")).entries
    assert [r.review.reason for r in reviews(room, exams["flagged"].number)] == ["A lymph node."]
    assert signed.refers_to == exams["flagged"].number


def _toggles_the_heatmap(page: Page) -> None:
    expect(page.get_by_text(NO_BETTER)).to_have_count(1)
    heat = page.get_by_role("button", name="Heatmap", exact=True)
    expect(heat).to_have_attribute("aria-pressed", "true")
    heat.click()
    expect(heat).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("button", name="Evidence 1 on R MLO")).to_be_visible()


def _downloads_the_report(page: Page) -> bytes:
    with page.expect_download() as started:
        page.get_by_role("button", name="Report as PDF").click()
    data = Path(started.value.path()).read_bytes()
    assert data.startswith(b"%PDF-")
    return data


def _brings_a_card_into_the_views(page: Page) -> None:
    page.get_by_role("button", name="Show A in the views").click()
    expect(page.get_by_role("button", name=re.compile("^Evidence A on"))).to_be_visible()


def _traces(page: Page, entry: Entry) -> None:
    """Find the decision by its exam, and follow it to the training patch."""
    page.get_by_label("Search").fill(str(entry.exam_id))
    page.keyboard.press("Enter")
    lines = page.get_by_test_id("stBaseButton-tertiary").filter(has_text=re.compile("^Show$"))
    expect(lines).to_have_count(4)  # scored, opened, exported, signed: the newest first
    lines.last.click()
    expect(page.get_by_text(f"Entry {entry.number}: prediction")).to_be_visible()
    expect(page.get_by_text("3. Training patch")).to_be_visible()
    expect(page.get_by_alt_text("Training patch")).to_be_visible()


def _disagrees(page: Page) -> None:
    page.get_by_text("Disagree", exact=True).click()
    page.get_by_label("Reason (needed)").fill("A lymph node.")
    page.get_by_role("button", name=SIGN).click()
    expect(page.get_by_text("Signed and written as ledger entry")).to_be_visible()


def test_an_exam_is_read_by_the_keyboard_alone(
    address: str, browser: Browser, exams: dict[str, Entry], room: Room
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto(address)
    expect(page.get_by_role("button", name="Open the marked exam")).to_be_visible()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.keyboard.press("o")
    page.locator(".viewer[data-complete=true]").wait_for()
    with page.expect_download() as started:
        page.keyboard.press("Control+s")
    assert Path(started.value.path()).read_bytes().startswith(b"%PDF-")
    page.keyboard.press("x")
    expect(page.get_by_label("Reason (needed)")).to_be_focused()
    page.keyboard.type("A lymph node.")
    page.keyboard.press("Enter")
    page.keyboard.type("Its hilum shows.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Signed and written as ledger entry")).to_be_visible()
    expect(page.get_by_role("radio", name="Disagree")).not_to_be_checked()
    assert [r.review.reason for r in reviews(room, exams["flagged"].number)] == ["A lymph node.\nIts hilum shows."]
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.reload()
    page.locator(".viewer[data-complete=true]").wait_for()
    assert asked == []
    page.keyboard.press("n")
    expect(page.get_by_text(str(exams["no decision"].exam_id))).to_be_visible()
    page.keyboard.press("q")
    expect(page.get_by_label("Question for the other reader")).to_be_focused()
    page.reload()
    assert asked == ["beforeunload"]


def test_nothing_to_lay_over_the_views_is_offered_before_an_opinion(
    exams: dict[str, Entry], home: Path, tmp_path: Path, browser: Browser
) -> None:
    with served(home, tmp_path / "server.log", "--demo", "--blind-first") as where:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{where}/exam?entry={exams['flagged'].number}")
        page.locator(".viewer[data-complete=true]").wait_for()
        offered = page.get_by_role("button", name=re.compile("^(Heatmap|Boxes)$"))
        expect(offered).to_have_count(0)
        page.get_by_text("Suspicious", exact=True).click()
        page.get_by_role("button", name="Sign and show the score").click()
        expect(offered).to_have_count(2)
