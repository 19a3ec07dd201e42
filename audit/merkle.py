"""The Merkle tree of RFC 6962: leaves, root, append in O(log n), inclusion and consistency proofs.

Hashes are 32 raw bytes (SHA-256). A leaf is hashed with a 0x00 byte in front, a node with 0x01, so that no leaf can be
passed off as a node (section 2.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from medproto.errors import AuditError

HASH_BYTES = 32
#: Root of the tree over the leaves [start, stop), counted from 0. Proofs ask for ranges that lie whole in a subtree.
RangeRoot = Callable[[int, int], bytes]
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its perfect subtrees, largest first; all that appending needs."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """Read what `to_bytes` wrote for a tree of that size."""
        if size < 0 or len(data) != HASH_BYTES * size.bit_count():
            raise AuditError(
                f"frontier: got {len(data)} bytes for size {size}, expected 32 for each bit set in the size"
            )
        frontier = cls()
        frontier.size = size
        frontier._roots = [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
        return frontier

    def to_bytes(self) -> bytes:
        """The subtree roots, one after the other: 32 bytes for each bit set in the size."""
        return b"".join(self._roots)

    def append(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        merges = (self.size + 1) & ~self.size  # lowest bit set of the new size: that many leaves merge into one root
        self._roots.append(leaf)
        while merges > 1:
            right = self._roots.pop()
            self._roots[-1] = node_hash(self._roots[-1], right)
            merges >>= 1
        self.size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append many leaf hashes at once, level by level: the same tree as by `append`, sooner."""
        sha256, nodes, above, edge = hashlib.sha256, list(leaves), self.size, []
        while nodes:
            if above & 1:
                nodes.insert(0, self._roots.pop())
            if len(nodes) & 1:
                edge.append(nodes.pop())
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
            above >>= 1
        self._roots += reversed(edge)
        self.size += len(leaves)

    def root(self) -> bytes:
        """Root of the tree so far; of an empty one SHA-256 of nothing."""
        if not self._roots:
            return EMPTY_ROOT
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of leaf `index` (from 0) in the tree over these leaf hashes, lowest sibling first."""
    return inclusion_path(index, len(leaves), lambda start, stop: root_of(leaves[start:stop]))


def inclusion_path(index: int, size: int, root: RangeRoot) -> list[bytes]:
    """Audit path of leaf `index` (from 0) in a tree of that size, lowest sibling first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise AuditError(f"inclusion proof: got leaf {index} of {size}")
    start, stop, path = 0, size, []
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(root(middle, stop))
            stop = middle
        else:
            path.append(root(start, middle))
            start = middle
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows this leaf hash at `index` (from 0) in that tree (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, hashed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            hashed = node_hash(sibling, hashed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            hashed = node_hash(hashed, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and hashed == root


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Proof that the tree over the first `first` of these leaf hashes is a prefix of the whole."""
    return consistency_path(first, len(leaves), lambda start, stop: root_of(leaves[start:stop]))


def consistency_path(first: int, size: int, root: RangeRoot) -> list[bytes]:
    """Proof that the tree of size `first` is a prefix of the one of that size (RFC 6962 section 2.1.2)."""
    if not 0 < first <= size:
        raise AuditError(f"consistency proof: got size {first} of {size}")
    start, stop, path = 0, size, []
    while first != stop:
        middle = start + _split(stop - start)
        if first <= middle:
            path.append(root(middle, stop))
            stop = middle
        else:
            path.append(root(start, middle))
            start = middle
    # The verifier knows the old root: it is left out where what remains is the whole old tree.
    known = [] if start == 0 else [root(start, stop)]
    return [*known, *path[::-1]]


def verify_consistency(sizes: tuple[int, int], proof: Sequence[bytes], roots: tuple[bytes, bytes]) -> bool:
    """Whether the proof shows that the tree of the first size and root is a prefix of the second (RFC 9162 2.1.4.2)."""
    first, second = sizes
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and roots[0] == roots[1]
    path = [roots[0], *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and (old, new) == roots


def _split(size: int) -> int:
    """Largest power of two below the size (RFC 6962 section 2.1)."""
    return 1 << ((size - 1).bit_length() - 1)
