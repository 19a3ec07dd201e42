"""Verification: what a ledger still proves, entry by entry, in one pass and constant memory.

A verification establishes these guarantees, and says of each whether it holds, is broken or was not checked:

1. Numbers run from 1 to the size that the last signed checkpoint names, without a gap.
2. Every body is canonical, and hashes to the leaf stored beside it.
3. Every body names the leaf of the entry before it.
4. Every other column repeats its body.
5. Every checkpoint is signed by the key valid at its size, and none is missing; its root is that of the entries, and
   the last one covers them all. The keys given sign there (`audit.keychain`).
6. Every result answers an intent that was committed before it.
7. Every picture that a prediction names is in the evidence store, unaltered; so is every file that a model's entry
   names: its card, its training patches and their neighbours.
8. The entries extend every anchor kept elsewhere.
9. The entries extend the head that this verifier remembers.
10. Every row of the tables derived from the bodies (`audit.projection`) is what its body calls for; none is missing.
"""

from __future__ import annotations

from audit.findings import GUARANTEES, Fault, Guarantee, Knowledge, KnownHead, Progress, Verification
from audit.ledger import Ledger
from audit.projection_check import derived_faults
from audit.walk import Walk

__all__ = ["Fault", "Guarantee", "Knowledge", "KnownHead", "Progress", "Verification", "verify"]


def verify(ledger: Ledger, knowledge: Knowledge, progress: Progress | None = None) -> Verification:
    """Read the whole ledger once and check every guarantee that this knowledge allows.

    Args:
        progress: told how far the reading is, in the thread that reads.
    """
    walk = Walk(knowledge, progress)
    walk.run(ledger.engine)

    def compared(number: int) -> None:
        if progress:
            progress("derived tables", number, max(walk.last, number))

    faults = (*walk.found.all_faults(), *derived_faults(ledger.engine, knowledge.since, compared))
    broken = {fault.guarantee for fault in faults}
    return Verification(
        size=walk.last,
        head=walk.head,
        checkpoints=walk.checkpoints,
        guarantees=tuple(
            Guarantee(n, sentence, "broken" if n in broken else "holds" if knowledge.checks(n) else "not checked")
            for n, sentence in GUARANTEES.items()
        ),
        faults=faults,
        notices=tuple(walk.all_notices()),
        blind_spots=(*walk.keys.blind_spots(), *knowledge.blind_spots()),
        anchors=knowledge.anchors(),
    )
