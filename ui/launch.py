"""Starts the reading room in the foreground, with safe defaults whatever the directory it is started from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medproto.errors import InputError
from ui.opening import DEMO_VARIABLE, HOME_VARIABLE
from ui.server import application, settings

LOOPBACK: Final = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Serving:
    """Where the room is served, and to whom.

    Args:
        home: directory of ledger, keys and evidence.
        port: TCP port to listen on.
        address: address to listen on; anything but loopback lets others in.
        hosts: further names by which the server is reached, as a proxy before it passes them on.
        demo: nobody signs in; on loopback alone.
    """

    home: Path
    port: int = 8501
    address: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    demo: bool = False

    def __post_init__(self) -> None:
        if self.demo and self.address not in LOOPBACK:
            raise InputError(f"demo: got address {self.address}, expected 127.0.0.1, for nobody signs in")

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which the server may be addressed."""
        own = () if self.address in ("0.0.0.0", "::", *LOOPBACK) else (self.address,)
        return (*LOOPBACK, *own, *self.hosts)


def launch(serving: Serving) -> int:
    """Serves the room until it is interrupted; returns the exit status, 0 after an interrupt."""
    os.environ[HOME_VARIABLE] = str(serving.home.resolve())
    os.environ[DEMO_VARIABLE] = "1" if serving.demo else ""
    try:
        application(serving.names).run(config=settings(serving.port, serving.address, serving.names))
    except KeyboardInterrupt:
        return 0
    return 0
