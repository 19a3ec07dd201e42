"""What the registered entries hold: small records, checked before they are written."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from audit.entries import EntryKind
from medproto.errors import InputError
from medproto.neighbourhood import Neighbourhood
from medproto.records import Digest, PrototypeSource, Record, RefusedRecord

Verdict = Literal["agree", "disagree", "refer"]
#: What a signed opinion is among those on the same exam; `audit.readings` holds the rules.
Act = Literal["reading", "amendment", "second reading", "final"]
#: Why a patient was erased: one of these and no free text, for what is in a body stays there.
ErasureReason = Literal["request", "retention", "mistake", "order"]
#: What a signature under a review means (21 CFR 11.50: who, when, meaning).
MEANINGS: dict[str, str] = {
    "agree": "I reviewed this exam and agree with the decision.",
    "disagree": "I reviewed this exam and disagree with the decision.",
    "refer": "I reviewed this exam and refer it to another reader.",
}


class DatasetRegistered(Record):
    """A data set whose manifest is fixed by its digest."""

    manifest_digest: Digest
    name: str
    licence: str
    patients: Annotated[int, Field(ge=0)]
    images: Annotated[int, Field(ge=0)]
    #: Where the manifest was, relative to where the command ran; `trace` looks there and checks the digest.
    manifest_path: str | None = None


class TrainingRun(Record):
    """One training run: what it was given and which code ran."""

    dataset_entry: int | None
    config: dict[str, Any]
    seeds: dict[str, int]
    code_version: str


class RegisteredPrototype(Record):
    """One prototype of a bundle, the training patch it is, and its neighbours; older bodies hold none."""

    prototype_id: str
    prototype_class: str
    source: PrototypeSource
    neighbours: Neighbourhood | None = None


class BundleRegistered(Record):
    """A bundle, by its id, with every prototype's source, and its card as a page; older bodies name none."""

    bundle_id: Digest
    name: str
    data_licence: str
    training_entry: int | None
    prototypes: Annotated[tuple[RegisteredPrototype, ...], Field(min_length=1)]
    metrics: dict[str, float]
    card: Digest | None = None
    #: What it learnt from, with patients and images of each split; older bodies do not say.
    data_name: str | None = None
    synthetic: bool | None = None
    splits: dict[str, dict[str, int]] | None = None


class EvaluationRun(Record):
    """An evaluation, whose results were shown to nobody as single predictions, and the card with these results."""

    bundle_id: Digest
    manifest_digest: Digest
    results_digest: Digest
    results: dict[str, Any]
    card: Digest | None = None


class Intent(Record):
    """Written and committed before a scorer runs."""

    bundle_id: Digest
    bundle_name: str
    files: tuple[Digest, ...]
    request: Digest


class Refusal(Record):
    """An exam of which no image was left to score."""

    intent: int
    bundle_id: Digest
    sentence: str
    refused: tuple[RefusedRecord, ...]
    #: Of a bundle of synthetic images; older bodies do not say.
    synthetic: bool = False


class Failure(Record):
    """A scoring that ended in an error. `sentence` is None for an unexpected one: its text may hold patient data."""

    intent: int | None
    bundle_id: Digest
    error: str
    sentence: str | None


class ExamOpened(Record):
    """Somebody looked at a prediction."""

    entry: int
    exam_id: str


class FirstOpinion(Record):
    """What a reader thinks of an exam before the model's result is shown, and what the signature means."""

    entry: int
    exam_id: str
    suspicious: bool
    meaning: str


class Opinion(Record):
    """What a reader says about a prediction; older bodies hold neither `act` nor what comes after it.

    Args:
        misleading: prototypes whose evidence misled.
        act: what it is among the readings of this exam.
        of: entries of the readings that it amends, comes second to, or closes; none for a reading on its own.
        seconds: time on the case, in whole seconds; None where nobody measured it.
    """

    verdict: Verdict
    reason: str = ""
    misleading: tuple[str, ...] = ()
    comment: str = ""
    act: Act = "reading"
    of: tuple[int, ...] = ()
    seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None

    @model_validator(mode="after")
    def _has_reason(self) -> Self:
        if self.verdict == "disagree" and not self.reason.strip():
            # Not a ValueError: pydantic would wrap it in words of its own.
            raise InputError("reason: got none, expected a reason when disagreeing")
        return self


class Review(Opinion):
    """An opinion, signed: on which prediction, and what the signature means.

    In the ledger `reason` and `comment` are empty: `words` is the digest of both under a random salt, and `sealed`
    names the ciphertext that holds all three. Older bodies hold them in clear, and neither patient nor digest.
    """

    entry: int
    exam_id: str
    meaning: str
    patient_id: str | None = None
    words: Digest | None = None
    sealed: dict[Digest, Digest] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_reason(self) -> Self:
        """The words were checked as an opinion's, before they were sealed."""
        return self


class Delivery(Record):
    """How a report left the room, beside its digest; older bodies do not say.

    Args:
        identified: whether the patient's identity is printed on it; which one is never said.
        signed_digest: of the copy that bears a signature inside the PDF, where one was made.
        certificate: SHA-256 of the certificate that this signature names.
    """

    identified: bool = False
    signed_digest: Digest | None = None
    certificate: Digest | None = None


#: A report without identity and without signature.
AS_IT_IS: Final = Delivery()


class ReportExported(Delivery):
    """A PDF left the room; its digest proves later which one."""

    entry: int
    exam_id: str | None
    pdf_digest: Digest


class Erasure(Record):
    """A patient's secret was destroyed, with all that is readable only through it."""

    patient_id: str
    exams: tuple[str, ...]
    reason: ErasureReason


class KeyRotated(Record):
    """The signing key was changed; the checkpoint over this entry is signed by both keys, as C2SP verifier keys."""

    old_key: str
    new_key: str
    reason: Annotated[str, Field(min_length=1)]


class CheckpointAnchored(Record):
    """A checkpoint was appended to a file of anchors; where that file lies is not said."""

    size: Annotated[int, Field(ge=1)]
    root: Digest
    note_digest: Digest


class Restored(Record):
    """The ledger was restored from a backup, and goes on under a new key.

    Entries `restored_size` + 1 to `known_size` are lost. Checkpoints of theirs that were kept elsewhere are signed by
    one of `retired_keys`, which sign nothing in what goes on: the two cannot be taken for one another.
    """

    restored_size: Annotated[int, Field(ge=1)]
    known_size: Annotated[int, Field(ge=1)]
    known_root: Digest
    old_key: str
    new_key: str
    retired_keys: Annotated[tuple[str, ...], Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _knows_what_it_restored(self) -> Self:
        if self.known_size < self.restored_size or self.old_key not in self.retired_keys:
            # Not a ValueError: pydantic would wrap it in words of its own.
            raise InputError("restored: expected a known size from the restored one on, and the old key as retired")
        return self


#: Kinds that `service.register` accepts, each with the record its payload must be.
REGISTRABLE: dict[EntryKind, type[Record]] = {
    "dataset registered": DatasetRegistered,
    "training run": TrainingRun,
    "bundle registered": BundleRegistered,
    "evaluation run": EvaluationRun,
}
