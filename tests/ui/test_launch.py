"""`ui.launch.launch` serves in the foreground from any directory and ends quietly on an interrupt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

import ui
from medproto.cli import app
from medproto.errors import InputError
from tests.ui.serving import served, wait_until_served
from ui.blind import BLIND_VARIABLE
from ui.launch import Serving
from ui.sign_in_settings import OidcClient, OidcSettings

ORGANISATION = OidcClient(
    OidcSettings(
        issuer="https://login.example", client_id="x", address="https://reading.example/", roles={"readers": "reader"}
    ),
    secret="x",
)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_server_with_status_zero(tmp_path: Path, sent: signal.Signals) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from pathlib import Path; from ui.launch import *; raise SystemExit(launch(Serving(Path('home'), {port})))"
    environment = {**os.environ, "PYTHONPATH": str(Path(ui.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as server:
        wait_until_served(f"http://127.0.0.1:{port}/_stcore/health")
        os.killpg(server.pid, sent)
        _, said = server.communicate(timeout=30)
    assert server.returncode == 0
    assert b"Traceback" not in said


def test_a_demonstration_listens_on_loopback_alone() -> None:
    with pytest.raises(InputError, match=r"demo: got address 0\.0\.0\.0, expected 127\.0\.0\.1"):
        Serving(Path("home"), address="0.0.0.0", demo=True)


def test_a_demonstration_is_for_this_machine_and_nobody_signs_in() -> None:
    with pytest.raises(InputError, match="demo: got further hosts too, expected none"):
        Serving(Path("home"), hosts=("room.example",), demo=True)
    with pytest.raises(InputError, match="demo: got the organisation's sign-in too"):
        Serving(Path("home"), demo=True, oidc=ORGANISATION)


def test_a_server_answers_to_loopback_its_address_and_the_names_it_was_given() -> None:
    assert Serving(Path("home")).names == ("localhost", "127.0.0.1")
    assert Serving(Path("home"), address="0.0.0.0", hosts=("room.example",)).names[2:] == ("room.example",)
    assert Serving(Path("home"), address="10.0.0.7").names[2:] == ("10.0.0.7",)
    assert Serving(Path("home"), oidc=ORGANISATION).names[2:] == ("reading.example",)


@pytest.mark.parametrize(("given", "kept"), [("1", "1"), ("true", "1"), ("0", ""), ("no", ""), ("", "")])
def test_blind_reading_is_also_asked_for_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    monkeypatch.setenv(BLIND_VARIABLE, given)
    done = CliRunner().invoke(app, ["ui", "--demo", "--address", "0.0.0.0"])
    assert isinstance(done.exception, InputError), "it stops before it serves"
    assert os.environ[BLIND_VARIABLE] == kept


def test_further_names_are_also_given_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPROTO_HOSTS", "reading.example room.example")
    with served(home, home.parent / "log") as address:
        for name, status in (("reading.example", 200), ("room.example", 200), ("elsewhere.example", 400)):
            assert requests.get(f"{address}/_stcore/health", headers={"Host": name}, timeout=30).status_code == status


def test_the_server_asks_nobody_elsewhere_for_its_address(home: Path) -> None:
    """Streamlit would, where it listens at every address of the machine."""
    with served(home, home.parent / "log", "--address", "0.0.0.0") as address:
        port = address.rpartition(":")[2]
        said = (home.parent / "log").read_text()
    assert f"URL: http://localhost:{port}" in said
    assert "Network URL" not in said
    assert "external IP" not in said
