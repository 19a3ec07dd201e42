"""Keys and checkpoints: what was signed is read back, everything else is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.signing import (
    KEY_FILE,
    Checkpoint,
    PublicKey,
    create_keys,
    load_public,
    load_signer,
    read_notes,
    verify_note,
)
from medproto.errors import KeyProblem

ROOT = bytes(range(32))
# The example of https://pkg.go.dev/golang.org/x/mod/sumdb/note: an independent implementation signed it.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


def test_a_signed_checkpoint_is_read_back(tmp_path: Path) -> None:
    signer = create_keys(tmp_path / "keys")
    signed = signer.sign(7, ROOT)
    assert verify_note(signed.note, [signer.public]) == signed
    assert signed.note.splitlines()[:2] == [signer.name, "7"]
    assert (signed.size, signed.root) == (7, ROOT.hex())


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    signer = create_keys(keys)
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    assert load_signer(keys).sign(1, ROOT) == signer.sign(1, ROOT)
    assert load_public(keys) == signer.public == PublicKey.from_vkey(signer.public.vkey)
    with pytest.raises(KeyProblem, match="there is one already"):
        create_keys(keys)


def test_the_key_text_of_an_independent_implementation_is_read() -> None:
    key = PublicKey.from_vkey(GO_VKEY)
    assert (key.name, key.hash.hex(), key.vkey) == ("PeterNeumann", "c74f20a3", GO_VKEY)


def test_the_signature_of_an_independent_implementation_is_accepted() -> None:
    from audit.signing import _check, _unbase64

    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    raw = _unbase64(GO_SIGNATURE)
    key = PublicKey.from_vkey(GO_VKEY)
    assert raw[:4] == key.hash
    _check(key, raw[4:], text)
    with pytest.raises(KeyProblem, match="does not fit its text"):
        _check(key, raw[4:], text + b"\n")


def test_another_key_is_refused(tmp_path: Path) -> None:
    one, two = create_keys(tmp_path / "one"), create_keys(tmp_path / "two")
    with pytest.raises(KeyProblem, match="no signature by a key of this ledger"):
        verify_note(one.sign(3, ROOT).note, [two.public])


def test_a_key_signs_only_for_its_own_origin(tmp_path: Path) -> None:
    signer = create_keys(tmp_path / "keys")
    note = signer.sign(3, ROOT).note.replace(signer.name, "other/origin", 1)
    with pytest.raises(KeyProblem, match="no signature by a key of this ledger"):
        verify_note(note, [signer.public])


@pytest.mark.parametrize(
    "change",
    [
        ("\n7\n", "\n8\n"),
        ("\n7\n", "\n07\n"),
        ("\n7\n", "\n0\n"),
        ("\n\n", "\n"),
        ("— ", "- "),
        ("AAEC", "BAEC"),
        ("=\n\n", "\n\n"),
    ],
)
def test_a_changed_note_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    signer = create_keys(tmp_path / "keys")
    note = signer.sign(7, ROOT).note
    assert change[0] in note
    with pytest.raises(KeyProblem, match="checkpoint"):
        verify_note(note.replace(*change, 1), [signer.public])


def test_anchors_are_read_one_after_the_other(tmp_path: Path) -> None:
    signer = create_keys(tmp_path / "keys")
    notes = [signer.sign(size, ROOT).note for size in (1, 2, 30)]
    path = tmp_path / "anchors.txt"
    path.write_text("\n".join(notes))
    assert [Checkpoint.from_note(note).size for note in read_notes(path)] == [1, 2, 30]
    for text in ("", "nothing of that kind", notes[0] + "and more"):
        path.write_text(text)
        with pytest.raises(KeyProblem, match="expected nothing but signed checkpoints"):
            list(read_notes(path))
    with pytest.raises(KeyProblem, match=r"cannot read absent\.txt"):
        list(read_notes(tmp_path / "absent.txt"))


def test_unusable_keys_are_refused_in_a_sentence(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    with pytest.raises(KeyProblem, match="absent or unreadable"):
        load_signer(keys)
    with pytest.raises(KeyProblem, match="absent or unreadable"):
        load_public(keys)
    create_keys(keys)
    (keys / KEY_FILE).chmod(0o644)
    with pytest.raises(KeyProblem, match="got file mode 0644, expected 0600"):
        load_signer(keys)
    (keys / KEY_FILE).chmod(0o600)
    text = (keys / KEY_FILE).read_text()
    for broken in ("", "PRIVATE+KEY+a+b", text[:-9], text.replace("medproto", "medprot0")):
        (keys / KEY_FILE).write_text(broken)
        with pytest.raises(KeyProblem, match="key"):
            load_signer(keys)


@pytest.mark.parametrize("vkey", ["", "a+b+c", GO_VKEY.replace("c74f", "c74e"), GO_VKEY[:-1], "a b+" + GO_VKEY[13:]])
def test_what_is_no_public_key_is_refused(vkey: str) -> None:
    with pytest.raises(KeyProblem, match="key"):
        PublicKey.from_vkey(vkey)
