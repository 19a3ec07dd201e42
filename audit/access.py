"""Who may do what in a room: roles, what each is for, and the one place where somebody is turned away.

1. A room that is held by somebody (`Room.held_by`) lets nothing pass that the role is not for, and nobody acts in it
   under another name.
2. Who is turned away is written down before they hear of it; a repetition within a minute is not written again.

A room that nobody holds is the operator's, at the command line: whoever can read the key file can do all there is to
do, and a check in front of it would protect nothing. Such entries say role `operator`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar

from audit.entries import EntryDraft
from audit.filters import LedgerFilter
from audit.payloads_people import AccessRefusal
from audit.room import Actor, Room
from medproto.errors import AccessRefused

Role = Literal["reader", "auditor", "admin"]
Action = Literal[
    "about",
    "worklist",
    "exam",
    "review",
    "report",
    "score",
    "ledger",
    "verify",
    "trace",
    "export",
    "operations",
    "users",
]
_READS: Final[frozenset[Action]] = frozenset({"about", "worklist", "exam", "review", "report", "score"})
#: An auditor looks at everything and signs nothing; an exam that an auditor opens is written down as any other.
_AUDITS: Final[frozenset[Action]] = frozenset(
    {"about", "worklist", "exam", "ledger", "verify", "trace", "export", "operations"}
)
PERMITTED: Final[dict[str, frozenset[Action]]] = {
    "reader": _READS,
    "auditor": _AUDITS,
    "admin": _READS | _AUDITS | {"users"},
}
_REPEATED: Final = timedelta(minutes=1)
_LOOKED_BACK: Final = 20

_Params = ParamSpec("_Params")
_Answer = TypeVar("_Answer")


def permitted(role: str, action: Action) -> bool:
    """Whether this role is for this action; a role that is not known is for none."""
    return action in PERMITTED.get(role, frozenset())


def require(room: Room, action: Action, actor: Actor | None = None) -> None:
    """Let whoever holds the room pass, or turn them away.

    Args:
        room: the room; one that nobody holds is the operator's.
        action: what is about to be done.
        actor: in whose name, where something is to be written.

    Raises:
        AccessRefused: their role is not for it, or the name is not theirs.
    """
    holder = room.holder
    if holder is None or (permitted(holder.role, action) and actor in (None, holder)):
        return
    _write_down(room, action, holder)
    why = f"not for the role {holder.role}" if not permitted(holder.role, action) else "in the name of somebody else"
    raise AccessRefused(f"{action}: {why}; this was written into the ledger")


def guarded(
    action: Action, ask: Callable[Concatenate[Room, _Params], _Answer]
) -> Callable[Concatenate[Room, _Params], _Answer]:
    """The same question, which nobody asks whose role is not for it."""

    @functools.wraps(ask)
    def asked(room: Room, /, *args: _Params.args, **kwargs: _Params.kwargs) -> _Answer:
        require(room, action)
        return ask(room, *args, **kwargs)

    return asked


def _write_down(room: Room, action: Action, holder: Actor) -> None:
    before = room.ledger.clock() - _REPEATED
    for entry in room.ledger.entries(LedgerFilter(kind="access refused"), limit=_LOOKED_BACK):
        same = (entry.actor, entry.role, entry.payload["action"]) == (holder.name, holder.role, action)
        if same and entry.time > before:
            return
    refusal = AccessRefusal(action=action)
    room.ledger.append([EntryDraft("access refused", refusal.model_dump(mode="json"), holder.name, holder.role)])
