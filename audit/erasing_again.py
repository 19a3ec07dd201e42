"""Erasures that a restore would undo: patients whom the ledger that is replaced had erased since the backup was made.

They are erased again at once, as far as that ledger can still be read: an erasure counts where its signed head proves
it. What a ledger that is gone had erased, nobody knows here; `docs/keys.md` says what to do then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audit.database import reading
from audit.erasure import erase, finish_erasures
from audit.filters import LedgerFilter
from audit.identity import secret_behind
from audit.ledger import open_ledger
from audit.payloads import Erasure
from audit.proofs import inclusion_of, range_roots
from audit.room import KEYS, LEDGER_FILE, Actor, open_room
from audit.signing import load_public
from medproto.errors import AuditError


def erased_since(home: Path, size: int) -> tuple[Erasure, ...]:
    """Erasures after the first `size` entries of the ledger that is here, oldest first; none where it is unreadable."""
    if not (home / LEDGER_FILE).exists():
        return ()
    try:
        with open_ledger(home / LEDGER_FILE, None) as ledger:
            head = ledger.head(load_public(home / KEYS))
            entries = [entry for entry in ledger.entries(LedgerFilter(kind="erasure")) if entry.number > size]
            with reading(ledger.engine) as conn:
                roots = range_roots(conn)
                for entry in entries:
                    inclusion_of(entry, head, roots)
    except AuditError:
        return ()
    return tuple(Erasure.model_validate(entry.payload) for entry in reversed(entries))


def erase_again(home: Path, url: str | None, erasures: Sequence[Erasure], actor: Actor) -> None:
    """Erase those patients who are back in the room, each with the reason given the first time."""
    if not erasures:
        return
    with open_room(home, url) as room:
        for erasure in erasures:
            if secret_behind(room.ledger.engine, erasure.patient_id) is not None:
                erase(room, erasure.patient_id, erasure.reason, actor)
        finish_erasures(room)
