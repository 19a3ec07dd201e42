"""What the end of a log shows: what is missing after its last entry, and which keys never signed."""

from __future__ import annotations

from collections.abc import Iterator

from audit.findings import span
from audit.heads import Heads
from audit.keychain import KeyChain


def faults_at_end(last: int, promised: int, heads: Heads, keys: KeyChain) -> Iterator[tuple[int, int, str]]:
    """Guarantee, entry and sentence of each fault that only the end of a pass shows.

    Args:
        last: number of the last entry.
        promised: number of entries that the last signed checkpoint covers, 0 without one.
        heads: those known from elsewhere that the pass has not met.
        keys: what the pass learned about keys.
    """
    if last == 0 and promised == 0:
        yield 1, 1, "entry 1: missing: the ledger is empty."
    if promised > last:
        missing = span(last + 1, promised)
        yield 1, last + 1, f"{missing}: missing: a signed checkpoint covers {promised} entries."
    elif promised < last:
        yield 5, promised + 1, f"{span(promised + 1, last)}: not covered by a signed checkpoint."
    for head in heads.beyond(last, keys):
        missing = span(last + 1, head.checkpoint.size)
        words = f"missing: {head.source} covers {head.checkpoint.size} entries"
        yield head.guarantee, last + 1, f"{missing}: {words}."
    for number in keys.unproven:
        words = "the key that it names was signed in by none before it, and no key given signs after it"
        yield 5, number, f"entry {number}: {words}."
    for key in keys.strangers():
        words = f"the key {key.hash.hex()}, which was given, signs nothing up to here"
        yield 5, last, f"entry {last}: {words}."
