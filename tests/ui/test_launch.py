"""`ui.launch.launch` serves in the foreground from any directory and ends quietly on an interrupt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import ui
from medproto.errors import InputError
from tests.ui.serving import wait_until_served
from ui.launch import Serving


def test_an_interrupt_ends_the_server_with_status_zero(tmp_path: Path) -> None:
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
        os.killpg(server.pid, signal.SIGINT)
        _, said = server.communicate(timeout=30)
    assert server.returncode == 0
    assert b"Traceback" not in said


def test_a_demonstration_listens_on_loopback_alone() -> None:
    with pytest.raises(InputError, match=r"demo: got address 0\.0\.0\.0, expected 127\.0\.0\.1"):
        Serving(Path("home"), address="0.0.0.0", demo=True)


def test_a_server_answers_to_loopback_its_address_and_the_names_it_was_given() -> None:
    assert Serving(Path("home")).names == ("localhost", "127.0.0.1")
    assert Serving(Path("home"), address="0.0.0.0", hosts=("room.example",)).names[2:] == ("room.example",)
    assert Serving(Path("home"), address="10.0.0.7").names[2:] == ("10.0.0.7",)
