"""An OpenID provider on loopback, which can be made to lie: discovery, keys, codes with PKCE, signed ID tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT = "medproto-room"
SECRET = "a secret of the room & its provider"
Claims = dict[str, Any]


@dataclass
class Provider:
    """The provider, and whom it takes a browser for.

    Args:
        issuer: its address.
        returns: the addresses it may send a browser back to, after sign-in and after sign-out.
        person: claims of whom it knows the browser to be; None asks in a form, whose `sub` is what is typed.
        mint: makes the ID token of these claims; replaced where a test wants another than the provider signs.
        claims: replaces claims just before they are signed.
        discovery: replaces what the discovery document says.
        away: whether it answers no more than that it cannot.
        secret: what it takes for the client's secret.
        key: signs.
        codes: what was asked and who by, for every code that was not redeemed.
        left: claims of those who signed out.
    """

    issuer: str
    returns: tuple[str, ...]
    person: Claims | None = None
    mint: Callable[[Claims], str] | None = None
    claims: Claims = field(default_factory=dict)
    discovery: Claims = field(default_factory=dict)
    away: bool = False
    secret: str = SECRET
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    codes: dict[str, tuple[dict[str, str], Claims]] = field(default_factory=dict)
    left: list[Claims] = field(default_factory=list)

    def signed(self, claims: Claims) -> str:
        """A token of these claims that this provider really signs."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def metadata(self, _: Request) -> Response:
        """The discovery document."""
        places = {"authorization": "authorize", "token": "token", "end_session": "leave"}
        document = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in places.items()}
        document |= {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return JSONResponse(
            document | {"id_token_signing_alg_values_supported": ["RS256", "HS256", "none"]} | self.discovery
        )

    def keys(self, _: Request) -> Response:
        """The public key."""
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    def authorize(self, request: Request) -> Response:
        """Send the browser back with a code, if it is known who sits there; else ask."""
        asked = dict(request.query_params)
        known = asked.get("client_id") == CLIENT and asked.get("redirect_uri") in self.returns
        if not known or asked.get("code_challenge_method") != "S256" or asked.get("response_type") != "code":
            return PlainTextResponse("This is not how one asks here.", 400)
        if self.person is None and "typed" not in asked:
            fields = "".join(f'<input type="hidden" name="{k}" value="{html.escape(v)}">' for k, v in asked.items())
            return HTMLResponse(
                f'<title>Hospital</title><form action="/authorize">{fields}<label>Who are you? <input name="typed">'
                "</label><button>Continue</button></form>"
            )
        person = self.person or {"sub": asked["typed"], "groups": ["readers"]}
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked, {"auth_time": int(time.time())} | person
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 303)

    async def token(self, request: Request) -> Response:
        """Give an ID token for a code: once, to the client it was made for, against the PKCE verifier."""
        if self.away:
            return PlainTextResponse("Closed.", 503)
        async with request.form() as form:
            asked, person = self.codes.pop(str(form.get("code")), ({}, {}))
            verifier = str(form.get("code_verifier"))
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic" or base64.b64decode(given).decode() != f"{CLIENT}:{self.secret}":
            return JSONResponse({"error": "invalid_client"}, 401)
        challenge = _base64(hashlib.sha256(verifier.encode()).digest())
        if not asked or challenge != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]} | person
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        token = (self.mint or self.signed)(claims)
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer", "id_token": token})

    def leave(self, request: Request) -> Response:
        """End what the provider remembers of a browser."""
        asked = request.query_params
        self.left.append(dict(jwt.decode(asked["id_token_hint"], self.key).claims))
        back = asked["post_logout_redirect_uri"]
        return RedirectResponse(back, 303) if back in self.returns else PlainTextResponse("Not there.", 400)


def unsigned(claims: Claims) -> str:
    """A token of these claims that nobody signed (alg none)."""
    return f"{_joined({'alg': 'none', 'typ': 'JWT'}, claims)}."


def by_shared_secret(claims: Claims, secret: bytes) -> str:
    """A token of these claims whose key both sides hold (alg HS256)."""
    text = _joined({"alg": "HS256", "kid": "one"}, claims)
    return f"{text}.{_base64(hmac.digest(secret, text.encode(), 'sha256'))}"


def _joined(*parts: Claims) -> str:
    return ".".join(_base64(json.dumps(part).encode()) for part in parts)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def providing(returns: tuple[str, ...]) -> Iterator[Provider]:
    """A provider that may send browsers back there, for as long as this lasts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # Not 127.0.0.1, where the room is: to a browser this is another site.
        provider = Provider(f"http://localhost:{listening.getsockname()[1]}", returns)
        routes = [
            Route("/.well-known/openid-configuration", provider.metadata),
            Route("/keys", provider.keys),
            Route("/authorize", provider.authorize),
            Route("/token", provider.token, methods=["POST"]),
            Route("/leave", provider.leave),
        ]
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield provider
        finally:
            server.should_exit = True
            thread.join(10)
