"""The reading room as one ASGI application: Streamlit's own routes, and beside them those of this file.

What is mounted here answers before Streamlit does, and knows who asks: `request_actor`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route

from audit.service import Actor
from ui.guard import Guard
from ui.headers import Headers
from ui.health import healthz
from ui.ledger_export import export_route
from ui.opening import who_sends
from ui.sign_in import sign_in_routes
from ui.sign_in_oidc import Provider
from ui.viewing.tiles import Opened, tile_routes

APP: Final = Path(__file__).with_name("app.py")
#: Addresses to listen on that stand for every one of the machine.
WILDCARDS: Final = ("0.0.0.0", "::")
_SETTINGS: Final = Path(__file__).with_name(".streamlit") / "config.toml"


def routes(provider: Provider | None = None) -> list[BaseRoute]:
    """Everything that is served beside the pages; `provider` is the organisation's sign-in, where there is one."""
    return [
        Route("/healthz", healthz, methods=["GET"]),
        *sign_in_routes(provider),
        *tile_routes(request_actor, Opened()),
        export_route(request_actor),
    ]


def request_actor(request: HTTPConnection) -> Actor | None:
    """Who sends this request; None for somebody who did not sign in."""
    return who_sends(request.cookies)


def application(hosts: tuple[str, ...], provider: Provider | None = None) -> st.App:
    """The ASGI application.

    Args:
        hosts: names under which the server may be addressed, without port (against DNS rebinding).
        provider: the organisation's sign-in, where there is one.
    """
    most_bytes = (1 + int(_tables()["server"]["maxUploadSize"])) * 1024**2
    middleware = [
        Middleware(Headers),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        Middleware(Guard, asker=request_actor, most_bytes=most_bytes),
    ]
    return st.App(APP, routes=routes(provider), middleware=middleware)


def settings(port: int, address: str, hosts: tuple[str, ...]) -> dict[str, Any]:
    """Streamlit's settings: those of the file beside the application, whatever the directory it is started from."""
    flat = {f"{table}.{name}": value for table, values in _tables().items() for name, value in values.items()}
    # The address that the console names; without it Streamlit asks a server elsewhere as what this one is seen.
    shown = "localhost" if address in WILDCARDS else address
    served = {"server.port": port, "server.address": address, "server.allowedHosts": list(hosts)}
    return flat | served | {"browser.serverAddress": shown}


def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_SETTINGS.read_text("utf-8"))
