"""The door: a page of its own before the application, which asks who it is and gives a session.

By name and password of a local user here; by the organisation's sign-in in `ui.sign_in_organisation`. Nothing of the
application is sent to a browser that did not come in (`ui.guard`).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from audit.room import Actor
from audit.sign_in import Attempt, Attempts, sign_in
from audit.users import read_users
from medproto.errors import AccessRefused, MedprotoError
from ui.opening import demo, home, opened
from ui.sessions import COOKIE, DEMO_AUDITOR, DEMO_READER, DEMO_ROLE, SIGN_OUT, hand_out, shared
from ui.sign_in_oidc import Provider
from ui.sign_in_organisation import organisation_routes
from ui.sign_in_page import NO_LEDGER, SIGN_IN, Ways, as_said, door_page, local, onward_page

_LONGEST_FORM: Final = 8192
_FIRST_USER: Final = "Nobody can sign in yet. Add a user: medproto user add NAME --role reader"


def sign_in_routes(provider: Provider | None = None) -> list[BaseRoute]:
    """The page, what it posts to, the organisation's way in where there is one, and the way out."""
    attempts = Attempts()

    async def door(after: str, said: str, status: int) -> Response:
        by_name = await run_in_threadpool(_by_name)
        if provider is not None:
            return door_page(Ways(provider.settings.label, by_name), after, said, status)
        return door_page(Ways(None, True), after, said or ("" if by_name else _FIRST_USER), status)

    async def show(request: Request) -> Response:
        return await door(request.query_params.get("next", ""), "", 200)

    async def enter(request: Request) -> Response:
        if not same_origin(request):
            return await door("", "The form was sent from another page. Please sign in here.", 403)
        form = parse_qs((await request.body())[:_LONGEST_FORM].decode("utf-8", "replace"))
        name, password, after = (form.get(field, [""])[0] for field in ("name", "password", "next"))
        source = request.client.host if request.client else "unknown"
        try:
            actor, record = await run_in_threadpool(_enter, Attempt(name, password, source), attempts)
        except AccessRefused as err:
            return await door(after, as_said(err), 401)
        except MedprotoError:
            return await door(after, NO_LEDGER, 503)
        return _let_in(request, actor, record, after)

    async def leave(request: Request) -> Response:
        if not same_origin(request):
            return await door("", "The form was sent from another page. You are still signed in.", 403)
        return _let_out(request)

    return [
        Route(SIGN_IN, show, methods=["GET"]),
        Route(SIGN_IN, enter, methods=["POST"]),
        Route(SIGN_OUT, leave, methods=["POST"]),
        Route(DEMO_ROLE, _play, methods=["POST"]),
        *(organisation_routes(provider, door) if provider is not None else ()),
    ]


def same_origin(request: HTTPConnection) -> bool:
    """Whether a page of this very server sends this, as the browser says."""
    scheme, _, host = request.headers.get("origin", "").partition("://")
    return scheme in ("http", "https") and host == request.headers.get("host", "")


def _by_name() -> bool:
    """Whether there is anybody who could sign in by name."""
    try:
        return any(user.enabled for user in read_users(home()))
    except MedprotoError:
        # Said to whoever tries: that the file is damaged is no news for a stranger.
        return True


def _enter(attempt: Attempt, attempts: Attempts) -> tuple[Actor, str]:
    with opened() as room:
        user = sign_in(room, attempt, attempts)
    return Actor(user.name, user.role), user.digest


async def _play(request: Request) -> Response:
    """Change between the two who act in a demonstration; elsewhere there is no such place."""
    if not demo():
        return PlainTextResponse("There is nothing here.", 404)
    if not same_origin(request):
        return PlainTextResponse("The form was sent from another page.", 403)
    role = parse_qs((await request.body())[:_LONGEST_FORM].decode("utf-8", "replace")).get("act_as", [""])[0]
    return _let_in(request, DEMO_AUDITOR if role == DEMO_AUDITOR.role else DEMO_READER, None, "/")


def _let_in(request: Request, actor: Actor, record: str | None, after: str) -> Response:
    answer = RedirectResponse(local(after), 303)
    # A proxy takes https to here as http; the page that sent the form says which it was.
    secure = request.headers.get("origin", "").startswith("https://")
    hand_out(answer, request, shared().begin(actor, record), secure)
    return answer


def _let_out(request: Request) -> Response:
    token = request.cookies.get(COOKIE)
    ended = shared().end(token) if token else None
    answer: Response = RedirectResponse(SIGN_IN, 303)
    if ended is not None and ended.leaving is not None:
        answer = onward_page("Signing out", ended.leaving)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
