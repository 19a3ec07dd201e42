"""In by the organisation's sign-in: to its provider, and back with its answer into a session like any other."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from joserfc.errors import JoseError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from audit.organisation import Vouched, enter_vouched, refuse_answer
from audit.room import Actor
from medproto.errors import AccessRefused, MedprotoError, ProviderUnavailable
from ui.opening import opened
from ui.sessions import hand_out, shared
from ui.sign_in_oidc import BEGUN_COOKIE, BEGUN_S, CALLBACK, DECLINED, BegunSignIns, Provider, arrival, departure
from ui.sign_in_page import NO_LEDGER, OIDC, as_said, local, onward_page, sign_in_address

Door = Callable[[str, str, int], Awaitable[Response]]
_BEGUN_ELSEWHERE: Final = "This sign-in was begun elsewhere, or took too long. Please begin again."
_log: Final = logging.getLogger(__name__)


def organisation_routes(provider: Provider, door: Door) -> list[BaseRoute]:
    """The way to the provider and the way back.

    Args:
        provider: of the organisation.
        door: the sign-in page, from where they wanted to go, what went wrong, and the answer's status.
    """
    way = _Way(provider, door)
    return [Route(OIDC, way.depart, methods=["GET"]), Route(CALLBACK, way.arrive, methods=["GET"])]


class _Way:
    """There and back, with what waits for the provider's answers in between."""

    def __init__(self, provider: Provider, door: Door) -> None:
        self._provider, self._door = provider, door
        self._waiting = BegunSignIns()
        self._secure = provider.settings.address.startswith("https://")

    async def depart(self, request: Request) -> Response:
        """Send the browser to the provider."""
        after = local(request.query_params.get("next", ""))
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Another site may lead to the door and not through it.
            return RedirectResponse(sign_in_address(after), 303)
        sent: dict[str, Any] = {}
        try:
            # At a desk that several share, the provider may still know the one before.
            leads = await departure(self._provider, _holding(request, sent), again="again" in request.query_params)
        except ProviderUnavailable as err:
            _note(err)
            return await self._door(after, as_said(err), 503)
        answer, begun = RedirectResponse(leads, 303, {"Cache-Control": "no-store"}), self._waiting.begin(sent, after)
        answer.set_cookie(BEGUN_COOKIE, begun, BEGUN_S, path=OIDC, httponly=True, samesite="lax", secure=self._secure)
        return answer

    async def arrive(self, request: Request) -> Response:
        """Let in whom the provider vouches for; anybody else is told why not."""
        begun = self._waiting.take(request.cookies.get(BEGUN_COOKIE, ""))
        if begun is None:
            return await self._door("", _BEGUN_ELSEWHERE, 400)
        if "error" in request.query_params:
            return await self._door(begun.after, as_said(AccessRefused(DECLINED)), 401)
        try:
            came = await arrival(self._provider, _holding(request, begun.sent))
        except ProviderUnavailable as err:
            _note(err)
            return await self._door(begun.after, as_said(err), 503)
        except AccessRefused as err:
            _note(err)
            return await self._door(begun.after, *await run_in_threadpool(_turn_away, self._provider, err))
        entered = await run_in_threadpool(_enter, came.person)
        if not isinstance(entered, Actor):
            return await self._door(begun.after, *entered)
        answer = onward_page("Signing in", begun.after)
        answer.delete_cookie(BEGUN_COOKIE, OIDC, httponly=True, samesite="lax", secure=self._secure)
        hand_out(answer, request, shared().begin(entered, None, came.leaving), self._secure)
        return answer


def _holding(request: Request, sent: dict[str, Any]) -> Request:
    """The request with this as its session, for Authlib: what lies in Streamlit's own, the browser could bring back.

    A copy, for Streamlit looks at its own once more when the answer is sent.
    """
    return Request({**request.scope, "session": sent})


def _enter(person: Vouched) -> Actor | tuple[str, int]:
    """Who comes in, or what is said to whom does not."""
    try:
        with opened() as room:
            return enter_vouched(room, person)
    except AccessRefused as err:
        return as_said(err), 403
    except MedprotoError:
        return NO_LEDGER, 503


def _turn_away(provider: Provider, refusal: AccessRefused) -> tuple[str, int]:
    try:
        with opened() as room:
            refuse_answer(room, provider.settings.issuer)
    except MedprotoError:
        return NO_LEDGER, 503
    return as_said(refusal), 401


def _note(err: MedprotoError) -> None:
    """What failed, for whoever runs the server: the name of a fault or a claim, and of nobody."""
    cause = err.__cause__
    # A provider describes its errors in words of its own, which may name somebody: its code does not.
    said = str(cause) if isinstance(cause, JoseError) else getattr(cause, "error", None) or type(cause or err).__name__
    _log.warning("organisation's sign-in: %s", said)
