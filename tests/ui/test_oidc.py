"""In by the organisation's sign-in: the whole way, over HTTP and to a provider that really signs, and out again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import yaml
from joserfc.jwk import RSAKey

from audit.room import Actor, open_room
from audit.users import add_user
from tests.ui.conftest import fill
from tests.ui.organisation import GRACE, come, count, honest, newest, room, set_cookie, settings
from tests.ui.provider import SECRET, Provider, providing
from tests.ui.serving import served
from ui.sessions import COOKIE
from ui.sign_in_oidc import BEGUN_COOKIE
from ui.sign_in_settings import SECRET_VARIABLE

__all__ = ["honest", "room"]

OUTSIDE = "https://reading.example"


def test_whoever_the_provider_vouches_for_comes_in_as_what_their_group_is(room: tuple[str, Path, Provider]) -> None:
    address, home, provider = room
    answer = come(address, "/exam?entry=3")
    assert answer.status_code == 200
    assert 'content="0;url=/exam?entry=3"' in answer.text
    assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in set_cookie(answer, COOKIE).split(";")}
    cookies = {COOKIE: answer.cookies[COOKIE]}
    assert requests.get(f"{address}/_stcore/host-config", cookies=cookies, timeout=30).status_code == 200
    entry = newest(home, "sign-in")
    assert (entry.actor, entry.role) == ("hospital:f7c3-grace", "reader")
    assert entry.payload == {"method": "oidc", "issuer": provider.issuer, "subject": "f7c3-grace", "group": "readers"}


@pytest.mark.parametrize(
    "groups, role", [(["readers", "auditors"], "auditor"), (["chiefs", "readers"], "admin"), ("readers", "reader")]
)
def test_of_several_groups_the_first_that_is_listed_decides(
    room: tuple[str, Path, Provider], groups: Any, role: str
) -> None:
    address, home, provider = room
    provider.claims = {"groups": groups}
    assert come(address).status_code == 200
    assert newest(home, "sign-in").role == role


@pytest.mark.parametrize("groups", [None, [], ["staff"], "readers of the news", {"readers": True}, [["readers"]], 7])
def test_who_is_in_no_group_that_has_a_role_is_turned_away_by_an_entry(
    room: tuple[str, Path, Provider], groups: Any
) -> None:
    address, home, provider = room
    provider.claims = {"groups": groups, "sub": f"nobody-{abs(hash(str(groups)))}"}
    answer = come(address)
    assert answer.status_code == 403
    assert "in no group that may use the reading room" in answer.text
    assert COOKIE not in answer.cookies
    refusal = newest(home, "sign-in refused")
    assert (refusal.actor, refusal.payload["reason"]) == (f"hospital:{provider.claims['sub']}", "no role")


def test_another_site_cannot_sign_a_browser_in(room: tuple[str, Path, Provider]) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = requests.get(f"{room[0]}/auth/oidc", headers=headers, allow_redirects=False, timeout=30)
    assert answer.headers["Location"].startswith("/auth/sign-in")
    assert BEGUN_COOKIE not in answer.cookies


def test_the_provider_is_asked_with_state_nonce_and_pkce_and_for_a_fresh_proof(
    room: tuple[str, Path, Provider],
) -> None:
    address, _, _ = room
    answer = requests.get(f"{address}/auth/oidc", allow_redirects=False, timeout=30)
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert {"state", "nonce", "code_challenge", "max_age", "scope"} <= set(asked)
    assert (asked["code_challenge_method"], asked["response_type"], asked["max_age"]) == (["S256"], ["code"], ["900"])
    assert asked["redirect_uri"] == [f"{address}/auth/oidc/callback"]
    given = {part.strip().lower() for part in set_cookie(answer, BEGUN_COOKIE).split(";")}
    assert {"httponly", "samesite=lax", "path=/auth/oidc", "max-age=600"} <= given
    assert not {asked["state"][0], asked["nonce"][0]} & set(given)
    assert "prompt" not in asked


def test_who_sits_down_at_the_desk_of_another_is_asked_who_they_are(room: tuple[str, Path, Provider]) -> None:
    page = requests.get(f"{room[0]}/auth/sign-in?next=/about", timeout=30).text
    assert '<a href="/auth/oidc?next=%2Fabout&amp;again=1">Use another account</a>' in page
    answer = requests.get(f"{room[0]}/auth/oidc?next=/about&again=1", allow_redirects=False, timeout=30)
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["prompt"] == ["login"]


def test_signing_out_ends_the_session_here_and_leads_to_the_provider(room: tuple[str, Path, Provider]) -> None:
    address, _, provider = room
    cookies = {COOKIE: come(address).cookies[COOKIE]}
    answer = requests.post(f"{address}/auth/sign-out", cookies=cookies, headers={"Origin": address}, timeout=30)
    assert f'content="0;url={provider.issuer}/leave?id_token_hint=' in answer.text
    assert requests.get(f"{address}/_stcore/host-config", cookies=cookies, timeout=30).status_code == 401


def test_the_form_is_there_once_somebody_can_sign_in_by_name(room: tuple[str, Path, Provider]) -> None:
    address, home, _ = room
    page = requests.get(f"{address}/auth/sign-in?next=/about", timeout=30).text
    assert 'href="/auth/oidc?next=%2Fabout">Sign in with Hospital account</a>' in page
    assert "password" not in page
    with open_room(home) as opened:
        add_user(opened, "Lise", "auditor", "correct horse battery", Actor("ada", "operator"))
    assert 'type="password"' in requests.get(f"{address}/auth/sign-in", timeout=30).text


def test_keys_that_the_provider_changed_are_asked_for_again(room: tuple[str, Path, Provider]) -> None:
    address, _, provider = room
    kept, provider.key = provider.key, RSAKey.generate_key(2048, {"kid": "two"})
    assert come(address).status_code == 200
    provider.key = kept
    assert come(address).status_code == 200


@pytest.fixture(scope="module")
def behind_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Provider]]:
    """Where a room listens that browsers reach as https://reading.example, and its provider, which may be put wrong."""
    folder = tmp_path_factory.mktemp("behind")
    fill(folder / "home")
    with providing((f"{OUTSIDE}/auth/oidc/callback",)) as provider, pytest.MonkeyPatch.context() as patch:
        patch.setenv(SECRET_VARIABLE, SECRET)
        where = settings(provider.issuer, OUTSIDE)
        del where["client_secret_file"]
        (folder / "oidc.yaml").write_text(yaml.safe_dump(where))
        provider.person = dict(GRACE)
        with served(folder / "home", folder / "log", "--oidc", str(folder / "oidc.yaml")) as inside:
            yield inside, provider


