"""The organisation's sign-in in a real browser, for which room and provider are two sites: in, and out of both."""

from __future__ import annotations

from pathlib import Path

import yaml
from playwright.sync_api import Browser, expect

from audit.room import Room
from audit.service import Entry
from tests.ui.organisation import settings
from tests.ui.provider import SECRET, providing
from tests.ui.serving import free_port, served
from tests.ui.test_walk import browser, pytestmark

__all__ = ["browser", "pytestmark"]


def test_a_reader_comes_in_from_another_site_and_leaves_both(
    exams: dict[str, Entry], home: Path, room: Room, tmp_path: Path, browser: Browser
) -> None:
    port = free_port()
    address, asked = f"http://127.0.0.1:{port}", exams["flagged"].number
    with providing((f"{address}/auth/oidc/callback", f"{address}/auth/sign-in")) as provider:
        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "oidc.yaml").write_text(yaml.safe_dump(settings(provider.issuer, address)))
        with served(home, tmp_path / "server.log", "--oidc", str(tmp_path / "oidc.yaml"), port=port):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(60_000)
            expect.set_options(timeout=60_000)
            page.goto(f"{address}/exam?entry={asked}")
            page.get_by_role("link", name="Sign in with Hospital account").click()
            page.get_by_label("Who are you?").fill("Grace.Hopper")
            page.get_by_role("button", name="Continue").click()
            expect(page.get_by_text("hospital:Grace.Hopper")).to_be_visible()
            assert page.url == f"{address}/exam?entry={asked}"
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_role("link", name="Sign in with Hospital account")).to_be_visible()
            assert page.url.startswith(f"{address}/auth/sign-in")
        assert [claims["sub"] for claims in provider.left] == ["Grace.Hopper"]
    assert ("sign-in", "hospital:Grace.Hopper", "reader") in [
        (entry.kind, entry.actor, entry.role) for entry in room.ledger.entries(limit=5)
    ]
