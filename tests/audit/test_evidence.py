"""The evidence store: bytes under their hash, whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from audit.evidence import EvidenceStore
from medproto.errors import EvidenceMissing


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    """An empty store."""
    (tmp_path / "evidence").mkdir()
    return EvidenceStore(tmp_path / "evidence")


def _altered(store: EvidenceStore) -> tuple[list[str], list[tuple[int, int]]]:
    """What is altered in a store, and what was told on the way."""
    told: list[tuple[int, int]] = []
    return list(store.altered(lambda done, total: told.append((done, total)))), told


def test_bytes_come_back_under_their_digest(store: EvidenceStore) -> None:
    digest = store.put(b"a patch")
    assert digest == hashlib.sha256(b"a patch").hexdigest() == store.put(b"a patch")
    assert store.get(digest) == b"a patch"
    assert store.path(digest) == store.root / digest[:2] / digest
    assert (store.check(digest), store.present(digest), _altered(store)) == (True, True, ([], [(1, 1)]))
    assert [path.name for path in store.path(digest).parent.iterdir()] == [digest]


def test_an_altered_file_is_never_given_out(store: EvidenceStore) -> None:
    digest = store.put(b"a patch")
    store.path(digest).write_bytes(b"another patch")
    assert (store.check(digest), _altered(store)) == (False, ([digest], [(1, 1)]))
    with pytest.raises(EvidenceMissing, match="altered since it was stored"):
        store.get(digest)
    store.put(b"a patch")
    assert store.get(digest) == b"a patch"


def test_an_absent_file_is_an_error(store: EvidenceStore) -> None:
    with pytest.raises(EvidenceMissing, match="absent"):
        store.get("0" * 64)
    assert not store.present("0" * 64)


@pytest.mark.parametrize("digest", ["", "0" * 63, "../../etc/passwd", "A" * 64, "0" * 64 + "\n"])
def test_what_is_no_digest_names_no_file(store: EvidenceStore, digest: str) -> None:
    with pytest.raises(EvidenceMissing, match="expected a SHA-256 digest"):
        store.get(digest)


def test_a_store_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file, no directory")
    with pytest.raises(EvidenceMissing, match="cannot be written"):
        EvidenceStore(tmp_path / "evidence").put(b"a patch")
