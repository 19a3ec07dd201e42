"""Histories of chance, through the real services: whatever an honest room does, its ledger verifies."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from audit.anchoring import anchor_checkpoint
from audit.backup import make_backup
from audit.entries import Entry, EntryDraft, EntryKind
from audit.erasure import erase, finish_erasures
from audit.evidence import patient_of
from audit.filters import LedgerFilter
from audit.findings import Verification
from audit.restoring import RestoreOrder, restore
from audit.room import Room, open_room, verify_room
from audit.rotation import rotate_key
from audit.service import Opinion, exam_opened, report_exported, review, score_exam
from medproto.errors import BundleError, EmptyExam, EvidenceErased, InputError
from tests.audit.attacks.history import ADMINISTRATOR, READER, refusing, scorer_for
from tests.audit.factory import sha256

#: Kinds whose bodies stand on their own, for entries of any content.
_LOOSE: Final[tuple[EntryKind, ...]] = ("exam opened", "training run", "evaluation run", "sign-in", "user changed")
_LETTERS: Final = 'aZ0 \n"\\é\u2028中'


@dataclass(frozen=True)
class Life:
    """A room in its folder, with anchors kept beside it, and the chance of what is done next."""

    home: Path
    anchors: Path
    chance: Random

    def room(self) -> Room:
        """The room; the checkpoint of every commit goes to the anchors."""
        return open_room(self.home, anchors=self.anchors)

    def film(self) -> Path:
        """A file to score."""
        path = self.home.parent / "film.dcm"
        path.write_bytes(self.chance.randbytes(8))
        return path

    def patient(self) -> str:
        """One of few patients, so that some come again."""
        return f"P{self.chance.randrange(3)}"


def _score(life: Life) -> None:
    decision = life.chance.choice(("flagged", "not flagged", "no decision"))
    with life.room() as room:
        score_exam(room, [life.film()], scorer_for(life.patient(), decision), READER)


def _score_in_vain(life: Life) -> None:
    errors = (EmptyExam("No file was given."), BundleError("bundle: got none, expected one"), SystemExit(), OSError())
    with life.room() as room, suppress(SystemExit, OSError):
        score_exam(room, [life.film()], refusing(life.chance.choice(errors)), READER)


def _prediction(life: Life, room: Room) -> Entry | None:
    entries = room.ledger.entries(LedgerFilter(kind="prediction"))
    return life.chance.choice(entries) if entries else None


def _read(life: Life) -> None:
    """Open, sign and export, as far as the patient was not erased and the exam is not closed."""
    with life.room() as room, suppress(EvidenceErased, InputError):
        if (entry := _prediction(life, room)) is not None:
            report_exported(room, entry.number, sha256(life.chance.randbytes(8)), READER)
            exam_opened(room, entry.number, READER)
            signed = review(room, entry.number, Opinion(verdict="disagree", reason="é", comment="\n"), READER)
            act = life.chance.choice(("amendment", "final"))
            review(room, entry.number, Opinion(verdict="agree", act=act, of=(signed.number,)), READER)


def _write_anything(life: Life) -> None:
    """One commit of entries with any words and numbers in them."""

    def words() -> str:
        return "".join(life.chance.choices(_LETTERS, k=life.chance.randrange(8)))

    def draft() -> EntryDraft:
        content = {
            words(): [
                "\U0001f600",
                life.chance.uniform(-1e9, 1e9),
                life.chance.randrange(-(2**53), 2**53),
                None,
                words(),
            ]
        }
        return EntryDraft(life.chance.choice(_LOOSE), {"content": content}, words() or "-", words() or "-")

    with life.room() as room:
        room.ledger.append([draft() for _ in range(life.chance.randrange(1, 6))])


def _two_writers(life: Life) -> None:
    drafts = [EntryDraft("exam opened", {"entry": 1}, "writer", "radiologist")]
    with life.room() as one, life.room() as other:
        for room in (one, other, one, one, other):
            room.ledger.append(drafts)


def _set_the_clock_back(life: Life) -> None:
    with life.room() as room:
        back = timedelta(seconds=life.chance.uniform(0, 1e6))
        clock = room.ledger.clock
        ledger = dataclasses.replace(room.ledger, clock=lambda: clock() - back)
        ledger.append([EntryDraft("exam opened", {"entry": 1}, "writer", "radiologist")])


def _rotate(life: Life) -> None:
    with life.room() as room:
        rotate_key(room, "yearly change", ADMINISTRATOR)


def _anchor(life: Life) -> None:
    with life.room() as room:
        anchor_checkpoint(room, life.anchors, ADMINISTRATOR)


def _erase(life: Life) -> None:
    with life.room() as room, suppress(InputError):
        if (entry := _prediction(life, room)) is not None:
            erase(room, str(patient_of(entry.payload)), "request", ADMINISTRATOR)
            if life.chance.random() < 0.7:
                finish_erasures(room)


def _restore(life: Life) -> None:
    """Back up, go on or not, and return to the backup; what was written in between is named as lost."""
    backup = life.home.parent / "backup"
    with life.room() as room:
        make_backup(room, backup)
    if life.chance.random() < 0.5:
        _two_writers(life)
    restore(RestoreOrder(backup, life.home, reason="disk failure", accept_older=True), ADMINISTRATOR)
    shutil.rmtree(backup)


def _verify(life: Life) -> None:
    """So that the head is remembered."""
    with life.room() as room:
        verify_room(room)


STEPS: Final[tuple[Callable[[Life], None], ...]] = (
    _score,
    _score_in_vain,
    _read,
    _write_anything,
    _two_writers,
    _set_the_clock_back,
    _rotate,
    _anchor,
    _erase,
    _restore,
    _verify,
)


def live(template: Path, folder: Path, steps: Sequence[Callable[[Life], None]], seed: int) -> list[Verification]:
    """Live these steps in a copy of a new room, and verify it three times: at once, again, and its latter half.

    Args:
        template: the home of a room that holds entry 1 alone.
        folder: an empty folder; it is emptied again.
    """
    home = Path(shutil.copytree(template, folder / "home"))
    life = Life(home, folder / "anchors.txt", Random(seed))
    try:
        for step in steps:
            step(life)
        anchors = [life.anchors] if life.anchors.exists() else []
        with life.room() as room:
            half = room.ledger.count() // 2
            keys = [room.public_key]
            return [verify_room(room, anchors, keys, since) for since in (0, 0, half)]
    finally:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def steps_and_seed() -> SearchStrategy[tuple[list[Callable[[Life], None]], int]]:
    """Up to nine steps and the seed of what is chance in them."""
    return st.tuples(st.lists(st.sampled_from(STEPS), min_size=1, max_size=9), st.integers(0, 2**32))
