"""The door: a page of its own before the application, which asks for name and password and gives a session.

Nothing of the application is sent to a browser that did not come in here (`ui.guard`).
"""

from __future__ import annotations

import html
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from audit.report_words import RESEARCH_USE
from audit.room import Actor
from audit.sign_in import Attempt, Attempts, sign_in
from audit.users import read_users
from medproto.errors import AccessRefused, MedprotoError
from ui.opening import demo, home, opened
from ui.sessions import COOKIE, DEMO_AUDITOR, DEMO_READER, DEMO_ROLE, LONGEST_S, SIGN_OUT, shared

SIGN_IN: Final = "/auth/sign-in"
_LONGEST_FORM: Final = 8192
_FIRST_USER: Final = "Nobody can sign in yet. Add a user: medproto user add NAME --role reader"
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>Sign in: medproto reading room</title><style>
body{{margin:0;min-height:100vh;display:grid;place-items:center;background:#0e1114;color:#e4e8ec;
  font:16px/1.5 "Source Sans",system-ui,sans-serif}}
main{{width:min(22rem,90vw)}} h1{{font-size:1.3rem;font-weight:600;margin:0 0 .2rem}}
p{{margin:.2rem 0 1.2rem;color:#aab3bd;font-size:.9rem}}
label{{display:block;margin:.9rem 0 .25rem;font-size:.9rem}}
input{{box-sizing:border-box;width:100%;padding:.55rem .7rem;font:inherit;color:inherit;background:#191d22;
  border:1px solid #59636e;border-radius:.3rem}}
input:focus-visible,button:focus-visible{{outline:2px solid #e3a94a;outline-offset:2px}}
button{{margin-top:1.3rem;width:100%;padding:.6rem;font:inherit;font-weight:600;color:#14181c;background:#e3a94a;
  border:0;border-radius:.3rem;cursor:pointer}}
[role=alert]{{margin:0 0 .4rem;padding:.5rem .7rem;border-left:.3rem solid #e07a1f;background:#191d22;color:#f1f4f6}}
footer{{margin-top:1.6rem;color:#aab3bd;font-size:.8rem}}
</style></head><body><main>
<h1>medproto reading room</h1><p>Every sign-in is written into the ledger.</p>{said}
<form method="post" action="{action}">
<input type="hidden" name="next" value="{next}">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" maxlength="100" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required>
<button type="submit">Sign in</button>
</form><footer>{use}</footer></main></body></html>"""


def sign_in_routes() -> list[BaseRoute]:
    """The page, what it posts to, and the way out."""
    attempts = Attempts()

    async def enter(request: Request) -> Response:
        if not same_origin(request):
            return _page("", "The form was sent from another page. Please sign in here.", 403)
        form = parse_qs((await request.body())[:_LONGEST_FORM].decode("utf-8", "replace"))
        name, password, after = (form.get(field, [""])[0] for field in ("name", "password", "next"))
        source = request.client.host if request.client else "unknown"
        try:
            actor, record = await run_in_threadpool(_enter, Attempt(name, password, source), attempts)
        except AccessRefused as err:
            return _page(after, f"{str(err).removeprefix('sign-in: ').capitalize()}.", 401)
        except MedprotoError:
            return _page(after, "The ledger cannot be reached, and nobody comes in without it. Try again soon.", 503)
        return _let_in(request, actor, record, after)

    return [
        Route(SIGN_IN, _show, methods=["GET"]),
        Route(SIGN_IN, enter, methods=["POST"]),
        Route(SIGN_OUT, _leave, methods=["POST"]),
        Route(DEMO_ROLE, _play, methods=["POST"]),
    ]


def same_origin(request: HTTPConnection) -> bool:
    """Whether a page of this very server sends this, as the browser says."""
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "")


def sign_in_address(path: str) -> str:
    """Address of the page that comes back to this path."""
    return f"{SIGN_IN}?next={quote(_local(path), safe='')}"


async def _show(request: Request) -> Response:
    said = "" if await run_in_threadpool(read_users, home()) else _FIRST_USER
    return _page(request.query_params.get("next", ""), said, 200)


async def _leave(request: Request) -> Response:
    if not same_origin(request):
        return _page("", "The form was sent from another page. You are still signed in.", 403)
    token = request.cookies.get(COOKIE)
    if token:
        shared().end(token)
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


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
    before = request.cookies.get(COOKIE)
    if before:
        shared().end(before)
    answer = RedirectResponse(_local(after), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, shared().begin(actor, record), int(LONGEST_S), httponly=True, samesite="strict", secure=secure
    )
    return answer


def _page(after: str, said: str, status: int) -> Response:
    alert = f'<div role="alert">{html.escape(said)}</div>' if said else ""
    text = _PAGE.format(said=alert, action=SIGN_IN, next=html.escape(_local(after), quote=True), use=RESEARCH_USE)
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


def _local(path: str) -> str:
    """A path of this server, whatever was asked for: nobody is sent elsewhere after signing in."""
    parts = urlsplit(path)
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return path if plain and path.isprintable() and "\\" not in path else "/"
