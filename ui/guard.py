"""What stands before everything that is served: who may come in, how much they may send, and the headers of an answer.

1. Without a session there is the sign-in page, the health check, and nothing else: no page, no picture, no websocket.
2. A body is announced with its length, and is no longer than an upload may be, or than a form where it is none.
3. No page is framed, fed from elsewhere, or taken for another type than it is sent as.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audit.room import Actor
from ui.sessions import SIGN_OUT
from ui.sign_in import SIGN_IN, sign_in_address

#: Streamlit sets styles inline and compiles its tables' filters: hence the two 'unsafe-' sources. Everything comes
#: from this server; a page is never framed, and a form goes nowhere else.
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not 'no-referrer': under it browsers send a form with 'Origin: null', and the sign-in asks for the origin.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
#: What is answered to anybody; Streamlit's own health check says `ok` and no more.
PUBLIC: Final = frozenset({SIGN_IN, SIGN_OUT, "/healthz", "/_stcore/health"})
#: Where Streamlit takes uploads; whatever else is sent is a form or less, and is sent by anybody.
_UPLOADS: Final = "/_stcore/upload_file/"
_FORM_BYTES: Final = 2**20
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

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] == "websocket" and self._asker(HTTPConnection(scope)) is None:
            # Before it is accepted: the browser sees a plain 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(HTTPConnection(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        method, path = request.scope["method"], request.scope["path"]
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdecimal():
            return PlainTextResponse("A body comes with its length.", 411)
        if int(length) > (self._most_bytes if path.startswith(_UPLOADS) else _FORM_BYTES):
            return PlainTextResponse("That is more than may be sent at once.", 413)
        if path in PUBLIC or self._asker(request) is not None:
            return None
        if method == "GET" and "text/html" in request.headers.get("accept", ""):
            query = request.scope["query_string"].decode("latin-1")
            return RedirectResponse(sign_in_address(f"{path}?{query}" if query else path), 303)
        return PlainTextResponse("Sign in first.", 401, {"Cache-Control": "no-store"})
