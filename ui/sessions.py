"""Who is signed in: random tokens, of which the server keeps hashes alone, in memory, with an end.

A restart signs everybody out. A session ends when nothing was asked for `IDLE_S`, after `LONGEST_S` in any case, at
sign-out, and as soon as the user's record is another than the one that came in: another role, another password.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from audit.room import Actor
from audit.users import find_user

SIGN_OUT: Final = "/auth/sign-out"
DEMO_ROLE: Final = "/auth/demo"
#: Where nobody signs in, these two act, and every entry names them.
DEMO_READER: Final = Actor("demo reader", "reader")
DEMO_AUDITOR: Final = Actor("demo auditor", "auditor")
#: HttpOnly: no script of a page ever sees it.
COOKIE: Final = "medproto_session"
IDLE_S: Final = 15 * 60.0
LONGEST_S: Final = 12 * 3600.0
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True)
class Session:
    """One person at one browser.

    Args:
        actor: who acts.
        record: digest of the local user's record; None for somebody whom the organisation vouched for.
        began: when it began, in seconds of the store's clock.
        seen: when something was last asked.
        leaving: where somebody whom the organisation vouched for signs out there too; it names them.
    """

    actor: Actor
    record: str | None
    began: float
    seen: float
    leaving: str | None = field(default=None, repr=False)


class Sessions:
    """Sessions by the hash of their token; threads and the event loop may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, actor: Actor, record: str | None, leaving: str | None = None) -> str:
        """A new session; its token, which is kept nowhere here."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        with self._lock:
            self._open = {key: session for key, session in self._open.items() if not self._over(session, now)}
            self._open[_hashed(token)] = Session(actor, record, now, now, leaving)
        return token

    def find(self, token: str, touch: bool = True) -> Session | None:
        """The session of this token, and whether to count this as being asked for; None once it is over."""
        key, now = _hashed(token), self._clock()
        with self._lock:
            session = self._open.get(key)
            if session is None or self._over(session, now):
                self._open.pop(key, None)
                return None
            if touch:
                self._open[key] = replace(session, seen=now)
            return session

    def end(self, token: str) -> Session | None:
        """Sign out; the session that this ended."""
        with self._lock:
            return self._open.pop(_hashed(token), None)

    def _over(self, session: Session, now: float) -> bool:
        return now - session.seen > IDLE_S or now - session.began > LONGEST_S


@functools.cache
def shared() -> Sessions:
    """The store of this process: what the server writes down at sign-in, and every page looks up."""
    return Sessions()


def holder(home: Path, cookies: Mapping[str, str], touch: bool = True) -> Actor | None:
    """Who sends these cookies, if they are signed in and their user's record is still the one that came in."""
    token = cookies.get(COOKIE)
    session = shared().find(token, touch) if isinstance(token, str) else None
    if session is None or token is None:
        return None
    if session.record is not None:
        user = find_user(home, session.actor.name)
        if user is None or user.digest != session.record:
            shared().end(token)
            return None
    return session.actor


def hand_out(answer: Response, request: HTTPConnection, token: str, secure: bool) -> None:
    """Send this session's cookie with the answer, and end the one that this browser had.

    Args:
        answer: what is sent.
        request: what it answers.
        token: of the new session.
        secure: whether the browser reaches the room by https, be it through a proxy.
    """
    before = request.cookies.get(COOKIE)
    if before:
        shared().end(before)
    secure = secure or request.url.scheme == "https"
    answer.set_cookie(COOKIE, token, int(LONGEST_S), httponly=True, samesite="strict", secure=secure)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
