"""Starts the reading room in the foreground, with safe defaults whatever the directory it is started from."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medproto.errors import InputError
from ui.opening import DEMO_VARIABLE, HOME_VARIABLE
from ui.scoring_line import leave
from ui.server import WILDCARDS, application, settings
from ui.sign_in_oidc import provider_of
from ui.sign_in_settings import OidcClient
from ui.warming import warm_up

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
        oidc: the organisation's sign-in, where there is one.
    """

    home: Path
    port: int = 8501
    address: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    demo: bool = False
    oidc: OidcClient | None = None

    def __post_init__(self) -> None:
        if self.demo and self.address not in LOOPBACK:
            raise InputError(f"demo: got address {self.address}, expected 127.0.0.1, for nobody signs in")
        if self.demo and (self.hosts or self.oidc is not None):
            what = "further hosts" if self.hosts else "the organisation's sign-in"
            raise InputError(f"demo: got {what} too, expected none: it is for this machine, and nobody signs in")

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which the server may be addressed."""
        own = () if self.address in (*WILDCARDS, *LOOPBACK) else (self.address,)
        public = () if self.oidc is None else (self.oidc.settings.host,)
        return tuple(dict.fromkeys((*LOOPBACK, *own, *self.hosts, *public)))


def launch(serving: Serving) -> int:
    """Serves the room until it is interrupted or told to end; returns the exit status, 0 after either."""
    os.environ[HOME_VARIABLE] = str(serving.home.resolve())
    os.environ[DEMO_VARIABLE] = "1" if serving.demo else ""
    provider = None if serving.oidc is None else provider_of(serving.oidc)
    warm_up()
    # What serves raises the signal that ended it once more: as an interrupt it leaves time for what follows.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        application(serving.names, provider).run(config=settings(serving.port, serving.address, serving.names))
    with suppress(KeyboardInterrupt):  # whoever interrupts again does not wait
        leave()
    return 0
