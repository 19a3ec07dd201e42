"""What a verifier holds at each level of the threat model, and what the real commands say of a copy there.

a: the database, the evidence and a public key obtained elsewhere; b: an anchor too, or a PDF; c: its own last head too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from audit.findings import Knowledge, Verification
from audit.heads import read_heads
from audit.queries import prediction
from audit.replay import Rerun, replay, rerun_of, sources_of
from audit.room import REMEMBERED, Room, remembered, verify_room
from audit.signing import PublicKey
from audit.verification import verify
from audit.verify_report import verify_report
from medproto.errors import LedgerTampered, MedprotoError
from medproto.records import Scored
from tests.audit.attacks.copies import Copy

Level = Literal["a", "b", "c"]
LEVELS: Final[dict[Level, str]] = {
    "a": "database, evidence and public key",
    "b": "and an anchor or a PDF",
    "c": "and its own last head",
}
Said = Literal["verified", "warning", "TAMPERED", "cannot check"]


@dataclass(frozen=True)
class Verdict:
    """What a command says, and its first sentence about it."""

    said: Said
    sentence: str = ""

    @property
    def sees(self) -> bool:
        """Whether whoever reads it knows that something is not as it was: anything but plain `verified`."""
        return self.said != "verified"


def verified_at(copy: Copy, level: Level, keys: Sequence[PublicKey], usual: Iterable[str] = ()) -> Verdict:
    """What `medproto audit verify` says at this level.

    Args:
        keys: the public keys obtained elsewhere.
        usual: notices of the untouched ledger, which warn of nothing.
    """
    memory = copy.home / REMEMBERED
    memory.unlink(missing_ok=True)
    if level == "c":
        memory.write_text(copy.known.head, "utf-8")
    try:
        with copy.room() as room:
            result = _verification(room, [copy.known.anchors] if level != "a" else [], keys)
    except LedgerTampered as err:
        return Verdict("TAMPERED", str(err))
    except MedprotoError as err:
        return Verdict("cannot check", str(err))
    if result.faults:
        return Verdict("TAMPERED", result.faults[0].sentence)
    warnings = [notice for notice in result.notices if notice not in set(usual)]
    return Verdict("warning", warnings[0]) if warnings else Verdict("verified")


def usual_notices(copy: Copy) -> frozenset[str]:
    """What a verification of the untouched copy has to say though nothing is wrong."""
    with copy.room() as room:
        return frozenset(_verification(room, [copy.known.anchors], [copy.known.key]).notices)


def _verification(room: Room, anchors: Sequence[Path], keys: Sequence[PublicKey]) -> Verification:
    """As the command verifies; of a bare database, which has no evidence beside it, without guarantee 7."""
    if room.evidence.root.exists():
        return verify_room(room, anchors, keys)
    heads = [head for path in anchors for head in read_heads(path, f"anchor {path.name}", keys)]
    return verify(room.ledger, Knowledge(tuple(keys), True, None, (*heads, *remembered(room.home, keys))))


def report_verified(copy: Copy, report: bytes) -> Verdict:
    """What `medproto verify-report` says of this file."""
    try:
        with copy.room() as room:
            result = verify_report(room, report)
    except LedgerTampered as err:
        return Verdict("TAMPERED", str(err))
    except MedprotoError as err:
        return Verdict("cannot check", str(err))
    return Verdict("TAMPERED", result.differences[0]) if result.differences else Verdict("verified")


def bundle_replayed(copy: Copy, bundle: Path, number: int) -> Verdict:
    """What `medproto audit replay` says of the bundle; the recorded answer stands for scoring again, without films."""
    try:
        with copy.room() as room:
            _, record = prediction(room, number)
            films = dict.fromkeys(sources_of(room, number), bundle)
            again = Rerun(rerun_of(bundle).bundle_id, lambda paths, blanked: Scored(record, {}))
            result = replay(room, number, again, films)
    except LedgerTampered as err:
        return Verdict("TAMPERED", str(err))
    except MedprotoError as err:
        return Verdict("cannot check", str(err))
    return Verdict("verified") if result.agrees else Verdict("TAMPERED", result.differences[0].sentence)
