"""An erasure that kills itself with SIGKILL at a known point.

Arguments: home; pseudonym; the point: `uncommitted`, `committed` (before the first file is removed), `half` (after one)
or `scrub` (before the database is rewritten).
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import Engine, event

from audit.erasure import erase, finish_erasures
from audit.room import Actor, open_room

POINT = sys.argv[3]
_SEEN: Counter[str] = Counter()


def on_audit_event(name: str, arguments: tuple[object, ...]) -> None:
    """Python's own report of what is about to happen: a removal, or the connection that rewrites the database."""
    if name not in ("os.remove", "sqlite3.connect"):
        return
    _SEEN[name] += 1
    removal = {"committed": 1, "half": 2}.get(POINT)
    if _SEEN["os.remove"] == removal or (POINT == "scrub" and name == "sqlite3.connect" and _SEEN["os.remove"]):
        os.kill(os.getpid(), signal.SIGKILL)


def on_statement(_conn: object, _cursor: object, statement: str, *_: object) -> None:
    """The row is deleted and the commit has not come."""
    if POINT == "uncommitted" and statement.startswith("DELETE FROM identity"):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with open_room(Path(sys.argv[1])) as room:
        event.listen(Engine, "after_cursor_execute", on_statement)
        sys.addaudithook(on_audit_event)
        erase(room, sys.argv[2], "request", Actor("eraser", "administrator"))
        finish_erasures(room)
