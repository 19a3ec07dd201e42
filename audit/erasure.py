"""Erasing a patient: the secret is destroyed, and with it every way to read or to recognise what is kept.

An erasure happens in three steps, and a run that is cut short at any moment is completed by the next one:

1. One commit writes the entry and deletes the patient's row, secret and all: both or neither. From then on words and
   pictures are noise, and no identifier leads to the pseudonym.
2. The files that the patient's entries name are removed; in rooms from before there was encryption these are clear.
3. The database rewrites what may still hold the deleted row: free pages and journal.

Numbers, decisions and pseudonyms stay in the bodies: proofs are over them, and they no longer lead to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from audit.database import scrub
from audit.entries import Entry, EntryDraft
from audit.evidence import exam_files, model_files, patient_of, sealed_of, training_patches
from audit.filters import LedgerFilter
from audit.identity import forget, secret_behind
from audit.payloads import Erasure, ErasureReason
from audit.room import Actor, Room
from medproto.errors import InputError

_PAGE = 500


@dataclass(frozen=True)
class Kept:
    """What is kept of one patient: pseudonyms of the exams, and reviews whose words are in their bodies for good."""

    exams: tuple[str, ...]
    clear_reviews: tuple[int, ...]


@dataclass(frozen=True)
class Finished:
    """What finishing the erasures so far took: how many files were removed, and whether the database is clean."""

    files: int
    scrubbed: bool


def kept_of(room: Room, patient: str) -> Kept:
    """What the ledger holds of this patient."""
    scored = {e.number: str(e.exam_id) for e in _all(room, "prediction") if patient_of(e.payload) == patient}
    clear = [
        e.number
        for e in _all(room, "review")
        if e.refers_to in scored and (e.payload.get("reason") or e.payload.get("comment"))
    ]
    return Kept(tuple(sorted(set(scored.values()))), tuple(sorted(clear)))


def erase(room: Room, patient: str, reason: ErasureReason, actor: Actor) -> Entry:
    """Step 1: destroy the secret behind this pseudonym and write that down, in one commit.

    Raises:
        InputError: no secret is behind that pseudonym.
    """
    if secret_behind(room.ledger.engine, patient) is None:
        raise _unknown()
    payload = Erasure(patient_id=patient, exams=kept_of(room, patient).exams, reason=reason)
    draft = EntryDraft("erasure", payload.model_dump(mode="json"), actor.name, actor.role)

    def destroy(conn: Connection) -> None:
        if not forget(conn, patient):
            raise _unknown()  # somebody else was faster; nothing is written

    return room.ledger.append([draft], destroy)[0]


def finish_erasures(room: Room) -> Finished:
    """Steps 2 and 3 for every erasure so far: what an earlier run left is taken away too."""
    erased = room.erasures()
    sealed: set[str] = set()
    clear: set[str] = set()
    for entry in (*_all(room, "prediction"), *_all(room, "review")) if erased else ():
        if patient_of(entry.payload) in erased:
            (sealed if sealed_of(entry.payload) else clear).update(exam_files(entry.payload))
    if clear:
        clear -= _of_others(room, set(erased))
    removed = sum(room.evidence.remove(name) for name in sorted(sealed | clear))
    return Finished(removed, scrub(room.ledger.engine))


def _of_others(room: Room, erased: set[str]) -> set[str]:
    """Files in clear that somebody else's entries or a model's name too: equal bytes are one file, and stay."""
    names: set[str] = set()
    for entry in _all(room, "prediction"):
        names |= training_patches(entry.payload)
        if patient_of(entry.payload) not in erased and not sealed_of(entry.payload):
            names |= exam_files(entry.payload)
    for entry in _all(room, "bundle registered"):
        names |= model_files(entry.payload)
    return names


def _all(room: Room, kind: str) -> Iterator[Entry]:
    """Every entry of a kind, newest first, some at a time; one appended meanwhile shifts the pages and hides none."""
    which, offset = LedgerFilter(kind=kind), 0
    while page := room.ledger.entries(which, offset, _PAGE):
        yield from page
        offset += len(page)


def _unknown() -> InputError:
    return InputError("patient: the identity table knows nobody of that name; the patient may have been erased before")
