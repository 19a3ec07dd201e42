"""What a verification says and what it was given to know: guarantees, faults, blind spots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from audit.evidence import EvidenceStore
from audit.signing import Checkpoint, PublicKey

#: Beyond this many faults only their number is kept: memory stays constant on a ledger that is all wrong.
MAX_FAULTS = 1000
#: What a verification is busy with, in the order in which it comes.
Stage = Literal["pictures", "entries", "derived tables"]
#: Told (stage, done, total) while a verification goes on; the total is what the database claims, never less than done.
Progress = Callable[[Stage, int, int], None]
GUARANTEES: dict[int, str] = {
    1: "Numbers run from 1 without a gap up to the last signed checkpoint.",
    2: "Every body is canonical and hashes to its leaf.",
    3: "Every body names the leaf of the entry before it.",
    4: "Every other column repeats its body.",
    5: "Every checkpoint is signed by the key valid there, its root is that of its entries; the last covers all.",
    6: "Every result answers an intent committed before it.",
    7: "Every picture named is in the evidence store, unaltered.",
    8: "The entries extend every anchor given.",
    9: "The entries extend the head remembered from the last verification.",
    10: "Every row of the derived tables is what its body calls for, and none is missing.",
}
ALWAYS_BLIND = (
    "Whoever holds the live signing key can rewrite everything since the newest anchor kept elsewhere.",
    "What was never logged leaves no trace here; the identity table is not covered.",
)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: which guarantee it breaks, in which entry, in one sentence that names the entry."""

    guarantee: int
    entry: int | None
    sentence: str


class Found:
    """Faults and notices as a pass meets them; beyond `MAX_FAULTS` only how many more there were."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.notices: list[str] = []
        #: Entries that a fault names.
        self.faulty: set[int] = set()
        self._more = 0

    def fault(self, guarantee: int, entry: int, sentence: str) -> None:
        """One thing that is wrong."""
        if len(self.faults) >= MAX_FAULTS:
            self._more += 1
            return
        self.faulty.add(entry)
        self.faults.append(Fault(guarantee, entry, sentence))

    def all_faults(self) -> tuple[Fault, ...]:
        """Every fault, and how many there were beyond those."""
        if not self._more:
            return tuple(self.faults)
        return (*self.faults, Fault(self.faults[-1].guarantee, None, f"And {self._more} faults more."))


@dataclass(frozen=True)
class Guarantee:
    """One numbered guarantee and whether it holds."""

    number: int
    sentence: str
    status: Literal["holds", "broken", "not checked"]


@dataclass(frozen=True)
class KnownHead:
    """A tree head known from elsewhere, which the ledger must extend: from an anchor (8) or from memory (9)."""

    checkpoint: Checkpoint
    source: str
    guarantee: Literal[8, 9]


@dataclass(frozen=True)
class Knowledge:
    """What the verifier holds: it can see no more than that (the threat model of DESIGN section 4).

    Args:
        keys: public keys whose checkpoints count.
        keys_from_elsewhere: whether the keys came from outside the room that is verified.
        evidence: the store whose files are hashed again, or None to leave guarantee 7 unchecked.
        heads: heads known from anchors and from the last verification.
        since: number of entries that need not be read again, 0 to read them all.
    """

    keys: tuple[PublicKey, ...]
    keys_from_elsewhere: bool = False
    evidence: EvidenceStore | None = None
    heads: tuple[KnownHead, ...] = ()
    since: int = 0

    def checks(self, guarantee: int) -> bool:
        """Whether this much knowledge lets the guarantee be checked at all."""
        if guarantee == 7:
            return self.evidence is not None
        return guarantee not in (8, 9) or any(head.guarantee == guarantee for head in self.heads)

    def anchors(self) -> tuple[str, ...]:
        """Which heads known from elsewhere there are, one sentence for each source."""
        sizes: dict[str, list[int]] = {}
        for head in self.heads:
            sizes.setdefault(head.source, []).append(head.checkpoint.size)
        return tuple(
            f"{source}, its newest checkpoint of {len(s)} over {max(s)} entries" for source, s in sizes.items()
        )

    def blind_spots(self) -> tuple[str, ...]:
        """What a verification with this knowledge cannot see, in sentences."""
        spots = []
        if not self.keys_from_elsewhere:
            spots.append("The public key is the room's own: a ledger replaced together with its key would pass.")
        if not self.checks(8):
            spots.append("No anchor was given: a tail cut off with all that hangs on it passes as a shorter log.")
        if not self.checks(9):
            spots.append("No head was remembered: a return to an older state passes this time.")
        if self.since:
            spots.append(f"Only the entries after the checkpoint at {self.since} or before it were read.")
        return (*spots, *ALWAYS_BLIND)


@dataclass(frozen=True)
class Verification:
    """Result of a verification: what holds, what does not, what is to be noticed, and what it cannot see.

    `head` is the last checkpoint whose signature and root both held; None when there is none. `anchors` says which
    heads known from elsewhere were used.
    """

    size: int
    head: Checkpoint | None
    checkpoints: int
    guarantees: tuple[Guarantee, ...]
    faults: tuple[Fault, ...]
    notices: tuple[str, ...]
    blind_spots: tuple[str, ...]
    anchors: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    @property
    def root(self) -> str:
        """Root of the last checkpoint that held, in hex; empty when there is none."""
        return self.head.root if self.head else ""


def span(first: int, last: int) -> str:
    """Words for the entries from one number to another."""
    return f"entry {first}" if first == last else f"entries {first} to {last}"
