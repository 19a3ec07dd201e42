"""Starts the reading room in the foreground, with safe defaults whatever the directory it is started from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ui.opening import HOME_VARIABLE

APP = Path(__file__).with_name("app.py")


def command(port: int, address: str) -> list[str]:
    """The command that serves the application: loopback, XSRF on, no telemetry, no tracebacks on screen."""
    flags = {
        "server.port": str(port),
        "server.address": address,
        "server.headless": "true",
        "server.enableXsrfProtection": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
    }
    # Against DNS rebinding; whoever listens on another address knows by which names it is reached, this file does not.
    hosts = ("localhost", "127.0.0.1") if address in ("localhost", "127.0.0.1") else ("*",)
    return [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(APP),
        *(f"--{name}={value}" for name, value in flags.items()),
        *(f"--server.allowedHosts={host}" for host in hosts),
    ]


def launch(home: Path, port: int = 8501, address: str = "127.0.0.1") -> int:
    """Serves the room in `home` until it is interrupted.

    Args:
        home: directory of ledger, keys and evidence.
        port: TCP port to listen on.
        address: address to listen on; anything but loopback lets others in, and nobody signs in.

    Returns:
        The server's exit status; 0 after an interrupt.
    """
    environment = {**os.environ, HOME_VARIABLE: str(home.resolve())}
    with subprocess.Popen(command(port, address), env=environment) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait()
            return 0
