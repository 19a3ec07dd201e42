"""A room that people enter by an organisation's account: its provider, its configuration, the way there and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from audit.room import open_room
from audit.service import Entry, LedgerFilter
from tests.ui.conftest import fill
from tests.ui.provider import CLIENT, SECRET, Provider, providing
from tests.ui.serving import free_port, served

GRACE = {"sub": "f7c3-grace", "groups": ["staff", "readers"]}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Provider]]:
    """Address and home of a served room whose readers, auditors and admins are groups of a provider."""
    home = tmp_path_factory.mktemp("oidc") / "home"
    fill(home)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with providing((f"{address}/auth/oidc/callback", f"{address}/auth/sign-in")) as provider:
        configuration = home.parent / "oidc.yaml"
        configuration.write_text(yaml.safe_dump(settings(provider.issuer, address), sort_keys=False))
        (home.parent / "secret").write_text(SECRET + "\n")
        with served(home, home.parent / "server.log", "--oidc", str(configuration), port=port):
            yield address, home, provider


@pytest.fixture(autouse=True)
def honest(room: tuple[str, Path, Provider]) -> None:
    """A provider that tells the truth, about Grace."""
    _, _, provider = room
    provider.person, provider.mint, provider.claims = dict(GRACE), None, {}


def settings(issuer: str, address: str) -> dict[str, Any]:
    """A configuration; whoever is in several groups is what the first line says."""
    roles = {"chiefs": "admin", "auditors": "auditor", "readers": "reader"}
    where = {"issuer": issuer, "address": address, "client_id": CLIENT, "client_secret_file": "secret"}
    return where | {"label": "Hospital account", "name_prefix": "hospital", "roles": roles}


def begin(address: str, after: str = "") -> tuple[requests.Session, str]:
    """A browser that went to the provider, and the address that the provider sends it back to."""
    browser = requests.Session()
    asked = browser.get(f"{address}/auth/oidc", params={"next": after}, allow_redirects=False, timeout=30)
    assert asked.status_code == 303
    back = requests.get(asked.headers["Location"], allow_redirects=False, timeout=30)
    return browser, back.headers["Location"]


def come(address: str, after: str = "") -> requests.Response:
    """The whole way."""
    browser, back = begin(address, after)
    return browser.get(back, allow_redirects=False, timeout=30)


def newest(home: Path, kind: str) -> Entry:
    """The newest entry of that kind."""
    with open_room(home) as opened:
        return opened.ledger.entries(LedgerFilter(kind=kind), limit=1)[0]


def count(home: Path, kind: str) -> int:
    """How many entries of that kind there are."""
    with open_room(home) as opened:
        return opened.ledger.count(LedgerFilter(kind=kind))


def set_cookie(answer: requests.Response, name: str) -> str:
    """The header that sets this cookie, out of several."""
    return next(given for given in answer.raw.headers.getlist("Set-Cookie") if given.startswith(f"{name}="))
