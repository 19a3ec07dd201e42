"""Heads known from elsewhere (anchors, memory), and whether the entries extend them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from audit.entries import Entry
from audit.findings import KnownHead
from audit.keychain import KeyChain
from audit.signing import Checkpoint, PublicKey, read_notes, verify_note
from medproto.errors import KeyProblem


class Heads:
    """The heads that are still to be met. Ask at every size, with the root there; what is met is let go."""

    def __init__(self, heads: Sequence[KnownHead]) -> None:
        self._by_size: dict[int, list[KnownHead]] = defaultdict(list)
        self._newest_anchor = max((head.checkpoint.size for head in heads if head.guarantee == 8), default=0)
        self._anchored: dict[int, int] = {}
        self._lost: dict[str, int] = defaultdict(int)
        for head in heads:
            self._by_size[head.checkpoint.size].append(head)
        self._sizes = sorted(self._by_size)

    def anchored(self, entry: Entry) -> None:
        """Note an entry that says that a checkpoint was put elsewhere."""
        size = entry.payload.get("size")
        if type(size) is int and size > self._newest_anchor:
            self._anchored = {entry.number: size}

    def met(self, size: int, root: str, chain: KeyChain) -> Iterator[tuple[KnownHead, str]]:
        """Heads of this size that the entries do not extend, each with the words for it."""
        for head in self._by_size.pop(size, ()):
            if head.checkpoint.root != root:
                if not self._excused(head, chain):
                    yield head, f"the entries up to here are not those that {head.source} covers"
            elif not chain.valid_here(head.checkpoint.note):
                yield head, f"{head.source} is signed by another key than the one valid here"

    def at(self, size: int) -> bool:
        """Whether there are any of this size."""
        return size in self._by_size

    def after(self, size: int) -> float:
        """The next size above this one at which to ask; infinity where there is none."""
        place = bisect_right(self._sizes, size)
        return self._sizes[place] if place < len(self._sizes) else math.inf

    def beyond(self, last: int, chain: KeyChain) -> Iterator[KnownHead]:
        """Heads of a size that the log, with its last entry, does not reach."""
        for size, heads in sorted(self._by_size.items()):
            yield from (head for head in heads if size > last and not self._excused(head, chain))

    def drop_before(self, size: int) -> int:
        """Let go of the heads below this size, and say how many they were."""
        below = [known for known in self._by_size if known < size]
        return sum(len(self._by_size.pop(known)) for known in below)

    def notices(self) -> Iterator[str]:
        """Which heads are of entries that a restore lost, and which one known to the log was not given."""
        for number, size in self._anchored.items():
            yield f"entry {number}: a checkpoint over {size} entries was anchored; no anchor given covers as many."
        for source, count in self._lost.items():
            yield f"{source}: {count} of its checkpoints cover entries that a restore lost."

    def _excused(self, head: KnownHead, chain: KeyChain) -> bool:
        if not any(gap.holds(head.checkpoint) for gap in chain.gaps):
            return False
        self._lost[head.source] += 1
        return True


def read_heads(path: Path, source: str, keys: Sequence[PublicKey], guarantee: Literal[8, 9] = 8) -> list[KnownHead]:
    """The checkpoints of an anchors file; KeyProblem where one is of another ledger or does not fit its signature.

    One by a key that is not among these is kept: the log tells whether it names that key.
    """
    origins, hashes = {key.name for key in keys}, [key.hash for key in keys]
    heads = []
    for note in read_notes(path):
        checkpoint = Checkpoint.from_note(note)
        if checkpoint.origin not in origins:
            raise KeyProblem(f"{source}: got a checkpoint of another ledger, expected {', '.join(sorted(origins))}")
        if any(known in hashes for known in checkpoint.key_hashes()):
            verify_note(note, keys)
        heads.append(KnownHead(checkpoint, source, guarantee))
    return heads
