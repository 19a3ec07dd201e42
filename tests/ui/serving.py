"""The application as a process of its own, as `medproto ui` starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ui.opening import HOME_VARIABLE


@contextmanager
def served(home: Path, log: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """Address of the application over this home, served from a directory that is not its own."""
    port = port or free_port()
    command = [sys.executable, "-m", "medproto", "ui", "--port", str(port), *options]
    environment = {**os.environ, HOME_VARIABLE: str(home)}
    with (
        log.open("wb") as said,
        subprocess.Popen(command, env=environment, cwd="/", stdout=said, stderr=said) as server,
    ):
        try:
            wait_until_served(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until_served(url: str) -> None:
    """Wait until the server answers."""
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.25)
    pytest.fail(f"{url}: no answer within a minute")
