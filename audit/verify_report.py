"""A report against the ledger: made again from the entry that it names, and compared page by page.

Guarantees of a verified report:

1. Its checkpoint is one that a key of this ledger signed, and the ledger still holds the entries under it.
2. Its attachment is, byte for byte, what the ledger gives for that entry at that size.
3. Every page has the words, pictures, letters and drawing that the ledger and the evidence store give, and the file
   holds nothing else that a reader could show.
4. An identity on it is the one that this ledger printed for that patient.
5. A signature inside it is over the whole file and adds nothing else to the report (`audit.report_signing`).

Where it cannot be made again as it was, because a picture was erased or other versions set pages here, 2 and 3 hold by
an export in the ledger that names the file's own digest, or they do not.

Without the ledger (`verify_alone`), a public key obtained elsewhere takes the place of (1): the entries are those in
the attachment, each proved by the checkpoint. Then pictures are not compared, and nobody can tell whether the identity
is right, a review was left out, or the ledger holds the entries still; `notices` say so.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.x509 import Certificate

from audit.entries import Entry
from audit.evidence import patient_of
from audit.filters import LedgerFilter
from audit.proofs import ledger_keys
from audit.report import render, report_for
from audit.report_archival import attachment_of
from audit.report_attachment import Claim, setters
from audit.report_blank import blank_pictures
from audit.report_claim import standing_of
from audit.report_comparison import PdfParts, file_differences
from audit.report_identity import Identity, seal_of
from audit.report_signing import SignedCopy, certificate_digest, signed_copy, signer_of
from audit.report_standing import Standing, standing
from audit.room import Room
from audit.signing import Checkpoint, PublicKey, verify_note
from medproto.errors import EntryNotFound, EvidenceMissing, KeyProblem, LedgerTampered, ReportError

_ALONE = (
    "without the ledger: pictures were not compared, and whether it still holds this entry and further reviews is open"
)


@dataclass(frozen=True)
class VerifiedReport:
    """What comparing a report gave.

    `differences` are sentences that each name a page, the attachment or the signature; empty where all is as it ought
    to be. `export` is the entry that holds the file's digest, None where none does. `signer` is the subject of the
    certificate by which the copy is signed. `notices` are what could not be told.
    """

    number: int
    size: int
    pages: int
    differences: tuple[str, ...]
    export: int | None = None
    other_software: str | None = None
    signer: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the file is the report that is expected."""
        return not self.differences


@dataclass(frozen=True)
class _Taken:
    """A file taken apart: the report, what it claims, and the signed copy that it lies in, if it does."""

    report: bytes
    attached: bytes
    claim: Claim
    copy: SignedCopy | None

    @classmethod
    def from_bytes(cls, data: bytes) -> _Taken:
        copy = signed_copy(data)
        report = copy.report if copy else data
        attached = attachment_of(report)
        return cls(report, attached, Claim.from_attachment(attached), copy)

    @property
    def other_software(self) -> str | None:
        """What set it, where that is not what is here."""
        named = ", ".join(f"{k} {v}" for k, v in sorted(self.claim.software.items()))
        return None if self.claim.software == setters() else named

    def unlike(self, expected: bytes, held: Standing, pictures: bool) -> tuple[str, ...]:
        """Guarantees 2 and 3, as sentences on what fails."""
        said = [] if self.attached == attachment_of(expected) else ["attachment: it is not what the ledger holds"]
        got, right = PdfParts.from_bytes(self.report), PdfParts.from_bytes(expected)
        if not pictures:
            got, right = got.without_pictures(), right.without_pictures()
        found = file_differences(got, right, _private(held, self.claim.identity))
        # The attachment is part of what lies around the pages: it is told once.
        return tuple(said + [each for each in found if not (said and each.startswith("around the pages"))])


