"""A ledger of the suite's own: exams scored, refused and failed, reviews, exports, keys changed, one patient erased."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from audit.access import require
from audit.anchoring import anchor_checkpoint
from audit.backup import make_backup
from audit.blind import give_first_opinion
from audit.entries import EntryDraft
from audit.erasure import erase, finish_erasures
from audit.evidence import patient_of
from audit.payloads import BundleRegistered, DatasetRegistered, EvaluationRun, RegisteredPrototype, TrainingRun
from audit.report import report_for
from audit.restoring import RestoreOrder, restore
from audit.room import KEYS, Actor, BundleScorer, Room, open_room
from audit.rotation import rotate_key
from audit.service import Opinion, exam_opened, register, report_exported, review, score_exam
from audit.sign_in import Attempt, Attempts, sign_in
from audit.signing import append_note, load_signer
from audit.users import add_user
from medproto.errors import AccessRefused, BundleError, EmptyExam
from medproto.records import Decision, Prediction, Pseudonymise, Record, Scored
from tests.audit.attacks.copies import Known
from tests.audit.factory import BUNDLE_ID, make_scored, sha256

READER, ADMINISTRATOR = Actor("reader-1", "radiologist"), Actor("admin-1", "administrator")
_PASSWORD = "correct horse battery"
_DECISIONS: tuple[Decision, ...] = ("flagged", "not flagged", "no decision")


def _opinion(agrees: bool, blamed: str) -> Opinion:
    if agrees:
        return Opinion(verdict="agree")
    return Opinion(verdict="disagree", reason="a scar", misleading=(blamed,), comment="seen before")


@functools.cache
def prepared(decision: Decision) -> Scored:
    """A scored exam of two prototypes, drawn once."""
    return make_scored(decision, exam=decision, prototypes=2)


def scorer_for(patient: str, decision: Decision, bundle_id: str = BUNDLE_ID) -> BundleScorer:
    """A bundle that says this of any exam, under the pseudonyms of this patient."""

    def score(paths: Sequence[Path], pseudonymise: Pseudonymise) -> Scored:
        scored = prepared(decision)
        ids = {"patient_id": pseudonymise(patient, "patient", patient), "exam_id": pseudonymise(patient, "exam", "1")}
        fields = scored.prediction.model_dump() | ids | {"bundle_id": bundle_id}
        return Scored(Prediction.model_validate(fields), scored.pictures)

    return BundleScorer(bundle_id, "suite", score)


def refusing(error: Exception) -> BundleScorer:
    """A bundle whose scoring ends in this error."""

    def score(paths: Sequence[Path], pseudonymise: Pseudonymise) -> Scored:
        raise error

    return BundleScorer(BUNDLE_ID, "suite", score)


def people(room: Room) -> None:
    """A user who signs in, is turned away from what is not for readers, and mistypes a password."""
    add_user(room, READER.name, "reader", _PASSWORD, ADMINISTRATOR)
    attempts = Attempts()
    user = sign_in(room, Attempt(READER.name, _PASSWORD, "127.0.0.1"), attempts)
    with suppress(AccessRefused):
        require(room.held_by(Actor(user.name, user.role)), "users")
    with suppress(AccessRefused):
        sign_in(room, Attempt(READER.name, "mistyped", "127.0.0.1"), attempts)


def fill(room: Room, bundle_id: str, patients: Sequence[str]) -> list[int]:
    """One exam of each patient, scored, opened, reviewed and reported; the numbers of the predictions."""
    film = room.home.parent / "film.dcm"
    numbers = []
    for place, patient in enumerate(patients):
        film.write_bytes(f"film of {patient}".encode())
        decision = _DECISIONS[place % len(_DECISIONS)]
        number = score_exam(room, [film], scorer_for(patient, decision, bundle_id), READER).number
        exam_opened(room, number, READER)
        give_first_opinion(room, number, place == 1, READER)
        blamed = prepared(decision).prediction.matches[0].prototype_id
        signed = review(room, number, _opinion(place == 1, blamed), READER)
        report_exported(room, number, sha256(report_for(room, number)), READER)
        amended = Opinion(verdict="refer", act="amendment", of=(signed.number,))
        review(room, number, amended, READER)
        numbers.append(number)
    return numbers


def registered(room: Room, bundle_id: str) -> None:
    """Data set, training run, bundle and evaluation."""
    matches = prepared("flagged").prediction.matches
    prototypes = tuple(
        RegisteredPrototype(prototype_id=m.prototype_id, prototype_class=m.prototype_class, source=m.source)
        for m in matches
    )
    digest, first = sha256(b"manifest"), room.ledger.count() + 1
    records: tuple[Record, ...] = (
        DatasetRegistered(manifest_digest=digest, name="suite", licence="CC0-1.0", patients=3, images=12),
        TrainingRun(dataset_entry=first, config={"epochs": 1, "rate": 1e-3}, seeds={"torch": 1}, code_version="0"),
        BundleRegistered(
            bundle_id=bundle_id,
            name="suite",
            data_licence="CC0-1.0",
            training_entry=first + 1,
            prototypes=prototypes,
            metrics={"auroc": 0.9},
        ),
        EvaluationRun(bundle_id=bundle_id, manifest_digest=digest, results_digest=digest, results={"auroc": 0.9}),
    )
    for record in records:
        register(room, record, ADMINISTRATOR)


def make_history(home: Path, url: str | None = None, bundle_id: str = BUNDLE_ID) -> None:
    """Write the ledger into this home, or into the database of this URL; it ends with its second or third key.

    A restored backup is part of it on SQLite.
    """
    outside = home.parent
    with open_room(home, url, create=True) as room:
        registered(room, bundle_id)
        erased, _ = fill(room, bundle_id, ["erased", "P1"])
        score_exam(room, [outside / "film.dcm"], scorer_for("P1", "flagged", bundle_id), READER)
        erase(room, str(patient_of(room.ledger.entry(erased).payload)), "request", ADMINISTRATOR)
        finish_erasures(room)
        make_backup(room, outside / "backup")
        exam_opened(room, fill(room, bundle_id, ["lost"])[0], READER)
    if url is None:
        order = RestoreOrder(outside / "backup", home, accept_older=True, reason="disk failure")
        restore(order, ADMINISTRATOR)
    with open_room(home, url) as room:
        rotate_key(room, "yearly change", ADMINISTRATOR)
    with open_room(home, url) as room:
        people(room)
        numbers = fill(room, bundle_id, ["P2", "P3", "P4"])
        film = outside / "film.dcm"
        score_exam(room, [film], refusing(EmptyExam("Nothing in the exam can be scored: 0 refused.")), READER)
        score_exam(room, [film], refusing(BundleError("bundle: got none, expected one")), READER)
        anchor_checkpoint(room, outside / "administrators.txt", ADMINISTRATOR)
        room.ledger.append([_batched(n) for n in range(3)])
        for number in numbers:
            exam_opened(room, number, READER)


def _batched(number: int) -> EntryDraft:
    return EntryDraft("exam opened", {"entry": 1, "exam_id": f"exam-{number}"}, "reader-2", "radiologist")


def known_of(home: Path, url: str | None, anchors: Path, first: Path, bundle: Path | None = None) -> Known:
    """All that anybody may hold of this ledger: an anchor over three quarters of it, its head, its keys.

    Args:
        anchors: where the anchor is to be put.
        first: folder of the first key pair, as its thief kept it.
    """
    with open_room(home, url) as room:
        count = room.ledger.count()
        anchor, head = room.ledger.checkpoint(count * 3 // 4), room.ledger.checkpoint(count)
        append_note(anchors, anchor)
        stolen = load_signer(first)
        known = Known(room.public_key, anchors, anchor.size, head.note, signer=load_signer(home / KEYS), bundle=bundle)
        return replace(known, stolen=stolen, older=stolen.public)
