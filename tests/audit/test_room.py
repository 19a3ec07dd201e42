"""The room: made only when asked, found again, with a key and secrets of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.service import (
    BundleScorer,
    Room,
    WorklistFilter,
    exam_opened,
    open_room,
    picture,
    score_exam,
    verify_room,
    worklist_page,
)
from medproto.errors import (
    AuditError,
    EvidenceMissing,
    InputError,
    KeyProblem,
    LedgerUnavailable,
)
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of


def test_pseudonyms_are_stable_and_under_each_patients_own_secret(room: Room, tmp_path: Path) -> None:
    name = room.pseudonym("P1", "exam", "E1")
    assert name == room.pseudonym("P1", "exam", "E1")
    assert name.startswith("exam-")
    assert len(name) == len("exam-") + 16
    others = [
        room.pseudonym("P2", "exam", "E1"),
        room.pseudonym("P1", "image", "E1"),
        room.pseudonym("P1", "exam", "2"),
    ]
    with open_room(tmp_path / "other", create=True) as other:
        others.append(other.pseudonym("P1", "exam", "E1"))
    assert len({name, *others}) == 5
    assert room.pseudonym("\udcff", "patient", "\udcff").startswith("patient-")
    with pytest.raises(InputError, match="got kind 'name'"):
        room.pseudonym("P1", "name", "Jane")
    with pytest.raises(InputError, match="NUL"):
        room.pseudonym("P\0", "exam", "E1")


def test_a_room_that_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="create one with `medproto audit init"):
        open_room(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailable, match="cannot create a room"):
        open_room(tmp_path / "file" / "home", create=True)


def test_creating_a_room_twice_keeps_what_it_holds(home: Path) -> None:
    with open_room(home, create=True) as room:
        assert room.ledger.count() == 11
        exam_opened(room, 3, READER)
        assert verify_room(room).verified


def test_a_room_that_lost_its_key_is_read_and_never_gets_another(home: Path) -> None:
    (home / "keys" / "ledger.key").unlink()
    with open_room(home) as room:
        assert verify_room(room).verified
        with pytest.raises(KeyProblem, match="can only be read"):
            exam_opened(room, 3, READER)
    with pytest.raises(KeyProblem, match="put its key back"):
        open_room(home, create=True)


def test_a_room_may_keep_its_ledger_on_postgresql(postgresql: str, tmp_path: Path) -> None:
    with open_room(tmp_path / "home", postgresql, create=True) as room:
        entry = score_exam(room, [], BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(make_scored())), READER)
        assert room.pseudonym("P1", "exam", "1") == room.pseudonym("P1", "exam", "1")
        assert [item.number for item in worklist_page(room, WorklistFilter()).items] == [entry.number]
        assert verify_room(room).verified
    assert not (tmp_path / "home" / "ledger.sqlite").exists()


def test_a_verification_says_how_far_it_is_in_every_stage(room: Room) -> None:
    told: list[tuple[str, int, int]] = []
    assert verify_room(room, progress=lambda *step: told.append(step)).verified
    stages = [stage for stage, _, _ in told]
    assert list(dict.fromkeys(stages)) == ["pictures", "entries"]  # too few derived rows to be told of
    assert [step for step in told if step[0] == "entries"][-1] == ("entries", 11, 11)
    files = sum(path.is_file() for path in room.evidence.root.rglob("*"))
    assert [step for step in told if step[0] == "pictures"][-1] == ("pictures", files, files)
    assert all(done <= total for _, done, total in told)


def test_a_verification_from_later_on_counts_what_it_reads(room: Room) -> None:
    told: list[tuple[str, int, int]] = []
    verify_room(room, since=8, progress=lambda *step: told.append(step))
    assert told[-1] == ("entries", 3, 3)


def test_the_remembered_head_only_grows(room: Room) -> None:
    verify_room(room)
    first = (room.home / "verified-head.note").read_text()
    exam_opened(room, 3, READER)
    result = verify_room(room)
    assert {g.number: g.status for g in result.guarantees}[9] == "holds"
    assert (room.home / "verified-head.note").read_text() != first
    (room.home / "verified-head.note").write_text(first.replace("11", "10", 1))
    with pytest.raises(AuditError, match="signature does not fit"):
        verify_room(room)


def test_of_two_verifications_at_once_the_longer_is_remembered(room: Room) -> None:
    seen: list[str] = []

    def overtaken(stage: str, done: int, total: int) -> None:
        """Another verification begins after this one, over one entry more, and ends before it."""
        if stage == "entries" and not seen:
            exam_opened(room, 3, READER)
            assert verify_room(room).size == 12
            seen.append((room.home / "verified-head.note").read_text())

    assert verify_room(room, progress=overtaken).size == 11
    assert [(room.home / "verified-head.note").read_text()] == seen


def test_pictures_are_fetched_only_whole(room: Room) -> None:
    with pytest.raises(EvidenceMissing, match="absent"):
        picture(room, room.ledger.entry(3), "0" * 64)
