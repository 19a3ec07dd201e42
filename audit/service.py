"""The only way to a prediction: intent, score, evidence, COMMIT, and only then somebody sees it.

Guarantees of `score_exam`:

1. The intent is committed before the scorer runs.
2. Every picture the prediction names is in the evidence store before the entry names it: the exam's own sealed under
   the patient's key, the training patches of the bundle in clear.
3. The result (prediction, refusal or failure) is committed before it is returned.

In a room that is held by somebody every function here asks first whether their role is for it (`audit.access`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from audit.access import require
from audit.asking import (
    bundles,
    checkpoint_of,
    complaints,
    entry_of,
    known_prototypes,
    ledger_page,
    model_card,
    outcome_of,
    picture,
    pictures,
    prediction,
    prior_exam,
    prototype_uses,
    refusals,
    reviews,
    scored_among,
    synthetic_among,
    trace_entry,
    trace_prototype,
    training_patch,
    verify_room,
    worklist_counts,
    worklist_next,
    worklist_page,
)
from audit.bundles import KnownBundle
from audit.canonical import canonical_bytes
from audit.encryption import seal_pieces
from audit.entries import RESULT_KINDS, Entry, EntryDraft, EntryKind
from audit.evidence import patient_of
from audit.filters import LedgerFilter
from audit.findings import Verification
from audit.payloads import (
    AS_IT_IS,
    REGISTRABLE,
    Delivery,
    ExamOpened,
    Failure,
    Intent,
    Opinion,
    Refusal,
    RegisteredPrototype,
    ReportExported,
)
from audit.priors import PriorExam
from audit.prototypes import Complaint, Driven, PrototypeUse
from audit.queries import LedgerPage, ReviewRecord
from audit.readings import review
from audit.room import Actor, BundleScorer, Room, Scorer, open_room
from audit.worklist import WorklistCounts, WorklistFilter, WorklistItem, WorklistPage
from medproto.errors import (
    BundleError,
    EmptyExam,
    EntryNotFound,
    EvidenceMissing,
    InputError,
    MedprotoError,
    UnreadableImage,
)
from medproto.records import Record, Scored

__all__ = [
    "Actor",
    "BundleScorer",
    "Complaint",
    "Driven",
    "Entry",
    "KnownBundle",
    "LedgerFilter",
    "LedgerPage",
    "Opinion",
    "PriorExam",
    "PrototypeUse",
    "RegisteredPrototype",
    "ReviewRecord",
    "Room",
    "Scorer",
    "Verification",
    "WorklistCounts",
    "WorklistFilter",
    "WorklistItem",
    "WorklistPage",
    "bundles",
    "checkpoint_of",
    "complaints",
    "entry_of",
    "exam_opened",
    "file_digest",
    "find_prediction",
    "find_registered",
    "known_prototypes",
    "ledger_head",
    "ledger_page",
    "model_card",
    "open_room",
    "outcome_of",
    "picture",
    "pictures",
    "prediction",
    "prior_exam",
    "prototype_uses",
    "refusals",
    "register",
    "report_exported",
    "request_digest",
    "review",
    "reviews",
    "score_exam",
    "scored_among",
    "synthetic_among",
    "trace_entry",
    "trace_prototype",
    "training_patch",
    "verify_room",
    "worklist_counts",
    "worklist_next",
    "worklist_page",
]


def score_exam(room: Room, paths: Sequence[Path], scorer: BundleScorer, actor: Actor) -> Entry:
    """Score one exam and return its committed entry: of kind prediction, refusal or failure.

    An exam with nothing left to score is a refusal, an error of medproto's own a failure; both are returned, for the
    batch goes on. Any other exception is logged by its class name alone and raised again.
    """
    require(room, "score", actor)
    try:
        files = tuple(sorted(map(file_digest, paths)))
    except UnreadableImage as err:
        return _append(room, "failure", _failure(None, scorer, err), actor)
    bundle_id, name = scorer.bundle_id, scorer.bundle_name
    request = request_digest(files, bundle_id)
    intent = Intent(bundle_id=bundle_id, bundle_name=name, files=files, request=request)
    number = _append(room, "intent", intent, actor).number  # 1
    try:
        scored = scorer.score(paths, room.pseudonym)
        sealed = _keep_pictures(room, scored, scorer)  # 2
    except EmptyExam as err:
        refusal = Refusal(
            intent=number, bundle_id=bundle_id, sentence=str(err), refused=err.refused, synthetic=scorer.synthetic
        )
        return _append(room, "refusal", refusal, actor)
    except MedprotoError as err:
        return _append(room, "failure", _failure(number, scorer, err), actor)
    except Exception as err:
        _append(room, "failure", _failure(number, scorer, err), actor)
        raise
    payload = {"intent": number, "prediction": scored.prediction.model_dump(mode="json"), "sealed": sealed}
    draft = EntryDraft("prediction", payload, actor.name, actor.role)
    return room.ledger.append([draft])[0]  # 3


def find_prediction(room: Room, file_digests: Sequence[str], bundle_id: str) -> Entry | None:
    """Newest prediction of exactly these files (SHA-256, in any order) by that bundle that was not erased, if any."""
    require(room, "exam")
    erased, request = room.erasures(), request_digest(tuple(sorted(file_digests)), bundle_id)
    for intent in room.ledger.entries(LedgerFilter(kind="intent", request=request)):
        for entry in room.ledger.entries(LedgerFilter(kind="prediction", refers_to=intent.number)):
            if patient_of(entry.payload) not in erased:
                return entry
    return None


def register(room: Room, payload: Record, actor: Actor) -> Entry:
    """Write down a data set, a training run, a bundle or an evaluation: one of the records in `REGISTRABLE`."""
    require(room, "score", actor)
    for kind, record in REGISTRABLE.items():
        if type(payload) is record:
            return _append(room, kind, payload, actor)
    names = ", ".join(record.__name__ for record in REGISTRABLE.values())
    raise InputError(f"register: got {type(payload).__name__}, expected one of {names}")


def find_registered(room: Room, payload: Record) -> Entry | None:
    """Newest entry that registered exactly this, so that a second run need not register it again."""
    require(room, "ledger")
    for kind, record in REGISTRABLE.items():
        if type(payload) is record:
            plain = canonical_bytes(payload.model_dump(mode="json"))
            same = (e for e in room.ledger.entries(LedgerFilter(kind=kind)) if canonical_bytes(e.payload) == plain)
            return next(same, None)
    return None


def exam_opened(room: Room, number: int, actor: Actor) -> Entry:
    """Write down that somebody opens a prediction; EvidenceErased when there is no longer anything to open."""
    require(room, "exam", actor)
    _, record = prediction(room, number)
    room.refuse_erased(record.patient_id)
    return _append(room, "exam opened", ExamOpened(entry=number, exam_id=record.exam_id), actor)


def report_exported(room: Room, number: int, pdf_digest: str, actor: Actor, delivery: Delivery = AS_IT_IS) -> Entry:
    """Write down that a report of a prediction left the room, with the digest of its bytes and how it left."""
    require(room, "report", actor)
    entry = room.ledger.entry(number)
    if entry.kind not in RESULT_KINDS:
        raise EntryNotFound(f"entry {number}: is of kind {entry.kind}, expected {', '.join(RESULT_KINDS)}")
    plain = delivery.model_dump()
    exported = ReportExported(entry=number, exam_id=entry.exam_id, pdf_digest=pdf_digest, **plain)
    return _append(room, "report exported", exported, actor)


def ledger_head(room: Room) -> tuple[int, str]:
    """How many entries the last checkpoint covers, and its root; its signature was checked."""
    checkpoint = room.ledger.head(room.public_key)
    return checkpoint.size, checkpoint.root


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces; UnreadableImage when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise UnreadableImage(f"file: cannot be read ({err.strerror})") from err


def request_digest(files: Sequence[str], bundle_id: str) -> str:
    """One digest for `these files by that bundle`, by which a prediction is found again."""
    return hashlib.sha256(canonical_bytes({"bundle_id": bundle_id, "files": sorted(files)})).hexdigest()


def _keep_pictures(room: Room, scored: Scored, scorer: BundleScorer) -> dict[str, str]:
    """Store every picture the prediction names and return digest -> digest of the ciphertext, for the exam's own.

    A picture of the exam that is a training patch too is the bundle's, and lies in clear like all of them.

    Raises:
        EvidenceMissing: a picture is not handed over as it is named.
        EvidenceErased: the patient was erased while the exam was scored.
    """
    if scored.prediction.bundle_id != scorer.bundle_id:
        raise BundleError("prediction: got another bundle than the intent names")
    for digest in scored.prediction.pictures():
        if digest not in scored.pictures:
            raise EvidenceMissing(f"evidence {digest[:12]}…: named by the prediction and not handed over")
        if hashlib.sha256(scored.pictures[digest]).hexdigest() != digest:
            raise EvidenceMissing(f"evidence {digest[:12]}…: its bytes do not hash to its name")
    patches = {match.source.patch for match in scored.prediction.matches}
    for digest in patches:
        room.evidence.put(scored.pictures[digest])
    own = [scored.pictures[digest] for digest in scored.prediction.pictures() if digest not in patches]
    return seal_pieces(room.evidence, room.key_for(scored.prediction.patient_id), own)


def _failure(intent: int | None, scorer: BundleScorer, err: Exception) -> Failure:
    """Only medproto's own sentences are kept: a foreign one may quote a patient's data."""
    sentence = str(err) if isinstance(err, MedprotoError) else None
    return Failure(intent=intent, bundle_id=scorer.bundle_id, error=type(err).__name__, sentence=sentence)


def _append(room: Room, kind: EntryKind, payload: Record, actor: Actor) -> Entry:
    draft = EntryDraft(kind, payload.model_dump(mode="json"), actor.name, actor.role)
    return room.ledger.append([draft])[0]
