"""Verifications of the ledger in a thread of the server, one at a time: every session sees how far it is.

What came out stays until the next one. Neither a rerun nor a closed tab ends it; a restart of the server forgets it.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from audit.service import Actor, Room, Verification, verify_room
from medproto.errors import MedprotoError

_UNKNOWN: Final = "the verification ended in an error that it does not know; the server's log says which"
_NO_THREAD: Final = "verification: the server has too much to do to begin one; try again soon"


@dataclass(frozen=True)
class Verifying:
    """One verification.

    Args:
        begun: when it was asked for.
        who: in whose name.
        stage: what it is busy with; empty before the first picture or entry.
        done: how much of the stage is done.
        total: of how much.
        ended: when it ended, None while it goes on.
        result: what came out, None while it goes on and where it failed.
        failed: why nothing came out, in one sentence; empty otherwise.
    """

    begun: datetime
    who: str
    stage: str = ""
    done: int = 0
    total: int = 0
    ended: datetime | None = None
    result: Verification | None = None
    failed: str = ""


class Verifications:
    """The newest verification of every room that this process serves; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, Verifying] = {}

    def newest(self, room: str) -> Verifying | None:
        """How the newest verification of this room stands; None before the first."""
        with self._lock:
            return self._newest.get(room)

    def begin(self, room: str, who: Actor, opened: Callable[[], Room]) -> threading.Thread | None:
        """Verify a room in a thread of its own; None where one goes on already, or none can be started: `newest` says.

        Args:
            room: tells rooms apart.
            who: on whose behalf.
            opened: opens the room; it is called in the thread.
        """
        with self._lock:
            before = self._newest.get(room)
            if before is not None and before.ended is None:
                return None
            self._newest[room] = Verifying(datetime.now(UTC), who.name)
        thread = threading.Thread(target=self._verify, args=(room, who, opened), name="verification", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            logging.getLogger(__name__).exception("verification")
            self._end(room, None, _NO_THREAD)
            return None
        return thread

    def _verify(self, key: str, who: Actor, opened: Callable[[], Room]) -> None:
        result, failed = None, _UNKNOWN
        try:
            with opened().held_by(who) as room:
                result = verify_room(room, progress=functools.partial(self._tell, key))
            failed = ""
        except MedprotoError as err:
            failed = str(err)
        except Exception:
            logging.getLogger(__name__).exception("verification")
        finally:
            self._end(key, result, failed)

    def _end(self, key: str, result: Verification | None, failed: str) -> None:
        with self._lock:
            self._newest[key] = replace(self._newest[key], ended=datetime.now(UTC), result=result, failed=failed)

    def _tell(self, key: str, stage: str, done: int, total: int) -> None:
        with self._lock:
            self._newest[key] = replace(self._newest[key], stage=stage, done=done, total=total)


@functools.cache
def verifications() -> Verifications:
    """Those of this process."""
    return Verifications()
