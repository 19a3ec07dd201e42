"""A report against the ledger: made again from the entry that it names, and compared page by page.

Guarantees of a verified report:

1. Its checkpoint is one that a key of this ledger signed, and the ledger still holds the entries under it.
2. Its attachment is, byte for byte, what the ledger gives for that entry at that size.
3. Every page has the words, pictures, letters and drawing that the ledger and the evidence store give, and the file
   holds nothing else that a reader could show.
4. An identity on it is the one that this ledger printed for that patient.

Where it cannot be made again as it was, because a picture was erased or other versions set pages here, 2 and 3 hold by
an export in the ledger that names the file's own digest, or they do not.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from audit.evidence import patient_of
from audit.filters import LedgerFilter
from audit.proofs import ledger_keys
from audit.report import report_for
from audit.report_archival import attachment_of
from audit.report_attachment import Claim, setters
from audit.report_comparison import PdfParts, first_other, page_differences
from audit.report_identity import Identity, seal_of
from audit.report_standing import Standing, standing
from audit.room import Room
from audit.signing import verify_note
from medproto.errors import EntryNotFound, EvidenceMissing, KeyProblem, LedgerTampered

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class VerifiedReport:
    """What comparing a report with the ledger gave.

    `differences` are sentences that each name a page, or the attachment; empty where all is as the ledger has it.
    `export` is the entry that holds the file's digest, None where none does.
    """

    number: int
    size: int
    pages: int
    differences: tuple[str, ...]
    export: int | None
    other_software: str | None

    @property
    def verified(self) -> bool:
        """Whether the file is the report that this ledger gives."""
        return not self.differences


def verify_report(room: Room, report: bytes) -> VerifiedReport:
    """Make the report again and compare.

    Raises:
        ReportError: the file is no PDF with an attachment that says what it is of.
        EvidenceMissing: a picture or a review's words are no longer there, and no export names this file.
        EvidenceErased: the patient was erased, and no export names this file.
        LedgerTampered: the ledger no longer holds what it signed.
    """
    attached = attachment_of(report)
    claim = Claim.from_attachment(attached)
    try:
        verify_note(claim.note, ledger_keys(room))
    except KeyProblem as err:
        said = f"attachment: its checkpoint is not signed by a key of this ledger ({err})"
        return VerifiedReport(claim.number, claim.size, 0, (said,), None, None)
    held = _still_held(room, claim)
    parts, export = PdfParts.from_bytes(report), _export(room, claim.number, report)
    other = None if claim.software == setters() else ", ".join(f"{k} {v}" for k, v in sorted(claim.software.items()))
    differences: tuple[str, ...] = ()
    try:
        expected = report_for(room, claim.number, claim.size, claim.identity)
        if report != expected and not (export and other):
            differences = _differences((attached, parts), expected, _private(held, claim.identity))
        differences += _identity(room, held, claim.identity)
    except EvidenceMissing:
        if export is None:
            raise
    return VerifiedReport(claim.number, claim.size, len(parts.pages), differences, export, other)


def _still_held(room: Room, claim: Claim) -> Standing:
    """Guarantee 1: the checkpoint in a report is an anchor, and a ledger that lost what lies under it is caught."""
    lost = LedgerTampered([f"entry {claim.size}: the ledger no longer holds the {claim.size} entries that it signed."])
    try:
        held = standing(room, claim.number, claim.size)
    except EntryNotFound as err:
        raise lost from err
    if held.checkpoint.note.split("\n")[:3] != claim.note.split("\n")[:3]:
        raise lost
    return held


def _identity(room: Room, held: Standing, identity: Identity | None) -> tuple[str, ...]:
    """Guarantee 4, as a sentence where it fails."""
    patient = patient_of(held.entry.payload)
    if identity is None or (patient and hmac.compare_digest(seal_of(room, patient, identity), identity.seal)):
        return ()
    return ("attachment: the patient's identity in it is not one that this ledger printed",)


def _differences(got: tuple[bytes, PdfParts], expected: bytes, private: tuple[str, ...]) -> tuple[str, ...]:
    """Guarantees 2 and 3, as sentences on what fails; `private` are the texts that no message repeats."""
    (attached, parts), whole = got, PdfParts.from_bytes(expected)
    found = [] if attached == attachment_of(expected) else ["attachment: it is not what the ledger holds"]
    for number, (page, right) in enumerate(zip(parts.pages, whole.pages, strict=False), start=1):
        for sentence in page_differences(page, right):
            found.append(f"page {number}: {sentence}{_where(first_other(page, right), private)}")
    if len(parts.pages) != len(whole.pages):
        found.append(f"page count: got {len(parts.pages)}, expected {len(whole.pages)}")
    if not found and parts.around != whole.around:
        found.append("around the pages: the file holds something that the report does not")
    return tuple(found)


def _where(piece: str | None, private: tuple[str, ...]) -> str:
    """The first piece that ought to be there, unless it repeats what a reader wrote or who the patient is."""
    if not piece or not piece.strip():
        return ""
    words = frozenset(_WORD.findall(piece))
    told = any(piece.strip() in text or words & frozenset(_WORD.findall(text)) for text in private)
    return "" if told else f": the ledger gives “{piece[:80]}”"


def _private(held: Standing, identity: Identity | None) -> tuple[str, ...]:
    opinions = [review.record.review for review in held.reviews]
    said = tuple(text for opinion in opinions for text in (opinion.reason, opinion.comment))
    return (*said, *(identity.words if identity else ()))


def _export(room: Room, number: int, report: bytes) -> int | None:
    digest = hashlib.sha256(report).hexdigest()
    exports = room.ledger.entries(LedgerFilter(kind="report exported", refers_to=number))
    named = next((entry.number for entry in exports if entry.payload["pdf_digest"] == digest), None)
    return named if named is None else standing(room, named).entry.number  # which proves that it is in the log