def verify_report(
    room: Room, data: bytes, keys: Sequence[PublicKey] = (), certificate: Certificate | None = None
) -> VerifiedReport:
    """Make the report again and compare.

    Args:
        room: the room with ledger and evidence.
        data: the file.
        keys: public keys obtained elsewhere, one of which must have signed; else those of the ledger.
        certificate: whose signature is expected inside the file; else that which the ledger says it was.

    Raises:
        ReportError: the file is no PDF with an attachment that says what it is of.
        EvidenceMissing: a picture or a review's words are no longer there, and no export names this file.
        EvidenceErased: the patient was erased, and no export names this file.
        LedgerTampered: the ledger no longer holds what it signed.
    """
    taken = _Taken.from_bytes(data)
    claim, pages = taken.claim, len(PdfParts.from_bytes(taken.report).pages)
    try:
        verify_note(claim.note, keys or ledger_keys(room))
    except KeyProblem as err:
        said = f"attachment: its checkpoint is not signed by a key of this ledger ({err})"
        return VerifiedReport(claim.number, claim.size, 0, (said,))
    held, export = _still_held(room, claim), _export(room, claim.number, (data, taken.report))
    other, differences = taken.other_software, tuple[str, ...]()
    try:
        expected = report_for(room, claim.number, claim.size, claim.identity, claim.software)
        if taken.report != expected and not (export and other):
            differences = taken.unlike(expected, held, pictures=True)
        differences += _identity(room, held, claim.identity)
    except EvidenceMissing:
        if export is None:
            raise
    named = certificate_digest(certificate) if certificate else (export.payload.get("certificate") if export else None)
    wrong, signer, notices = _signature(taken.copy, named)
    number = export.number if export else None
    return VerifiedReport(claim.number, claim.size, pages, differences + wrong, number, other, signer, notices)


def verify_alone(data: bytes, keys: Sequence[PublicKey], certificate: Certificate | None = None) -> VerifiedReport:
    """Make the pages again from the attachment, proved by a key obtained elsewhere, and compare all but pictures.

    Raises:
        ReportError: the file is no PDF with an attachment that says what it is of.
    """
    taken = _Taken.from_bytes(data)
    claim, pages = taken.claim, len(PdfParts.from_bytes(taken.report).pages)
    try:
        checkpoint: Checkpoint = verify_note(claim.note, keys)
        held = standing_of(taken.attached, checkpoint)
    except KeyProblem as err:
        said = f"attachment: its checkpoint is not signed by a key that was given ({err})"
        return VerifiedReport(claim.number, claim.size, 0, (said,))
    except ReportError as err:
        return VerifiedReport(claim.number, claim.size, 0, (str(err),))
    expected = render(held, blank_pictures(held.entry), claim.identity, claim.software)
    wrong, signer, notices = _signature(taken.copy, certificate_digest(certificate) if certificate else None)
    if claim.identity:
        notices = ("only the ledger can tell whether the patient's identity is right", *notices)
    differences = taken.unlike(expected, held, pictures=False) + wrong
    return VerifiedReport(
        claim.number, claim.size, pages, differences, None, taken.other_software, signer, (_ALONE, *notices)
    )


def _signature(copy: SignedCopy | None, expected: str | None) -> tuple[tuple[str, ...], str | None, tuple[str, ...]]:
    """Guarantee 5: what fails, who signed, and what could not be told."""
    if copy is None:
        return (), None, ()
    try:
        digest, subject = signer_of(copy.data)
    except KeyProblem as err:
        return (*copy.differences, str(err)), None, ()
    except ReportError as err:
        return copy.differences, None, (f"the signature inside it was not checked: {err}",)
    if expected is None:
        return copy.differences, subject, ("nothing here says whose signature is expected; --certificate does",)
    if digest != expected:
        return (*copy.differences, "signature: it is by another certificate than the one expected"), subject, ()
    return copy.differences, subject, ()


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


def _private(held: Standing, identity: Identity | None) -> tuple[str, ...]:
    """The texts that no message repeats."""
    opinions = [review.record.review for review in held.reviews]
    said = tuple(text for opinion in opinions for text in (opinion.reason, opinion.comment))
    return (*said, *(identity.words if identity else ()))


def _export(room: Room, number: int, files: Sequence[bytes]) -> Entry | None:
    """The export that names one of these files, the signed copy or the report in it, proved to be in the log."""
    digests = {hashlib.sha256(data).hexdigest() for data in files}
    exports = room.ledger.entries(LedgerFilter(kind="report exported", refers_to=number))
    named = (e for e in exports if digests & {e.payload["pdf_digest"], e.payload.get("signed_digest")})
    found = next(named, None)
    return found if found is None else standing(room, found.number).entry
