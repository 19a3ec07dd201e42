"""One headless Chromium among the sessions: what its reader waits for, the page itself and the drawing included."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, sync_playwright

from benchmarks.ui.sessions import Drive, drive
from benchmarks.ui.usual import Filled
from tests.ui.test_walk import CHROMIUM, FLAGS

OPENS: Final = 10
_TIMEOUT_MS: Final = 120_000
_AT_REST: Final = '[data-testid=stApp][data-test-script-state="notRunning"]'
_EXAM: Final = re.compile("exam-[0-9a-f]{16}")


@dataclass(frozen=True)
class Looked:
    """What the browser's reader opened, by entry: seconds until all was drawn, and the exams that the page names."""

    reader: str
    openings: tuple[tuple[int, float, frozenset[str]], ...]


def among_sessions(where: str, filled: Filled) -> tuple[Looked, Drive]:
    """Have the last reader open one exam after the other from the worklist while all others go on as they did."""
    *others, (name, password) = filled.readers.items()
    done, driven = threading.Event(), list[Drive]()
    port = int(where.rpartition(":")[2])

    def drive_others() -> None:
        crowd = replace(filled, readers=dict(others))
        driven.append(asyncio.run(drive(port, crowd, len(filled.exams), lambda openings: not done.is_set())))

    crowd = threading.Thread(target=drive_others)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(_TIMEOUT_MS)
        page.goto(where)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Worklist").wait_for()
        crowd.start()
        try:
            looked = Looked(name, tuple(_opened(page, row) for row in range(OPENS)))
        finally:
            done.set()
            crowd.join()
        chromium.close()
    return looked, driven[0]


def _opened(page: Page, row: int) -> tuple[int, float, frozenset[str]]:
    page.get_by_role("link", name="Worklist").click()
    opening = page.get_by_test_id("stBaseButton-tertiary").filter(has_text=re.compile("^Open$")).nth(row)
    opening.wait_for()
    page.locator(_AT_REST).wait_for()
    began = time.perf_counter()
    opening.click()
    page.locator(".viewer[data-complete=true]").wait_for()
    page.locator(_AT_REST).wait_for()
    seconds = time.perf_counter() - began
    (entry,) = parse_qs(urlsplit(page.url).query)["entry"]
    return int(entry), seconds, frozenset(_EXAM.findall(page.locator("body").inner_text()))
