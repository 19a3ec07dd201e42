"""Every page as a browser shows it, measured against WCAG 2.2 A and AA by axe: contrast, names, labels, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from audit.room import Actor
from audit.service import Entry, open_room
from audit.users import add_user
from tests.ui.conftest import fill
from tests.ui.serving import served
from tests.ui.test_walk import browser, pytestmark

__all__ = ["browser", "pytestmark"]
NAME, PASSWORD = "Grace", "correct horse battery"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
#: WCAG 1.4.11, which axe leaves out: fields and boxes whose edge does not stand out 3 : 1 from the page.
FAINT = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const edged = (element) => element && parseFloat(getComputedStyle(element).borderTopWidth) > 0;
  const page = getComputedStyle(document.querySelector("[data-testid=stApp]") ?? document.body).backgroundColor;
  const found = [];
  const fields = "input:not([role=switch]):not([type=hidden]):not([type=file]), [data-type=year]";
  for (const input of document.querySelectorAll(fields)) {
    let edge = input.type === "checkbox" ? input.parentElement.nextElementSibling : input;
    while (edge && !edged(edge)) edge = edge.parentElement;
    if (!edge?.offsetWidth) continue;
    const seen = contrast(getComputedStyle(edge).borderTopColor, page);
    if (seen < 3) found.push(`edge of ${input.ariaLabel || input.name}: ${seen.toFixed(2)} : 1`);
  }
  return found;
}"""
Measure = Callable[[str], None]
Opened = tuple[Page, str, dict[str, Entry]]


@pytest.fixture
def opened(tmp_path: Path, browser: Browser) -> Iterator[Opened]:
    """A browser before a filled room that has to be entered by name and password, its address, and its exams."""
    home = tmp_path / "home"
    exams = fill(home)
    with open_room(home) as room:
        add_user(room, NAME, "admin", PASSWORD, Actor("ada", "operator"))
    with served(home, tmp_path / "server.log") as address:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page, address, exams


def test_every_page_has_readable_text_and_named_controls(opened: Opened) -> None:
    page, address, exams = opened
    found: dict[str, list[str]] = {}

    def measure(state: str) -> None:
        found[state] = _violations(page) + page.evaluate(FAINT)

    _door(page, address, measure)
    _worklist(page, measure)
    _exam(page, address, exams, measure)
    _others(page, measure)
    assert {state: said for state, said in found.items() if said} == {}
    assert len(found) == 17


def _door(page: Page, address: str, measure: Measure) -> None:
    page.goto(address)
    measure("sign-in")
    for password in ("wrong horse battery", PASSWORD):
        page.get_by_label("Name").fill(NAME)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        if password != PASSWORD:
            expect(page.get_by_role("alert")).to_be_visible()
            measure("sign-in refused")


def _worklist(page: Page, measure: Measure) -> None:
    expect(page.get_by_text("flagged", exact=True)).to_be_visible()
    measure("worklist, flagged")
    page.get_by_role("radio", name="All").click()
    expect(page.get_by_text("no decision", exact=True)).to_be_visible()
    measure("worklist, all")
    page.get_by_role("radio", name="Refused").click()
    page.get_by_text("The image holds raw detector values.").first.click()
    expect(page.get_by_text("image-0011223344556677: The image holds raw detector values.")).to_be_visible()
    measure("worklist, refused")


def _exam(page: Page, address: str, exams: dict[str, Entry], measure: Measure) -> None:
    _turn(page, "Exam", "No exam is open")
    measure("no exam is open")
    for outcome, says in (("no decision", "No decision:"), ("not flagged", "Not flagged,"), ("flagged", "Flagged:")):
        page.goto(f"{address}/exam?entry={exams[outcome].number}")
        expect(page.get_by_text(says)).to_be_visible()
        page.locator(".viewer[data-complete=true]").wait_for()
        measure(f"exam, {outcome}")
    page.get_by_role("tab", name="Contributions").click()
    measure("exam, contributions")
    page.get_by_role("tab", name="Input checks").click()
    expect(page.get_by_text("The breast is cut at the lower edge.")).to_be_visible()
    measure("exam, warnings")
    page.get_by_text("Disagree", exact=True).click()
    page.get_by_label("Reason (needed)").wait_for()
    page.get_by_role("button", name="Next exam").click()
    page.get_by_role("button", name="Discard it").wait_for()
    measure("exam, unsigned")


def _others(page: Page, measure: Measure) -> None:
    pages = ("Import", "Ledger", "Prototypes", "Operations", "Intended use")
    for name, heading in zip(pages, (*pages[:-1], "What this is for"), strict=True):
        _turn(page, name, heading)
        measure(name)


def _turn(page: Page, name: str, heading: str) -> None:
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=heading)).to_be_visible()


def _violations(page: Page) -> list[str]:
    """What axe finds on the page as it stands: rule, element, and what is wrong with it."""
    if page.get_by_test_id("stApp").count():
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{rule['id']}: {node['html'][:160]}: {node['failureSummary']}" for rule in found for node in rule["nodes"]]
