"""The served room, asked over HTTP: nobody comes in without signing in, and no answer lacks its headers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from audit.room import Actor, open_room
from audit.service import LedgerFilter
from audit.users import add_user
from tests.ui.conftest import fill
from tests.ui.serving import served
from ui.headers import HEADERS
from ui.sessions import COOKIE

PASSWORD = "correct horse battery"
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and home of a served room with a reader, Grace, and an auditor, Lise."""
    home = tmp_path_factory.mktemp("door") / "home"
    fill(home)
    with open_room(home) as room:
        for name, role in (("Grace", "reader"), ("Lise", "auditor")):
            add_user(room, name, role, PASSWORD, Actor("ada", "operator"))  # type: ignore[arg-type]
    with served(home, home.parent / "server.log") as address:
        yield address, home


def post(address: str, name: str, password: str = PASSWORD, **fields: str) -> requests.Response:
    """Send the form as the page does."""
    form = {"name": name, "password": password} | fields
    return requests.post(
        f"{address}/auth/sign-in", data=form, headers={"Origin": address}, allow_redirects=False, timeout=30
    )


def session_of(address: str, name: str) -> dict[str, str]:
    """Sign in; the cookies that this gives."""
    return post(address, name).cookies.get_dict()


def newest(home: Path, kind: str) -> str:
    """Actor of the newest entry of that kind."""
    with open_room(home) as room:
        return room.ledger.entries(LedgerFilter(kind=kind), limit=1)[0].actor


def test_a_page_that_is_asked_for_leads_to_the_door_and_back(door: tuple[str, Path]) -> None:
    address, _ = door
    asked = requests.get(f"{address}/exam?entry=3", headers=HTML, allow_redirects=False, timeout=30)
    assert (asked.status_code, asked.headers["Location"]) == (303, "/auth/sign-in?next=%2Fexam%3Fentry%3D3")
    page = requests.get(f"{address}{asked.headers['Location']}", timeout=30).text
    assert re.search(r'name="next" value="/exam\?entry=3"', page)
    assert post(address, "Grace", next="/exam?entry=3").headers["Location"] == "/exam?entry=3"


@pytest.mark.parametrize(
    "path", ["/", "/static/js/index.js", "/_stcore/host-config", "/media/x", "/tiles/3/x", "/maps/3/x"]
)
def test_without_a_session_nothing_is_sent(door: tuple[str, Path], path: str) -> None:
    assert requests.get(door[0] + path, allow_redirects=False, timeout=30).status_code == 401


def test_without_a_session_no_websocket_opens(door: tuple[str, Path]) -> None:
    keys = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Origin": door[0]}
    keys["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    assert requests.get(f"{door[0]}/_stcore/stream", headers=keys, timeout=30).status_code == 403
    keys["Cookie"] = f"{COOKIE}={session_of(door[0], 'Grace')[COOKIE]}"
    opened = requests.get(f"{door[0]}/_stcore/stream", headers=keys, timeout=30, stream=True)
    assert opened.status_code == 101
    opened.close()


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://localhost", "http://elsewhere.example", "null", ""])
def test_no_page_of_another_server_opens_a_websocket_in_somebodys_name(door: tuple[str, Path], origin: str) -> None:
    """Another port of this machine is the same site to a browser: it sends the cookie along."""
    keys = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    keys |= {
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Cookie": f"{COOKIE}={session_of(door[0], 'Grace')[COOKIE]}",
    } | ({"Origin": origin} if origin else {})
    assert requests.get(f"{door[0]}/_stcore/stream", headers=keys, timeout=30).status_code == 403


def test_no_page_of_another_server_sends_files_in_somebodys_name(door: tuple[str, Path]) -> None:
    cookies, target = session_of(door[0], "Grace"), f"{door[0]}/_stcore/upload_file/session/file"
    for origin, status in ((door[0], 403), ("http://127.0.0.1:1", 403)):
        answer = requests.put(target, cookies=cookies, headers={"Origin": origin}, timeout=30)
        assert (answer.status_code, "another page" in answer.text) == (status, origin != door[0])


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(door: tuple[str, Path]) -> None:
    given = post(door[0], "Grace").headers["Set-Cookie"]
    assert given.startswith(f"{COOKIE}=")
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in given.split(";")}


def test_behind_a_proxy_with_tls_the_cookie_goes_over_tls_alone(door: tuple[str, Path]) -> None:
    form, origin = {"name": "Grace", "password": PASSWORD}, door[0].replace("http://", "https://")
    answer = requests.post(
        f"{door[0]}/auth/sign-in", data=form, headers={"Origin": origin}, allow_redirects=False, timeout=30
    )
    assert "; secure" in answer.headers["Set-Cookie"].lower()
    assert "secure" not in post(door[0], "Grace").headers["Set-Cookie"].lower()


def test_signing_in_and_failing_to_are_entries(door: tuple[str, Path]) -> None:
    address, home = door
    assert post(address, "Lise").status_code == 303
    assert newest(home, "sign-in") == "Lise"
    refused = post(address, "Lise", "wrong horse battery")
    assert refused.status_code == 401
    assert "This name and password do not go together" in refused.text
    assert COOKIE not in refused.cookies
    assert newest(home, "sign-in refused") == "Lise"


