"""The RFC 6962 tree against pymerkle, an independent implementation, and against its own properties."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from medproto.errors import AuditError

SIZES = st.integers(1, 70)


def leaves_of(size: int) -> list[bytes]:
    """Leaf hashes of the entries 0, 1, 2 ..."""
    return [leaf_hash(str(i).encode()) for i in range(size)]


def oracle_of(size: int) -> InmemoryTree:
    """The same tree by pymerkle."""
    tree = InmemoryTree(algorithm="sha256")
    for i in range(size):
        tree.append_entry(str(i).encode())
    return tree


def test_the_vectors_of_rfc_6962_hold() -> None:
    # Test vectors of the certificate-transparency sources: leaves "", 00, 10.
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    leaves = [leaf_hash(bytes.fromhex(text)) for text in ("", "00", "10")]
    assert root_of(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_of(leaves[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert root_of(leaves).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 65, 100])
def test_roots_and_proofs_are_those_of_pymerkle(size: int) -> None:
    oracle, leaves = oracle_of(size), leaves_of(size)
    assert root_of(leaves) == oracle.get_root(size)
    for index in range(0, size, 3):
        path = [bytes.fromhex(h) for h in oracle.prove_inclusion(index + 1, size).serialize()["path"]]
        # pymerkle's path begins with the leaf itself.
        assert [leaves[index], *inclusion_proof(leaves, index)] == path
    for first in range(1, size):
        # pymerkle's consistency proofs are of another form than RFC 6962's: the roots between which ours holds are its.
        roots = (oracle.get_root(first), oracle.get_root(size))
        assert verify_consistency((first, size), consistency_proof(leaves, first), roots)
        assert not verify_consistency((first, size), consistency_proof(leaves, first), (roots[1], roots[1]))


@given(SIZES, st.data())
def test_every_leaf_is_proved_and_no_other_passes(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(leaves, index), root_of(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert len(proof) <= (size - 1).bit_length()
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    assert not verify_inclusion(leaves[index], index, size, proof, hashlib.sha256(root).digest())
    if proof:
        assert not verify_inclusion(leaves[index], index, size, proof[:-1], root)
        assert not verify_inclusion(leaves[index], (index + 1) % size, size, proof, root)
    assert not verify_inclusion(leaves[index], size, size, proof, root)
    assert not verify_inclusion(leaves[index], -1, size, proof, root)


@given(SIZES, st.data())
def test_every_prefix_is_consistent_and_no_other_tree_is(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    first = data.draw(st.integers(1, size))
    proof = consistency_proof(leaves, first)
    old, new = root_of(leaves[:first]), root_of(leaves)
    other = hashlib.sha256(old).digest()
    assert verify_consistency((first, size), proof, (old, new))
    assert not verify_consistency((first, size), proof, (other, new))
    assert not verify_consistency((first, size), proof, (old, other))
    assert not verify_consistency((0, size), proof, (old, new))
    assert not verify_consistency((size + 1, size), proof, (old, new))
    assert not verify_consistency((first, size), [*proof, other], (old, new))
    if proof:
        assert not verify_consistency((first, size), proof[:-1], (old, new))
        assert not verify_consistency((first, size), [other, *proof[1:]], (old, new))


@given(st.integers(0, 200), st.integers(0, 60))
def test_a_frontier_goes_on_where_it_was_kept(size: int, more: int) -> None:
    leaves = leaves_of(size + more)
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier.append(leaf)
    kept = Frontier.from_bytes(size, frontier.to_bytes())
    for leaf in leaves[size:]:
        kept.append(leaf)
    assert (kept.size, kept.root()) == (size + more, root_of(leaves))
    assert len(kept.to_bytes()) == 32 * kept.size.bit_count()


def test_a_leaf_is_never_a_node() -> None:
    left, right = leaves_of(2)
    assert leaf_hash(left + right) != root_of([left, right])


def test_impossible_proofs_are_refused() -> None:
    leaves = leaves_of(3)
    with pytest.raises(AuditError, match="got leaf 3 of 3"):
        inclusion_proof(leaves, 3)
    with pytest.raises(AuditError, match="got size 4 of 3"):
        consistency_proof(leaves, 4)
    with pytest.raises(AuditError, match="expected 32 for each bit"):
        Frontier.from_bytes(3, b"\0" * 32)
