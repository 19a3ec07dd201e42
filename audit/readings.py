"""The readings of one exam: who may sign what after whom, and the one way to sign.

1. A reading stands on its own, as often as somebody reads, until the exam is closed.
2. An amendment names one reading that stands, by the same person; that reading stands no longer.
3. A second reading names a reading that stands; whoever signs it has signed no other reading of the exam.
4. A final names every reading that stands, and closes the exam: after it nothing is signed but its amendment.

The rules are checked under the append lock, so that two who sign at once cannot both be the final.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audit.access import require
from audit.encryption import salted, seal_pieces
from audit.entries import Entry, EntryDraft
from audit.filters import LedgerFilter
from audit.payloads import MEANINGS, Act, Opinion, Review
from audit.queries import prediction
from audit.room import Actor, Room
from medproto.errors import InputError

#: What a signature says besides the verdict (21 CFR 11.50: the meaning of the signature).
_ACTS: Final[dict[Act, str]] = {
    "reading": "",
    "amendment": "This takes the place of what I signed as {of}. ",
    "second reading": "This is a second reading, after {of}. ",
    "final": "This is the final reading and closes {of}. ",
}


def review(room: Room, number: int, opinion: Opinion, actor: Actor) -> Entry:
    """Sign an opinion on a prediction; its words are sealed under the patient's key and the body holds their digest.

    Raises:
        InputError: it blames a prototype that the prediction does not hold, or its act is not open to this person.
        EvidenceErased: the patient was erased.
    """
    require(room, "review", actor)
    _, record = prediction(room, number)
    unknown = set(opinion.misleading) - {match.prototype_id for match in record.matches}
    if unknown:
        raise InputError(f"review: got prototypes that entry {number} does not hold: {', '.join(sorted(unknown))}")
    key, words = room.key_for(record.patient_id), {"reason": opinion.reason, "comment": opinion.comment}
    sealed = seal_pieces(room.evidence, key, [salted(words)] if any(words.values()) else [])
    signed = Review(
        verdict=opinion.verdict,
        misleading=opinion.misleading,
        act=opinion.act,
        of=tuple(sorted(opinion.of)),
        seconds=opinion.seconds,
        entry=number,
        exam_id=record.exam_id,
        meaning=_meaning(opinion),
        patient_id=record.patient_id,
        words=next(iter(sealed), None),
        sealed=sealed,
    )
    draft = EntryDraft("review", signed.model_dump(mode="json"), actor.name, actor.role)
    return room.ledger.append([draft], lambda _: _check(_signed(room, number), opinion, actor))[0]


def _meaning(opinion: Opinion) -> str:
    """What a signature under this opinion means, in one text."""
    return _ACTS[opinion.act].format(of=_named(set(opinion.of))) + MEANINGS[opinion.verdict]


def _standing(signed: Sequence[Entry]) -> list[Entry]:
    """The readings that no amendment took the place of, oldest first."""
    amended = {n for entry in signed if _act(entry) == "amendment" for n in entry.payload["of"]}
    return sorted((entry for entry in signed if entry.number not in amended), key=lambda entry: entry.number)


def _closing(signed: Sequence[Entry]) -> Entry | None:
    """The final reading of the exam as it stands, amended or not; None while the exam is open."""
    closed = {entry.number for entry in signed if _act(entry) == "final"}
    for entry in sorted(signed, key=lambda entry: entry.number):
        if _act(entry) == "amendment" and closed & set(entry.payload["of"]):
            closed.add(entry.number)
    return next((entry for entry in reversed(_standing(signed)) if entry.number in closed), None)


def _signed(room: Room, number: int) -> list[Entry]:
    return room.ledger.entries(LedgerFilter(kind="review", refers_to=number))


def _act(entry: Entry) -> str:
    return str(entry.payload.get("act", "reading"))


def _check(signed: Sequence[Entry], opinion: Opinion, actor: Actor) -> None:
    """Raise InputError unless this act is open to this person, after these readings."""
    stands = _standing(signed)
    final, numbers, of = _closing(signed), {entry.number for entry in stands}, set(opinion.of)
    if final is not None and not (opinion.act == "amendment" and of == {final.number}):
        raise InputError(f"review: closed by entry {final.number}; expected an amendment of it, by who signed it")
    if opinion.act == "reading" and of:
        raise InputError("review: got a reading that names others, expected one on its own")
    if opinion.act != "reading" and (not of or not of <= numbers):
        raise InputError(f"review: the {opinion.act} names no reading of this exam that stands")
    if opinion.act == "amendment":
        _check_amendment([entry for entry in stands if entry.number in of], actor)
    if opinion.act == "second reading" and actor.name in {entry.actor for entry in signed}:
        raise InputError("review: a second reading is signed by somebody who signed none of this exam before")
    if opinion.act == "final" and of != numbers:
        raise InputError(f"review: the final names {_named(of)}, expected every reading that stands: {_named(numbers)}")


def _check_amendment(amended: Sequence[Entry], actor: Actor) -> None:
    if len(amended) != 1:
        raise InputError(f"review: the amendment names {len(amended)} readings, expected one")
    if amended[0].actor != actor.name:
        raise InputError(f"review: entry {amended[0].number} is amended by nobody but who signed it")


def _named(numbers: set[int]) -> str:
    return ", ".join(f"entry {number}" for number in sorted(numbers))
