"""`ui.launch.launch` serves in the foreground from any directory and ends quietly on an interrupt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import ui
from tests.ui.test_walk import wait_until_served


def test_an_interrupt_ends_the_server_with_status_zero(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from pathlib import Path; from ui.launch import launch; raise SystemExit(launch(Path('home'), {port}))"
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
