"""Coming in by name and password: every attempt that counts is an entry, and guessing gets slow.

1. A refusal says the same whatever was wrong, and takes as long for a name that nobody has.
2. What was typed as a name is written down only where a user has it: people type passwords into the wrong field.
3. After `PER_PAIR` failures for one name from one address, `PER_SOURCE` from one address, or `PER_NAME` for one name,
   nothing more is tried until the oldest is `WINDOW_S` ago; that is one entry, not one an attempt.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from audit.entries import EntryDraft
from audit.passwords import PasswordHash, matches
from audit.payloads_people import SignedIn, SignInFault, SignInRefusal
from audit.room import Room
from audit.users import User, find_user, vouched
from medproto.errors import AccessRefused

PER_PAIR: Final = 5
PER_SOURCE: Final = 20
PER_NAME: Final = 30
WINDOW_S: Final = 300.0
NOT_LET_IN: Final = "sign-in: this name and password do not go together, or the user may not sign in"
WAIT: Final = "sign-in: too many attempts; wait five minutes"
#: Compared with where there is no such user, so that the answer takes as long.
_NOBODY: Final = PasswordHash(salt="00" * 16, digest="00" * 32)
_MOST_KEYS: Final = 10_000


@dataclass(frozen=True)
class Attempt:
    """What somebody typed, and the network address it came from."""

    name: str
    password: str
    source: str


@dataclass
class Attempts:
    """Failures of the last minutes, in memory: a restart forgets them, and takes longer than what it would save."""

    clock: Callable[[], float] = time.monotonic
    _failures: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _announced: dict[tuple[str, str], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, attempt: Attempt) -> bool:
        """Count an attempt as failed before it is tried; False where it must not be tried."""
        with self._lock:
            self._forget_old()
            if any(len(self._failures.get(key, ())) >= most for key, most in _limits(attempt)):
                return False
            for key, _ in _limits(attempt):
                self._failures.setdefault(key, deque()).append(self.clock())
            return True

    def forgive(self, attempt: Attempt) -> None:
        """It was the right password: this name from this address starts afresh, and the rest loses one failure."""
        with self._lock:
            pair, *others = (key for key, _ in _limits(attempt))
            self._failures.pop(pair, None)
            for key in others:
                if self._failures.get(key):
                    self._failures[key].pop()

    def announce(self, attempt: Attempt) -> bool:
        """Whether that this attempt was blocked is still to be written down: once a window."""
        with self._lock:
            pair = _limits(attempt)[0][0]
            fresh = pair not in self._announced
            self._announced.setdefault(pair, self.clock())
            return fresh and len(self._announced) <= _MOST_KEYS

    def _forget_old(self) -> None:
        horizon = self.clock() - WINDOW_S
        for key, times in list(self._failures.items()):
            while times and times[0] <= horizon:
                times.popleft()
            if not times:
                del self._failures[key]
        for key, at in list(self._announced.items()):
            if at <= horizon:
                del self._announced[key]


def sign_in(room: Room, attempt: Attempt, attempts: Attempts) -> User:
    """The user who comes in; the entry `sign-in` is committed before this returns.

    Raises:
        AccessRefused: they do not come in, which is an entry too.
    """
    user = find_user(room.home, attempt.name)
    if not attempts.count(attempt):
        if attempts.announce(attempt):
            _refused(room, "too many attempts", user)
        raise AccessRefused(WAIT)
    right = matches(attempt.password, user.password if user else _NOBODY)
    fault = _fault(room, user, right)
    if user is None or fault is not None:
        _refused(room, fault or "unknown user", user)
        raise AccessRefused(NOT_LET_IN)
    attempts.forgive(attempt)
    payload = SignedIn(method="password").model_dump(mode="json", exclude_none=True)
    room.ledger.append([EntryDraft("sign-in", payload, user.name, user.role)])
    return user


def _fault(room: Room, user: User | None, right: bool) -> SignInFault | None:
    if user is None:
        return "unknown user"
    if not right:
        return "wrong password"
    if not user.enabled:
        return "disabled"
    return None if vouched(room, user) else "record altered"


def _refused(room: Room, reason: SignInFault, user: User | None) -> None:
    name = user.name if user else None
    payload = SignInRefusal(reason=reason, user=name).model_dump(mode="json", exclude_defaults=True)
    room.ledger.append([EntryDraft("sign-in refused", payload, name or "unknown", "none")])


def _limits(attempt: Attempt) -> tuple[tuple[tuple[str, str], int], ...]:
    name = attempt.name.casefold()[:100]
    return ((name, attempt.source), PER_PAIR), (("", attempt.source), PER_SOURCE), ((name, ""), PER_NAME)
