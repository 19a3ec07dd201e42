"""The opinion that a reader signs before the model's is shown, where a room is read blind first.

1. An opinion is signed once by each person and prediction, and only before that person signed a reading of it.
2. It says nothing of the model: whether the exam is suspicious, in the reader's own eyes.
3. Until then nothing of the model's result is handed to whoever is to sign it, by whatever address it is asked for.
   An admin, who keeps the ledger too, finds it there: in a room that is read blind, readers read.
"""

from __future__ import annotations

from typing import Final

from audit.access import permitted, require
from audit.entries import Entry, EntryDraft
from audit.filters import LedgerFilter
from audit.payloads import FirstOpinion
from audit.queries import prediction
from audit.room import Actor, Room
from medproto.errors import AccessRefused, InputError

#: What the signature means (21 CFR 11.50), by whether the exam is suspicious.
OPINIONS: Final = {
    True: "I looked at this exam without the model's result and find it suspicious.",
    False: "I looked at this exam without the model's result and find nothing suspicious.",
}
_KINDS: Final = ("opinion before score", "review")


def give_first_opinion(room: Room, number: int, suspicious: bool, actor: Actor) -> Entry:
    """Sign what the reader thinks of an exam before its score is shown.

    Raises:
        InputError: this person signed an opinion or a reading of it before.
        EvidenceErased: the patient was erased.
    """
    require(room, "review", actor)
    _, record = prediction(room, number)
    room.refuse_erased(record.patient_id)
    given = FirstOpinion(entry=number, exam_id=record.exam_id, suspicious=suspicious, meaning=OPINIONS[suspicious])
    draft = EntryDraft("opinion before score", given.model_dump(mode="json"), actor.name, actor.role)
    return room.ledger.append([draft], lambda _: _refuse_second(room, number, actor))[0]


def has_opinion(room: Room, number: int, name: str) -> bool:
    """Whether this person signed an opinion or a reading of this prediction."""
    which = LedgerFilter(kinds=_KINDS, refers_to=number, actor=name)
    return bool(room.ledger.entries(which, limit=1))


def kept_back(room: Room, number: int) -> bool:
    """Whether the model's result for this prediction is still kept from whoever holds the room, if it is read blind."""
    holder = room.holder
    return holder is not None and permitted(holder.role, "review") and not has_opinion(room, number, holder.name)


def refuse_kept_back(room: Room, number: int) -> None:
    """Raise AccessRefused while the model's result is kept from whoever holds this room, which is read blind first."""
    if kept_back(room, number):
        raise AccessRefused(f"entry {number}: what the model found is shown once your own opinion is signed")


def _refuse_second(room: Room, number: int, actor: Actor) -> None:
    if has_opinion(room, number, actor.name):
        raise InputError("opinion: was signed before, or comes after a reading; expected one before the score is shown")
