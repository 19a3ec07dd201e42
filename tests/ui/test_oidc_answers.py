"""What the provider answers, or somebody makes of it: what does not hold lets nobody in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.ui.organisation import begin, come, count, honest, newest, room
from tests.ui.provider import CLIENT, SECRET, Provider, by_shared_secret, unsigned
from ui.sessions import COOKIE
from ui.sign_in_oidc import BEGUN_COOKIE

__all__ = ["honest", "room"]

LIES: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "another-room"},
    "several audiences without this": {"aud": ["another-room", "third"], "azp": CLIENT},
    "another issuer": {"iss": "https://elsewhere.example"},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "expired": {"exp": int(time.time()) - 3600},
    "of tomorrow": {"nbf": int(time.time()) + 86400},
    "no end": {"exp": None},
    "no subject": {"sub": None},
    "no time of proof": {"auth_time": None},
    "a proof of this morning": {"auth_time": int(time.time()) - 4 * 3600},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_token_with_a_claim_that_is_not_right_lets_nobody_in(
    room: tuple[str, Path, Provider], lie: dict[str, Any]
) -> None:
    address, home, provider = room
    before = count(home, "sign-in")
    provider.claims = lie
    answer = come(address)
    assert (answer.status_code, COOKIE in answer.cookies) == (401, False)
    assert "The answer of your organisation does not hold" in answer.text
    assert count(home, "sign-in") == before
    assert newest(home, "sign-in refused").payload["reason"] == "answer not genuine"


def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(room: tuple[str, Path, Provider]) -> None:
    address, home, provider = room
    before = count(home, "sign-in")
    other = RSAKey.generate_key(2048, {"kid": "one"})
    # The public key as a shared secret: whoever takes HS256 for an answer can be written one by anybody.
    public = provider.key.as_pem(private=False)
    mints = {
        "unsigned": unsigned,
        "by another key": lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, other),
        "by the secret": lambda claims: by_shared_secret(claims, SECRET.encode()),
        "by the public key": lambda claims: by_shared_secret(claims, public),
        "altered": lambda claims: provider.signed(claims)[:-8] + "AAAAAAAA",
        "no token": lambda claims: "",
    }
    for name, provider.mint in mints.items():
        assert come(address).status_code == 401, name
    assert count(home, "sign-in") == before


def test_a_lying_provider_fills_no_ledger(room: tuple[str, Path, Provider]) -> None:
    address, home, provider = room
    provider.mint = unsigned
    come(address)
    before = count(home, "sign-in refused")
    for _ in range(3):
        come(address)
    assert count(home, "sign-in refused") == before


def test_an_answer_that_another_browser_asked_for_is_nobodys(room: tuple[str, Path, Provider]) -> None:
    """Somebody lures a browser to the answer of their own sign-in: it would go on under their name."""
    address, _, _ = room
    _, back = begin(address)
    lured = requests.get(back, allow_redirects=False, timeout=30)
    assert (lured.status_code, COOKIE in lured.cookies) == (400, False)
    other, _ = begin(address)
    assert other.get(back, allow_redirects=False, timeout=30).status_code == 401
    assert COOKIE not in other.cookies


def test_an_answer_counts_once(room: tuple[str, Path, Provider]) -> None:
    address, _, provider = room
    browser, back = begin(address)
    kept = browser.cookies.get_dict()
    assert browser.get(back, allow_redirects=False, timeout=30).status_code == 200
    assert requests.get(back, cookies=kept, allow_redirects=False, timeout=30).status_code == 400
    # A code that was used, in an answer to what was asked anew: the provider gives nothing for it twice.
    again, fresh = begin(address)
    used, state = parse_qs(urlsplit(back).query)["code"][0], parse_qs(urlsplit(fresh).query)["state"][0]
    replayed = again.get(f"{address}/auth/oidc/callback?code={used}&state={state}", timeout=30)
    assert replayed.status_code == 401
    assert provider.codes


@pytest.mark.parametrize("query", ["", "?state=x", "?code=x", "?code=x&state=y", "?error=access_denied"])
def test_an_answer_to_nothing_is_no_way_in_and_no_entry(room: tuple[str, Path, Provider], query: str) -> None:
    address, home, _ = room
    before = count(home, "sign-in refused")
    answer = requests.get(f"{address}/auth/oidc/callback{query}", cookies={BEGUN_COOKIE: "A" * 43}, timeout=30)
    assert answer.status_code == 400
    assert count(home, "sign-in refused") == before


def test_a_state_that_was_altered_is_turned_away(room: tuple[str, Path, Provider]) -> None:
    browser, back = begin(room[0])
    assert browser.get(back + "x", allow_redirects=False, timeout=30).status_code == 401
    assert COOKIE not in browser.cookies


def test_what_the_provider_declines_is_said(room: tuple[str, Path, Provider]) -> None:
    address, _, _ = room
    browser, _ = begin(address)
    answer = browser.get(f"{address}/auth/oidc/callback?error=access_denied&error_description=<b>x", timeout=30)
    assert answer.status_code == 401
    assert "Your organisation did not let you in." in answer.text
    assert "<b>x" not in answer.text


@pytest.mark.parametrize("after", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere", "javascript:x"])
def test_nobody_is_led_elsewhere(room: tuple[str, Path, Provider], after: str) -> None:
    assert 'content="0;url=/"' in come(room[0], after).text


def test_nothing_the_provider_said_is_in_the_servers_output(room: tuple[str, Path, Provider]) -> None:
    said = (room[1].parent / "server.log").read_text()
    assert "organisation's sign-in: " in said
    assert "Invalid claim: 'aud'" in said
    assert "Missing claim: 'auth_time'" in said
    assert [word for word in ("grace", SECRET, "Traceback", "code=") if word in said] == []