def test_a_provider_that_is_not_the_configured_one_is_not_gone_to_until_it_is_put_right(
    behind_tls: tuple[str, Provider],
) -> None:
    inside, provider = behind_tls
    for wrong in ({"issuer": "https://elsewhere.example"}, {"token_endpoint": "http://elsewhere.example/token"}):
        provider.discovery = wrong
        answer = requests.get(f"{inside}/auth/oidc", timeout=30)
        assert answer.status_code == 503
        assert "is not the one configured here" in answer.text
    provider.discovery = {}
    assert requests.get(f"{inside}/auth/oidc", allow_redirects=False, timeout=30).status_code == 303


def test_behind_a_proxy_with_tls_both_cookies_go_over_tls_alone(behind_tls: tuple[str, Provider]) -> None:
    inside, _ = behind_tls
    asked = requests.get(f"{inside}/auth/oidc", allow_redirects=False, timeout=30)
    begun = set_cookie(asked, BEGUN_COOKIE)
    back = requests.get(asked.headers["Location"], allow_redirects=False, timeout=30).headers["Location"]
    assert back.startswith(f"{OUTSIDE}/auth/oidc/callback?")
    # As the proxy passes it on: the name that the browser asked for, without its https.
    headers = {"Cookie": begun.partition(";")[0], "Host": "reading.example"}
    came = requests.get(back.replace(OUTSIDE, inside), headers=headers, timeout=30)
    assert came.status_code == 200
    assert [("; secure" in given.lower()) for given in (begun, set_cookie(came, COOKIE))] == [True, True]


def test_a_secret_that_the_provider_does_not_know_is_no_fault_of_who_comes(room: tuple[str, Path, Provider]) -> None:
    address, home, provider = room
    before, provider.secret = count(home, "sign-in refused"), "another"
    answer = come(address)
    provider.secret = SECRET
    assert answer.status_code == 503
    assert "is not the one configured here; tell who runs this room" in answer.text
    assert count(home, "sign-in refused") == before


def test_a_provider_that_is_away_is_said(behind_tls: tuple[str, Provider]) -> None:
    inside, provider = behind_tls
    asked = requests.get(f"{inside}/auth/oidc", allow_redirects=False, timeout=30)
    back = requests.get(asked.headers["Location"], allow_redirects=False, timeout=30).headers["Location"]
    provider.away = True
    headers = {"Cookie": set_cookie(asked, BEGUN_COOKIE).partition(";")[0]}
    answer = requests.get(back.replace(OUTSIDE, inside), headers=headers, timeout=30)
    provider.away = False
    assert answer.status_code == 503
    assert "cannot be reached; try again soon" in answer.text
