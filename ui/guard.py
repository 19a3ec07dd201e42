"""What stands before everything that is served: who may come in, from where, and how much they may send.

1. Without a session there is the way to sign in, the health check, and nothing else: no page, no picture, no websocket.
2. What changes something, and a websocket, comes from a page of this very server: a cookie alone does not tell, for
   browsers send it from every other port of the same machine too.
3. A body is announced with its length, and is no longer than an upload may be, or than a form where it is none.
4. Where it cannot be told who asks, nobody is let in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from audit.room import Actor
from medproto.errors import MedprotoError
from ui.sessions import SIGN_OUT
from ui.sign_in import same_origin
from ui.sign_in_oidc import CALLBACK
from ui.sign_in_page import OIDC, SIGN_IN, sign_in_address

#: What is answered to anybody; Streamlit's own health check says `ok` and no more.
PUBLIC: Final = frozenset({SIGN_IN, SIGN_OUT, OIDC, CALLBACK, "/healthz", "/_stcore/health"})
#: Where Streamlit takes uploads; whatever else is sent is a form or less, and is sent by anybody.
_UPLOADS: Final = "/_stcore/upload_file/"
_FORM_BYTES: Final = 2**20
#: Methods that change nothing.
_LOOKS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_WHO: Final = "Who you are cannot be told just now, and nobody comes in without it. Try again soon."
_log: Final = logging.getLogger(__name__)
Asker = Callable[[HTTPConnection], Actor | None]


class Guard:
    """ASGI middleware around everything that is served.

    Args:
        app: what is behind it.
        asker: who sends a request; None for somebody who did not sign in.
        most_bytes: the longest body of an upload.
    """

    def __init__(self, app: ASGIApp, asker: Asker, most_bytes: int) -> None:
        self._app = app
        self._asker = asker
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or connection, or turn it away."""
        if scope["type"] == "websocket" and not self._may_connect(HTTPConnection(scope)):
            # Before it is accepted: the browser sees a plain 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(HTTPConnection(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _may_connect(self, socket: HTTPConnection) -> bool:
        try:
            return same_origin(socket) and self._asker(socket) is not None
        except MedprotoError as err:
            _log.warning("who asks cannot be told: %s", err)
            return False

    def _refusal(self, request: HTTPConnection) -> Response | None:
        method, path = request.scope["method"], request.scope["path"]
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdecimal():
            return PlainTextResponse("A body comes with its length.", 411)
        if int(length) > (self._most_bytes if path.startswith(_UPLOADS) else _FORM_BYTES):
            return PlainTextResponse("That is more than may be sent at once.", 413)
        # Without an origin it is no browser, which alone holds somebody's cookie; forms ask for it in any case.
        if method not in _LOOKS and "origin" in request.headers and path not in PUBLIC and not same_origin(request):
            return PlainTextResponse("That was sent from another page.", 403)
        try:
            if path in PUBLIC or self._asker(request) is not None:
                return None
        except MedprotoError as err:
            _log.warning("who asks cannot be told: %s", err)
            return PlainTextResponse(_WHO, 503, {"Cache-Control": "no-store"})
        if method == "GET" and "text/html" in request.headers.get("accept", ""):
            query = request.scope["query_string"].decode("latin-1")
            return RedirectResponse(sign_in_address(f"{path}?{query}" if query else path), 303)
        return PlainTextResponse("Sign in first.", 401, {"Cache-Control": "no-store"})
