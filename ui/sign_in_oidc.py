"""The organisation's sign-in: OpenID Connect, the authorization code flow with PKCE, by Authlib.

Not `st.login`: its signed cookie is the session, for thirty days, and the page is sent before it is asked for. Here
whoever comes in gets the same session as by password: nothing before it, an end when nothing is asked, gone at the
server at sign-out, and written into the ledger before it exists.

1. What was sent to the provider (state, nonce, PKCE verifier) stays here under a token that this browser alone holds,
   is looked at once, and for `BEGUN_S` at most.
2. An ID token counts if the provider's key signed it, with an algorithm that has a public key; if issuer, audience,
   nonce and times are right; and if the person proved who they are no longer ago than the configuration says.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from joserfc.errors import InvalidClaimError, JoseError
from starlette.requests import Request

from audit.access import Role
from audit.organisation import NOT_GENUINE, Vouched
from medproto.errors import AccessRefused, ProviderUnavailable
from ui.sign_in_page import OIDC, SIGN_IN
from ui.sign_in_settings import OidcClient, OidcSettings, protected

CALLBACK: Final = f"{OIDC}/callback"
#: Sent back by the provider's redirect, hence not strict; it opens nothing but the answer to what was begun with it.
BEGUN_COOKIE: Final = "medproto_begun"
BEGUN_S: Final = 600
_MOST_BEGUN: Final = 10_000
_LEEWAY_S: Final = 60
_TIMEOUT_S: Final = 10.0
#: Neither `none` nor one whose key both sides hold: the provider alone can sign with these.
_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint")
#: What a provider says of a client whose name or secret it does not know.
_NOT_THIS_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})
UNREACHABLE: Final = "sign-in: your organisation's sign-in cannot be reached; try again soon"
MISCONFIGURED: Final = "sign-in: your organisation's sign-in is not the one configured here; tell who runs this room"
DECLINED: Final = "sign-in: your organisation did not let you in"


@dataclass(frozen=True)
class Begun:
    """A sign-in that waits for the provider's answer.

    Args:
        sent: what Authlib keeps of what it sent: state, nonce, PKCE verifier.
        after: the path that was asked for.
        at: when it began, in seconds of the store's clock.
    """

    sent: dict[str, Any] = field(repr=False)
    after: str
    at: float


class BegunSignIns:
    """Sign-ins that wait for an answer, by the hash of their token; the oldest give way when there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Begun] = {}
        self._lock = threading.Lock()

    def begin(self, sent: dict[str, Any], after: str) -> str:
        """Keep this; the token that gives it back."""
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            while self._open:
                oldest = next(iter(self._open))
                if len(self._open) < _MOST_BEGUN and now - self._open[oldest].at <= BEGUN_S:
                    break
                del self._open[oldest]
            self._open[_hashed(token)] = Begun(sent, after, now)
        return token

    def take(self, token: str) -> Begun | None:
        """What was kept under this token, once and while it is fresh."""
        with self._lock:
            begun = self._open.pop(_hashed(token), None)
        return begun if begun is not None and self._clock() - begun.at <= BEGUN_S else None


