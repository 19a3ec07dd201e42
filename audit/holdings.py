"""Guarantee 7 of a verification: what an entry names is in the evidence store, unless an entry erased its patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from audit.database import reading
from audit.encryption import PatientKey
from audit.entries import Entry
from audit.evidence import EvidenceStore, exam_files, model_files, patient_of, sealed_of, training_patches
from audit.findings import Progress
from audit.identity import held_secret
from audit.rows import erasing_entries
from medproto.errors import EvidenceMissing


@dataclass
class Holdings:
    """What the store holds, read once, and who was erased by which entry.

    The pass that asks finds out for itself whether an erasing entry holds: a forged one hides nothing. `progress` is
    told of each file that was read.
    """

    store: EvidenceStore
    conn: Connection
    progress: Progress | None = None
    altered: frozenset[str] = field(init=False)
    erased: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.erased = _erased(self.conn)
        self.altered = frozenset(self.store.altered(self._tell))

    def _tell(self, done: int, total: int) -> None:
        if self.progress:
            self.progress("pictures", done, total)

    def faults(self, entry: Entry) -> Iterator[str]:
        """What is wrong with the files of this entry, in sentences."""
        own = exam_files(entry.payload)
        for name in sorted(own | training_patches(entry.payload) | model_files(entry.payload)):
            if name in self.altered:
                yield f"entry {entry.number}: its picture {name[:12]}… was altered."
            elif not self.store.present(name) and (name not in own or self._erasing(entry) is None):
                yield f"entry {entry.number}: its picture {name[:12]}… is absent."

    def notices(self, entry: Entry) -> Iterator[str]:
        """What is no fault and yet to be known: an erasure, or a key that is gone without one."""
        own, sealed = exam_files(entry.payload), bool(sealed_of(entry.payload))
        patient = patient_of(entry.payload)
        if not own or patient is None:
            return
        if (erasing := self.erased.get(patient)) is not None:
            left = sealed and any(map(self.store.present, own))
            again = "; sealed files of it are left: run `medproto audit erase-patient` again" if left else ""
            yield f"entry {entry.number}: its words and pictures were erased by entry {erasing}{again}."
        elif sealed and not self._holds_key(entry, patient):
            yield f"entry {entry.number}: the key to its words and pictures is gone or replaced, and no entry says so."

    def _holds_key(self, entry: Entry, patient: str) -> bool:
        """Whether the key to this entry's files is there; an adopted one is tried on the first of them."""
        held = held_secret(self.conn, patient)
        if held is None or not held.adopted:
            return held is not None
        digest, name = min(sealed_of(entry.payload).items())
        if name in self.altered or not self.store.present(name):
            return True  # which `faults` says; the key cannot be tried on it
        try:
            PatientKey.from_secret(held.secret).unseal(self.store.get(name), digest)
        except EvidenceMissing:
            return False
        return True

    def _erasing(self, entry: Entry) -> int | None:
        """Entry that erased the patient of this one; looked up anew where this view of the database knows none."""
        patient = patient_of(entry.payload)
        if patient is not None and patient not in self.erased:
            # Files go after the commit that erases: one gone since this view began has an entry that it cannot see.
            self.erased |= _erased_by_now(self.conn.engine)
        return self.erased.get(patient or "")


def _erased_by_now(engine: Engine) -> dict[str, int]:
    with reading(engine) as conn:
        return _erased(conn)


def _erased(conn: Connection) -> dict[str, int]:
    return {patient_of(entry.payload) or "": entry.number for entry in erasing_entries(conn)}
