"""Coming in by the organisation's sign-in: whom its provider vouches for, under which name, and as what.

1. A name in the ledger belongs to one person, by issuer and subject: to whom it was first given. Who comes with a name
   of somebody else is turned away, whatever their provider lets them call themselves.
2. A person keeps the name of their first sign-in: nobody reads an exam twice under two names.
3. Every such name has a prefix and a colon, which no local user's name has.
4. Who is in no group that has a role is turned away, and that is an entry; a repetition within a minute is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from audit.access import Role
from audit.entries import Entry, EntryDraft
from audit.filters import LedgerFilter
from audit.locking import one_at_a_time
from audit.payloads_people import SignedIn, SignInFault, SignInRefusal
from audit.room import Actor, Room
from medproto.errors import AccessRefused

NO_ROLE: Final = "sign-in: you are known, but in no group that may use the reading room"
NO_NAME: Final = "sign-in: your organisation gave no name that can be written into the ledger"
NAME_TAKEN: Final = "sign-in: somebody else has signed in here under your name before"
NOT_GENUINE: Final = "sign-in: the answer of your organisation does not hold; begin again"
#: Neither spaces nor letters that look like others: what is compared by eye is equal by byte.
_NAME: Final = re.compile(r"[A-Za-z0-9._@|+=/:-]{1,120}")
_WHY: Final[dict[SignInFault, str]] = {"no role": NO_ROLE, "no name": NO_NAME, "name taken": NAME_TAKEN}
_REPEATED: Final = timedelta(minutes=1)
_LOOKED_BACK: Final = 20
_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class Vouched:
    """Whom a provider vouches for, out of an ID token that was checked.

    Args:
        issuer: the provider.
        subject: the person, for this issuer; never given to another.
        prefix: what stands before the names of this provider.
        name: what they are called there; None where the provider does not say, or not reliably.
        role: what their groups make them; None for nobody here.
        group: the group that does.
    """

    issuer: str
    subject: str
    prefix: str
    name: str | None
    role: Role | None
    group: str | None


def enter_vouched(room: Room, person: Vouched) -> Actor:
    """Who comes in; the entry `sign-in` is committed before this returns.

    Raises:
        AccessRefused: they do not come in, which is an entry too.
    """
    # Of two who come with one new name at the same moment, the second has to find the entry of the first.
    with one_at_a_time(room.home / ".sign-in.lock", "sign-in: its lock file cannot be locked"):
        name, fault = _ledger_name(room, person)
        if fault is not None or person.role is None or name is None:
            reason = fault or "no role"
            _refused(room, SignInRefusal(reason=reason, user=name, issuer=person.issuer, subject=person.subject))
            raise AccessRefused(_WHY[reason])
        came = SignedIn(method="oidc", issuer=person.issuer, subject=person.subject, group=person.group)
        room.ledger.append([EntryDraft("sign-in", came.model_dump(mode="json", exclude_none=True), name, person.role)])
    return Actor(name, person.role)


def refuse_answer(room: Room, issuer: str) -> None:
    """Write down that an answer in the name of this provider did not hold: forged, late, or meant for another."""
    _refused(room, SignInRefusal(reason="answer not genuine", user=None, issuer=issuer))


def _ledger_name(room: Room, person: Vouched) -> tuple[str | None, SignInFault | None]:
    if person.name is None or not _NAME.fullmatch(person.name):
        return None, "no name"
    name = f"{person.prefix}:{person.name}"
    holder = next(iter(room.ledger.entries(LedgerFilter(kind="sign-in", actor=name), limit=1)), None)
    if holder is not None:
        return name, None if _is_of(holder, person) else "name taken"
    earlier = (entry for entry in _sign_ins(room) if _is_of(entry, person))
    return next((entry.actor for entry in earlier if entry.actor.startswith(f"{person.prefix}:")), name), None


def _is_of(entry: Entry, person: Vouched) -> bool:
    return (entry.payload.get("issuer"), entry.payload.get("subject")) == (person.issuer, person.subject)


def _sign_ins(room: Room) -> Iterator[Entry]:
    """Every sign-in, newest first: gone through to the end once for a person, when they first come."""
    offset = 0
    while some := room.ledger.entries(LedgerFilter(kind="sign-in"), offset, _AT_ONCE):
        yield from some
        offset += _AT_ONCE


def _refused(room: Room, refusal: SignInRefusal) -> None:
    payload = refusal.model_dump(mode="json", exclude_defaults=True)
    before = room.ledger.clock() - _REPEATED
    for entry in room.ledger.entries(LedgerFilter(kind="sign-in refused"), limit=_LOOKED_BACK):
        if entry.payload == payload and entry.time > before:
            return
    room.ledger.append([EntryDraft("sign-in refused", payload, refusal.user or "unknown", "none")])
