"""Every error medproto raises on purpose.

    MedprotoError
    ├── InputError                what was handed in cannot be used
    │   ├── UnreadableImage       not DICOM, truncated, undecodable
    │   ├── RefusedImage          read, but the input gate refuses to score it (carries its findings)
    │   ├── EmptyExam             no image left to score
    │   ├── ManifestError         a manifest row or column is wrong
    │   ├── DicomwebError         a server cannot be reached, refuses, or answers something else
    │   └── ConfigError           a configuration key or value is wrong
    ├── TrainingError             data or numbers that cannot be trained on
    ├── BundleError               a bundle is damaged, incomplete or of a foreign format
    └── AuditError
        ├── LedgerTampered        verification failed (carries the faults)
        │   └── LedgerDamaged     the database itself says that its pages are not what it wrote
        ├── LedgerUnavailable     the database cannot be reached or is not a ledger
        │   └── LedgerAbsent      the database is reached, and there is no ledger in it
        ├── EntryNotFound         no entry with that number
        ├── EvidenceMissing       a named patch or picture is absent or altered
        │   └── EvidenceErased    its patient was erased, by an entry that says so
        ├── AccessRefused         a role is not for what was asked, or nobody signed in
        ├── ProviderUnavailable   the organisation's sign-in does not answer, or is not the configured one
        ├── KeyProblem            the signing key is absent, unreadable or not the ledger's
        ├── ReportError           an entry a report cannot be made from
        └── CannotReplay          a prediction's source files or bundle are not at hand

Messages say what, got and expected; they never hold a patient's name, identifier or birth date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medproto.records import GateFinding, RefusedRecord


class MedprotoError(Exception):
    """Base of every error that medproto raises on purpose; its text is one sentence for the user."""


class InputError(MedprotoError):
    """What was handed in cannot be used."""


class UnreadableImage(InputError):
    """A file that is not a readable DICOM image.

    Args:
        sentence: one sentence for the reader.
        code: stable reason code, as in `GateFinding.code`.
    """

    def __init__(self, sentence: str, code: str = "UNREADABLE") -> None:
        super().__init__(sentence)
        self.code = code


class RefusedImage(InputError):
    """An image that was read and must not be scored.

    Args:
        findings: the gate's findings, at least one of severity refuse.
    """

    def __init__(self, findings: Sequence[GateFinding]) -> None:
        refusals = [finding for finding in findings if finding.severity == "refuse"]
        super().__init__(" ".join(finding.sentence for finding in refusals))
        self.findings = tuple(findings)


class EmptyExam(InputError):
    """No image is left to score.

    Args:
        sentence: one sentence for the reader.
        refused: the images that were refused, with their findings; empty where there was no file at all.
    """

    def __init__(self, sentence: str, refused: Sequence[RefusedRecord] = ()) -> None:
        super().__init__(sentence)
        self.refused = tuple(refused)


class ManifestError(InputError):
    """A manifest row or column is wrong; the message names both."""


class DicomwebError(InputError):
    """A DICOMweb server cannot be reached, refuses, or answers something else than it was asked.

    Args:
        sentence: one sentence for the user.
        gone: whether the server does not answer at all, so that whatever else is asked will fail too.
    """

    def __init__(self, sentence: str, gone: bool = False) -> None:
        super().__init__(sentence)
        self.gone = gone


class ConfigError(InputError):
    """A configuration key or value is wrong; the message names it and what is allowed."""


class TrainingError(MedprotoError):
    """Data or numbers that cannot be trained on."""


class BundleError(MedprotoError):
    """A bundle is damaged, incomplete or of a foreign format."""


class AuditError(MedprotoError):
    """Base of the audit trail's errors."""


class LedgerTampered(AuditError):
    """Verification failed.

    Args:
        faults: one sentence each, naming the entry.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = tuple(faults)


class LedgerDamaged(LedgerTampered):
    """The database itself says that its pages are not what it wrote: cut, overwritten, or no database at all."""


class LedgerUnavailable(AuditError):
    """The database cannot be reached or holds no ledger."""


class LedgerAbsent(LedgerUnavailable):
    """The place is as it should be, and there is no ledger in it."""


class EntryNotFound(AuditError):
    """No entry with that number."""


class EvidenceMissing(AuditError):
    """A patch or picture named by an entry is absent or altered."""


class EvidenceErased(EvidenceMissing):
    """What an entry was about can no longer be read: its patient was erased; the message names the erasing entry."""


class AccessRefused(AuditError):
    """Somebody asked for what their role is not for, or nobody signed in."""


class ProviderUnavailable(AuditError):
    """The organisation's sign-in does not answer, or is not the configured one."""


class KeyProblem(AuditError):
    """The signing key is absent, unreadable or not this ledger's."""


class ReportError(AuditError):
    """An entry from which no report can be made."""


class CannotReplay(AuditError):
    """A prediction cannot be rerun: its source files or its bundle are not at hand."""
