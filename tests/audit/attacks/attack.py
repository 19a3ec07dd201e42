"""What an attack is: its name, how it is done, and the lowest level at which a verifier must see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.audit.attacks.copies import Copy
from tests.audit.attacks.levels import Level

Command = Literal["verify", "verify-report", "replay"]
#: Where an attack on a report or a bundle leaves what the command is to be given, in the home of the copy.
REPORT, BUNDLE = "report.pdf", "bundle"


class NotPossible(Exception):
    """This ledger, or what is at hand of it, has nothing that the attack could be made on; says what is missing."""


@dataclass(frozen=True)
class Attack:
    """One attack as data.

    Args:
        name: what is done, in words.
        run: does it to a copy.
        seen: the lowest level at which it must be seen.
        unseen: what the levels below hold it for, and why.
        warning: a warning is all that may be asked: what happened may be honest.
        command: which command has to see it.
        key_known: whether the verifier holds the newest public key, or one that was retired since.
    """

    name: str
    run: Callable[[Copy], None]
    seen: Level = "a"
    unseen: str = ""
    warning: bool = False
    command: Command = "verify"
    key_known: Literal["newest", "retired"] = "newest"