@dataclass(frozen=True)
class Provider:
    """The organisation's provider, as this server is registered with it.

    Args:
        settings: what is asked and what the answer means.
        app: Authlib's client; it reads the provider's discovery document when it is first needed.
    """

    settings: OidcSettings
    app: Any = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What a provider answered: whom it vouches for, and where they go to leave it too, if it says so."""

    person: Vouched
    leaving: str | None


def provider_of(client: OidcClient) -> Provider:
    """The provider of this configuration; nothing is asked of it yet."""
    settings = client.settings
    app = OAuth().register(
        "organisation",
        client_id=settings.client_id,
        client_secret=client.secret,
        server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": " ".join(settings.scopes),
            "code_challenge_method": "S256",
            "timeout": _TIMEOUT_S,
        },
    )
    return Provider(settings, app)


async def departure(provider: Provider, request: Request, again: bool) -> str:
    """Where the browser goes to sign in there.

    Args:
        provider: of the organisation.
        request: what the answer will be held against is left in its session.
        again: the provider is to ask who it is, whomever it takes the browser for.

    Raises:
        ProviderUnavailable: there is no answer.
    """
    settings = provider.settings
    asked: dict[str, Any] = {} if settings.max_age_s is None else {"max_age": settings.max_age_s}
    asked |= {"prompt": "login"} if again else {}
    try:
        await _discover(provider)
        leads = await provider.app.authorize_redirect(request, f"{settings.address}{CALLBACK}", **asked)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, RuntimeError) as err:
        raise ProviderUnavailable(UNREACHABLE) from err
    return str(leads.headers["location"])


async def arrival(provider: Provider, request: Request) -> Answer:
    """Whom the provider vouches for in this answer.

    Raises:
        AccessRefused: its answer does not hold.
        ProviderUnavailable: it does not answer in turn.
    """
    settings = provider.settings
    try:
        await _discover(provider)
        token = await provider.app.authorize_access_token(
            request,
            claims_options={
                "iss": {"essential": True, "value": settings.issuer},
                "aud": {"essential": True, "value": settings.client_id},
                "auth_time": {"essential": settings.max_age_s is not None},
            },
            leeway=_LEEWAY_S,
        )
        claims: Mapping[str, Any] = token["userinfo"]
        proved_at = claims.get("auth_time")
        if settings.max_age_s is not None and time.time() - float(str(proved_at)) > settings.max_age_s + _LEEWAY_S:
            # Whoever sits at the browser can take `max_age` out of what is asked.
            raise InvalidClaimError("auth_time")
        return Answer(vouched(settings, claims), _leaving(provider, token["id_token"]))
    except (httpx2.HTTPError, httpx2.InvalidURL) as err:
        raise ProviderUnavailable(UNREACHABLE) from err
    except (OAuthError, JoseError, ValueError, KeyError, TypeError, RuntimeError) as err:
        if getattr(err, "error", "") in _NOT_THIS_CLIENT:
            raise ProviderUnavailable(MISCONFIGURED) from err
        raise AccessRefused(NOT_GENUINE) from err


def vouched(settings: OidcSettings, claims: Mapping[str, Any]) -> Vouched:
    """What checked claims say of a person, in this configuration's reading."""
    group, role = _role(settings, claims)
    name = claims.get(settings.name_claim)
    if not isinstance(name, str) or (settings.name_claim == "email" and claims.get("email_verified") is not True):
        name = None
    elif settings.name_claim != "sub" and name.isascii():
        # Providers compare names and addresses so; a subject is told apart by its letters' case. Of letters beyond
        # ASCII some turn into others that look like them: such a name stays as it is, and is none in the ledger.
        name = name.lower()
    return Vouched(settings.issuer, str(claims["sub"]), settings.name_prefix, name, role, group)


def _role(settings: OidcSettings, claims: Mapping[str, Any]) -> tuple[str | None, Role | None]:
    way = (settings.groups_claim,) if isinstance(settings.groups_claim, str) else settings.groups_claim
    held: Any = claims
    for name in way:
        held = held.get(name) if isinstance(held, Mapping) else None
    # A single group may come bare; a text that merely contains a group's name is not that group.
    groups = [held] if isinstance(held, str) else held if isinstance(held, list) else []
    return next(((group, role) for group, role in settings.roles.items() if group in groups), (None, None))


async def _discover(provider: Provider) -> None:
    metadata = await provider.app.load_server_metadata()
    sound = all(protected(str(metadata[name])) for name in _ENDPOINTS if name in metadata)
    if metadata.get("issuer") != provider.settings.issuer or not sound:
        # Authlib keeps what it was told: a provider that is put right is asked again.
        metadata.clear()
        raise ProviderUnavailable(MISCONFIGURED)
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = [name for name in _ALGORITHMS if name in offered]
    ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if "client_secret_basic" not in ways and "client_secret_post" in ways:
        provider.app.client_kwargs["token_endpoint_auth_method"] = "client_secret_post"


def _leaving(provider: Provider, id_token: str) -> str | None:
    endpoint = provider.app.server_metadata.get("end_session_endpoint")
    if endpoint is None:
        return None
    back = f"{provider.settings.address}{SIGN_IN}"
    asked = {"id_token_hint": id_token, "post_logout_redirect_uri": back, "client_id": provider.settings.client_id}
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
