"""A patient with a name, to be erased."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audit.room import Actor, BundleScorer, Room
from audit.service import Opinion, prediction, review, score_exam
from medproto.records import Prediction, Pseudonymise, Scored
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored

NAME, WORDS = "LOVELACE-ADA-1815", "A scar, says Mrs Lovelace"
ADMINISTRATOR = Actor("admin", "administrator")


def scored_as(patient_id: str) -> BundleScorer:
    """A scorer whose exam has the pseudonyms of this patient."""

    def score(paths: Sequence[Path], pseudonymise: Pseudonymise) -> Scored:
        scored = make_scored(exam=patient_id)
        ids = {"patient_id": pseudonymise(patient_id, "patient", patient_id)}
        ids["exam_id"] = pseudonymise(patient_id, "exam", "1.2.3")
        return Scored(Prediction.model_validate(scored.prediction.model_dump() | ids), scored.pictures)

    return BundleScorer(BUNDLE_ID, "factory-phantom", score)


def score_ada(room: Room) -> int:
    """Score and review an exam of the patient to be erased; its entry's number."""
    film = room.home.parent / "ada.dcm"
    film.write_bytes(b"film")
    number = score_exam(room, [film], scored_as(NAME), READER).number
    review(room, number, Opinion(verdict="disagree", reason=WORDS, comment=WORDS), READER)
    return number


def patient_behind(room: Room, number: int) -> str:
    """Pseudonym of the patient of a prediction."""
    return prediction(room, number)[1].patient_id
