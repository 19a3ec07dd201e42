"""What is kept of a patient is readable under the patient's key alone, and a verifier needs no key."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.encryption import MAGIC, PatientKey, salted, seal_pieces, unsalted
from audit.entries import Entry, EntryDraft
from audit.evidence import EvidenceStore, exam_files, sealed_of, training_patches
from audit.identity import secret_behind
from audit.service import Opinion, Room, picture, prediction, review, reviews, verify_room
from medproto.errors import EvidenceMissing
from tests.audit.attacking import attack
from tests.audit.conftest import READER
from tests.audit.factory import make_scored, sha256

KEY, OTHER = PatientKey.from_secret(bytes(32)), PatientKey.from_secret(bytes(31) + b"1")


@pytest.fixture
def old_entry(room: Room) -> Entry:
    """A prediction as it was written before anything was sealed: its pictures in clear, no `sealed` in its body."""
    scored = make_scored(exam="old")
    for data in scored.pictures.values():
        room.evidence.put(data)
    intent = {"bundle_id": "0" * 64, "bundle_name": "b", "files": [], "request": "0" * 64}
    number = room.ledger.append([EntryDraft("intent", intent, "reader-1", "reader")])[0].number
    payload = {"intent": number, "prediction": scored.prediction.model_dump(mode="json")}
    return room.ledger.append([EntryDraft("prediction", payload, "reader-1", "reader")])[0]


def test_what_was_sealed_opens_under_its_key_alone() -> None:
    sealed = KEY.seal(b"a preview")
    assert KEY.unseal(sealed, sha256(b"a preview")) == b"a preview"
    assert b"a preview" not in sealed
    with pytest.raises(EvidenceMissing, match="key does not open it"):
        OTHER.unseal(sealed, sha256(b"a preview"))
    with pytest.raises(EvidenceMissing, match="opens to other bytes"):
        KEY.unseal(sealed, sha256(b"another"))


@pytest.mark.parametrize("place", [0, len(MAGIC), len(MAGIC) + 13, -1])
def test_no_altered_byte_of_a_ciphertext_opens(place: int) -> None:
    sealed = bytearray(KEY.seal(b"a preview"))
    sealed[place] ^= 1
    with pytest.raises(EvidenceMissing, match="key does not open it"):
        KEY.unseal(bytes(sealed), sha256(b"a preview"))
    with pytest.raises(EvidenceMissing, match="key does not open it"):
        KEY.unseal(bytes(sealed[:20]), sha256(b"a preview"))


def test_the_same_picture_of_one_patient_is_one_file(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    assert seal_pieces(store, KEY, [b"a"]) == seal_pieces(store, KEY, [b"a"])
    assert seal_pieces(store, KEY, [b"a"]) != seal_pieces(store, OTHER, [b"a"])
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_the_same_words_never_have_the_same_digest() -> None:
    words = {"reason": "", "comment": "seen — \udcff"}
    assert unsalted(salted(words)) == words
    assert sha256(salted(words)) != sha256(salted(words))


def test_only_training_patches_lie_in_clear(room: Room) -> None:
    entry, record = prediction(room, 3)
    patches = training_patches(entry.payload)
    assert set(sealed_of(entry.payload)) == set(record.pictures()) - patches
    for digest in record.pictures():
        assert room.evidence.present(digest) == (digest in patches)
        assert sha256(picture(room, entry, digest)) == digest
    for name in exam_files(entry.payload):
        assert room.evidence.get(name).startswith(MAGIC)


def test_a_sealed_file_is_named_when_it_is_not_the_one_that_was_stored(room: Room) -> None:
    entry, record = prediction(room, 3)
    shown = record.images[0].preview
    sealed = sealed_of(entry.payload)
    file, other = (room.evidence.path(sealed[digest]) for digest in (shown, record.images[1].preview))
    held = file.read_bytes()
    for altered in (held[:-1] + bytes([held[-1] ^ 1]), other.read_bytes()):
        file.write_bytes(altered)
        with pytest.raises(EvidenceMissing, match="altered since it was stored"):
            picture(room, entry, shown)
    file.unlink()
    with pytest.raises(EvidenceMissing, match="absent"):
        picture(room, entry, shown)


def test_words_of_a_review_are_in_no_file(room: Room) -> None:
    opinion = Opinion(verdict="disagree", reason="Scar of Mrs Lovelace", comment="Ask Dr Byron")
    signed = review(room, 5, opinion, READER)
    assert b"Lovelace" not in signed.body
    assert [(r.review.reason, r.review.comment) for r in reviews(room, 5)] == [(opinion.reason, opinion.comment)]
    held = [path.read_bytes() for path in room.home.rglob("*") if path.is_file()]
    assert not any(b"Lovelace" in data or b"Byron" in data for data in held)
    assert verify_room(room).verified


def test_altered_words_are_found_without_a_key(room: Room) -> None:
    signed = review(room, 5, Opinion(verdict="agree", comment="no change"), READER)
    (name,) = exam_files(signed.payload)
    room.evidence.path(name).write_bytes(OTHER.seal(b"another comment"))
    attack(room.home, "DELETE FROM identity")
    assert [fault.entry for fault in verify_room(room).faults] == [signed.number]


def test_a_key_that_is_gone_without_an_erasure_is_said_so(room: Room) -> None:
    entry, record = prediction(room, 3)
    assert secret_behind(room.ledger.engine, record.patient_id) is not None
    attack(room.home, "DELETE FROM identity")
    with pytest.raises(EvidenceMissing, match="its key is gone, and no entry erased it"):
        picture(room, entry, record.images[0].preview)


def test_entries_from_before_there_were_keys_stay_readable(room: Room, old_entry: Entry) -> None:
    old = {"verdict": "agree", "reason": "", "misleading": [], "comment": "in clear", "meaning": "I agree."}
    draft = EntryDraft("review", old | {"entry": old_entry.number, "exam_id": old_entry.exam_id}, "r", "reader")
    room.ledger.append([draft])
    _, record = prediction(room, old_entry.number)
    assert all(sha256(picture(room, old_entry, digest)) == digest for digest in record.pictures())
    assert [signed.review.comment for signed in reviews(room, old_entry.number)] == ["in clear"]
    assert verify_room(room).verified
