"""What only a real browser shows of the auditor's pages: downloads, reloads, and a page that goes on by itself."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Browser, expect

from audit.service import Entry
from tests.ui.serving import served
from tests.ui.test_walk import browser, pytestmark

__all__ = ["browser", "pytestmark"]


def test_an_auditor_verifies_exports_and_outlasts_a_database_that_was_away(
    exams: dict[str, Entry], home: Path, tmp_path: Path, browser: Browser
) -> None:
    with served(home, tmp_path / "server.log", "--demo") as address:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto(address)
        page.get_by_role("button", name="be the auditor").click()
        page.get_by_role("link", name="Ledger").click()
        page.get_by_role("button", name="Verify the ledger").click()
        expect(page.get_by_text("Verified: 9 entries")).to_be_visible()
        page.reload()
        expect(page.get_by_text("Verified: 9 entries")).to_be_visible()
        with page.expect_download() as begun:
            page.get_by_role("button", name="Export with proofs").click()
        lines = begun.value.path().read_text("utf-8").splitlines()
        assert sum("inclusion" in json.loads(line) for line in lines) == 9
        expect(page.get_by_role("button", name="Show").first).to_be_visible()
        (home / "verified-head.note").unlink()
        (home / "ledger.sqlite").rename(home / "away")
        page.get_by_role("link", name="Worklist").click()
        expect(page.get_by_text("The ledger cannot be reached just now")).to_be_visible()
        (home / "away").rename(home / "ledger.sqlite")
        expect(page.get_by_role("button", name="Open", exact=True).first).to_be_visible()
