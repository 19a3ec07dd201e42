"""Clicks that a browser never showed, sent to the served room over the websocket: another role's do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest
from websockets.sync.client import connect

from audit.room import Actor
from audit.service import Entry, LedgerFilter, Room
from audit.users import add_user
from tests.ui.conftest import opened
from tests.ui.serving import served
from ui.sessions import COOKIE, DEMO_AUDITOR, shared

PASSWORD = "correct horse battery"
ROLES = {"Grace": "reader", "Lise": "auditor"}
BEGUN, REFUSED = b"asked for by Lise", b"is not for the role reader"
#: Sends widget states to a page as this person; everything that comes back until its script has ended.
Replay = Callable[[str, AppTest, list[WidgetState]], bytes]


@pytest.fixture
def replay(room: Room, home: Path, tmp_path: Path) -> Iterator[Replay]:
    """The served room with a reader, Grace, and an auditor, Lise."""
    for name, role in ROLES.items():
        add_user(room, name, role, PASSWORD, Actor("ada", "operator"))  # type: ignore[arg-type]
    with served(home, tmp_path / "server.log") as address:
        cookies = {name: _cookie(address, name) for name in ROLES}

        def sent(name: str, shown: AppTest, states: list[WidgetState]) -> bytes:
            message = BackMsg()
            message.rerun_script.page_script_hash = shown._page_hash
            message.rerun_script.query_string = "&".join(f"{key}={value}" for key, value in shown.query_params.items())
            message.rerun_script.widget_states.widgets.extend(states)
            return _answered(address, cookies[name], message)

        yield sent


def test_a_click_of_another_role_does_nothing(
    replay: Replay, exams: dict[str, Entry], room: Room, browser_cookies: dict[str, str]
) -> None:
    _reader_signs_and_auditor_does_not(replay, exams["flagged"].number, room)
    browser_cookies[COOKIE] = shared().begin(DEMO_AUDITOR, None)
    _auditor_verifies_and_reader_does_not(replay, room)


def _reader_signs_and_auditor_does_not(replay: Replay, number: int, room: Room) -> None:
    exam = opened("exam", number)
    choice, sign = exam.segmented_control(key=f"draft_verdict_{number}"), exam.button(key=f"sign_{number}")
    press = [WidgetState(id=choice.proto.id), WidgetState(id=sign.proto.id, trigger_value=True)]
    press[0].string_array_value.data.append("Agree")
    replay("Lise", exam, press)
    assert room.ledger.entries(LedgerFilter(kind="review")) == []
    replay("Grace", exam, press)
    assert [entry.actor for entry in room.ledger.entries(LedgerFilter(kind="review"))] == ["Grace"]


def _auditor_verifies_and_reader_does_not(replay: Replay, room: Room) -> None:
    ledger = opened("ledger")
    press = [WidgetState(id=ledger.button(key="verify").proto.id, trigger_value=True)]
    said = replay("Lise", ledger, press)
    assert [words in said for words in (BEGUN, REFUSED)] == [True, False]
    assert _refused(room) == []
    said = replay("Grace", ledger, press)
    assert [words in said for words in (BEGUN, REFUSED, b"Verify the ledger")] == [False, True, False]
    assert _refused(room) == [("Grace", "ledger")]


def _refused(room: Room) -> list[tuple[str, str]]:
    entries = room.ledger.entries(LedgerFilter(kind="access refused"))
    return [(entry.actor, entry.payload["action"]) for entry in reversed(entries)]


def _cookie(address: str, name: str) -> str:
    form = {"name": name, "password": PASSWORD}
    answer = requests.post(
        f"{address}/auth/sign-in", data=form, headers={"Origin": address}, allow_redirects=False, timeout=30
    )
    return answer.cookies[COOKIE]


def _answered(address: str, cookie: str, message: BackMsg) -> bytes:
    headers, said = {"Cookie": f"{COOKIE}={cookie}"}, b""
    stream = f"{address.replace('http', 'ws')}/_stcore/stream"
    with connect(
        stream, origin=address, subprotocols=["streamlit"], additional_headers=headers, max_size=None
    ) as socket:
        socket.send(message.SerializeToString())
        for data in socket:
            said += data
            come = ForwardMsg.FromString(data)
            if come.HasField("script_finished") and come.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return said
    raise AssertionError("the socket closed before the script ended")
