"""What a verification says of files that are gone, by an entry or without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from audit.erasure import erase, finish_erasures
from audit.evidence import EvidenceStore, exam_files
from audit.findings import Knowledge
from audit.merkle import leaf_hash
from audit.room import Room
from audit.service import verify_room
from audit.verification import verify
from tests.audit.attacking import assert_named, attack, body_of
from tests.audit.patients import ADMINISTRATOR, patient_behind, score_ada


@pytest.fixture
def exam(room: Room) -> int:
    """The entry of the exam to be erased, in a room with three exams more."""
    return score_ada(room)


def test_sealed_files_that_are_left_are_noticed(room: Room, exam: int) -> None:
    erase(room, patient_behind(room, exam), "request", ADMINISTRATOR)
    result = verify_room(room)
    assert result.verified
    assert any("files of it are left" in notice for notice in result.notices)


def test_a_removed_picture_without_an_erasure_is_still_a_fault(room: Room, exam: int) -> None:
    erase(room, patient_behind(room, exam), "request", ADMINISTRATOR)
    finish_erasures(room)
    room.evidence.remove(min(exam_files(room.ledger.entry(3).payload)))
    assert [fault.entry for fault in verify_room(room).faults] == [3]


def test_an_erasure_while_a_verification_reads_is_no_fault(room: Room, exam: int) -> None:
    class ErasedMeanwhile(EvidenceStore):
        """A store that is asked after the view of the database is fixed, and by then the patient is erased."""

        def altered(self, progress: Callable[[int, int], None]) -> Iterator[str]:
            erase(room, patient_behind(room, exam), "request", ADMINISTRATOR)
            finish_erasures(room)
            return super().altered(progress)

    keys = Knowledge((room.public_key,), evidence=ErasedMeanwhile(room.evidence.root))
    assert verify(room.ledger, keys).faults == ()


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM identity", "UPDATE identity SET secret = randomblob(32)", "UPDATE identity SET secret = 'text'"],
)
def test_a_key_that_is_gone_or_replaced_without_an_erasure_is_noticed(room: Room, exam: int, statement: str) -> None:
    attack(room.home, f"{statement} WHERE pseudonym = '{patient_behind(room, exam)}'")
    result = verify_room(room)
    assert result.verified
    words = "the key to its words and pictures is gone or replaced, and no entry says so."
    said = [notice for notice in result.notices if "key" in notice]
    assert said == [f"entry {exam}: {words}", f"entry {exam + 1}: {words}"]


def test_a_forged_erasure_hides_nothing(room: Room, exam: int) -> None:
    entry = room.ledger.entry(11)
    forged = entry.body.replace(b'"kind":"exam opened"', b'"kind":"erasure"').replace(
        b'"payload":{', b'"payload":{"patient_id":"' + patient_behind(room, 3).encode() + b'",'
    )
    room.evidence.remove(min(exam_files(room.ledger.entry(3).payload)))
    room.close()
    attack(room.home, "UPDATE entry SET body = ?, kind = 'erasure' WHERE number = 11", parameters=(forged,))
    assert 11 in [fault.entry for fault in verify_room(room).faults]


@pytest.mark.parametrize(
    "payload",
    [
        {"prediction": "none"},
        {"prediction": {"matches": 3, "images": {"preview": 1}, "patient_id": 7}},
        {"prediction": {"matches": [1, {"source": [], "patch": "../../etc/passwd"}], "images": ["x"]}},
        {"sealed": {"a": 5, "b": "no digest"}, "prediction": {"patient_id": "patient-1"}},
    ],
)
def test_a_body_of_any_shape_is_tampered_and_ends_nothing(room: Room, payload: dict[str, object]) -> None:
    room.close()
    said = json.loads(body_of(room.home, 3)) | {"payload": {"intent": 2} | payload}
    forged = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    attack(
        room.home,
        "UPDATE entry SET body = ?, leaf = ?, exam_id = NULL WHERE number = 3",
        parameters=(forged, leaf_hash(forged).hex()),
    )
    assert_named(room.home, 3)
