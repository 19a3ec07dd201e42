"""Files that leave the room by a button: made, let through and written down when it is pressed, and not before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from audit.blind import refuse_kept_back
from audit.report import report_for
from audit.service import Actor, Room, outcome_of, report_exported
from medproto.errors import AccessRefused
from ui import opening
from ui.blind import read_blind


def at_the_click(make: Callable[[Room, Actor], bytes]) -> Callable[[], bytes]:
    """What makes a file for whoever is signed in when the button is pressed, at the browser it was drawn for.

    A button may stand on a screen long after its reader signed out or was given another role.

    Raises:
        AccessRefused: when it is pressed, nobody is signed in there any more.
    """
    cookies = dict(opening.browser_cookies())

    def made() -> bytes:
        who = opening.who_sends(cookies)
        if who is None:
            raise AccessRefused("sign-in: nobody is signed in here any more")
        with opening.opened().held_by(who) as room:
            return make(room, who)

    return made


def report_bytes(number: int, room: Room, actor: Actor) -> bytes:
    """The report of one entry; its export is in the ledger before the bytes are handed over.

    Raises:
        AccessRefused: not for this role, or the room is read blind and the reader's own opinion is not signed.
    """
    if read_blind() and outcome_of(room, number).kind == "prediction":
        refuse_kept_back(room, number)
    data = report_for(room, number)
    report_exported(room, number, hashlib.sha256(data).hexdigest(), actor)
    return data