def test_guessing_is_stopped(door: tuple[str, Path]) -> None:
    said = [post(door[0], "guessed", f"wrong horse {n:08}").text for n in range(6)]
    assert "Too many attempts" in said[-1]
    assert "Too many attempts" not in said[-2]


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "http://[", "null", ""])
def test_a_form_of_another_site_signs_nobody_in(door: tuple[str, Path], origin: str) -> None:
    form = {"name": "Grace", "password": PASSWORD}
    headers = {"Origin": origin} if origin else {}
    answer = requests.post(f"{door[0]}/auth/sign-in", data=form, headers=headers, allow_redirects=False, timeout=30)
    assert answer.status_code == 403
    assert COOKIE not in answer.cookies


@pytest.mark.parametrize(
    "after", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere", "javascript:x", "http://["]
)
def test_nobody_is_sent_elsewhere_after_signing_in(door: tuple[str, Path], after: str) -> None:
    assert post(door[0], "Grace", next=after).headers["Location"] == "/"


def test_signing_out_ends_the_session_at_the_server(door: tuple[str, Path]) -> None:
    address, _ = door
    cookies = session_of(address, "Grace")
    assert requests.get(f"{address}/_stcore/host-config", cookies=cookies, timeout=30).status_code == 200
    requests.post(
        f"{address}/auth/sign-out", cookies=cookies, headers={"Origin": address}, allow_redirects=False, timeout=30
    )
    assert requests.get(f"{address}/_stcore/host-config", cookies=cookies, timeout=30).status_code == 401


def test_nobody_plays_a_role_where_people_sign_in(door: tuple[str, Path]) -> None:
    cookies = session_of(door[0], "Grace")
    answer = requests.post(
        f"{door[0]}/auth/demo", data={"act_as": "auditor"}, cookies=cookies, headers={"Origin": door[0]}, timeout=30
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/", "/healthz", "/auth/sign-in", "/nowhere", "/_stcore/health"])
def test_every_answer_carries_the_headers(door: tuple[str, Path], path: str) -> None:
    answer = requests.get(door[0] + path, cookies=session_of(door[0], "Grace"), timeout=30)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_no_page_is_kept_by_a_browser(door: tuple[str, Path]) -> None:
    cookies = session_of(door[0], "Grace")
    for path in ("/", "/exam?entry=3", "/auth/sign-in"):
        answer = requests.get(door[0] + path, cookies=cookies, headers=HTML, timeout=30)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def test_another_host_name_is_not_answered(door: tuple[str, Path]) -> None:
    answer = requests.get(f"{door[0]}/auth/sign-in", headers={"Host": "elsewhere.example"}, timeout=30)
    assert answer.status_code == 400
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_more_than_an_upload_may_hold_is_turned_away(door: tuple[str, Path]) -> None:
    for path, too_much in (("/auth/sign-in", 2 * 1024**2), ("/_stcore/upload_file/a/b", 64 * 1024**3)):
        headers = {"Content-Length": str(too_much), "Origin": door[0]}
        answer = requests.post(f"{door[0]}{path}", headers=headers, data=b"", timeout=30, stream=True)
        assert answer.status_code == 413
    chunked = requests.post(f"{door[0]}/auth/sign-in", data=iter([b"name=x"]), timeout=30)
    assert chunked.status_code == 411


def test_a_session_that_somebody_laid_into_the_browser_is_none(door: tuple[str, Path]) -> None:
    laid = session_of(door[0], "Lise")
    form = {"name": "Grace", "password": PASSWORD}
    headers = {"Origin": door[0]}
    came = requests.post(
        f"{door[0]}/auth/sign-in", data=form, cookies=laid, headers=headers, allow_redirects=False, timeout=30
    )
    assert came.cookies[COOKIE] != laid[COOKIE]
    assert requests.get(f"{door[0]}/_stcore/host-config", cookies=laid, timeout=30).status_code == 401


def test_where_it_cannot_be_told_who_asks_nobody_is_let_in_and_nobody_signed_out(door: tuple[str, Path]) -> None:
    address, home = door
    cookies, users = session_of(address, "Grace"), (home / "users.json").read_bytes()
    (home / "users.json").write_text("damaged")
    answer = requests.get(f"{address}/_stcore/host-config", cookies=cookies, timeout=30)
    keys = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Origin": address}
    keys |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Cookie": f"{COOKIE}={cookies[COOKIE]}"}
    stream = requests.get(f"{address}/_stcore/stream", headers=keys, timeout=30)
    (home / "users.json").write_bytes(users)
    assert (answer.status_code, stream.status_code) == (503, 403)
    assert answer.text.startswith("Who you are cannot be told just now")
    assert requests.get(f"{address}/_stcore/host-config", cookies=cookies, timeout=30).status_code == 200
    assert "Traceback" not in (home.parent / "server.log").read_text()


def test_health_says_how_far_the_ledger_goes_and_when_it_is_away(door: tuple[str, Path]) -> None:
    address, home = door
    well = requests.get(f"{address}/healthz", timeout=30)
    assert well.status_code == 200
    with open_room(home) as room:
        assert well.json()["ledger"] == {"entries": room.ledger.count(), "root": room.ledger.head(room.public_key).root}
    shutil.move(home, home.with_name("away"))
    ill = requests.get(f"{address}/healthz", timeout=30)
    shutil.move(home.with_name("away"), home)
    assert ill.status_code == 503
    assert str(home) not in ill.text
    assert requests.get(f"{address}/healthz", timeout=30).status_code == 200
