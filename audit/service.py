"""The only way to a prediction: intent, score, evidence, COMMIT, and only then somebody sees it.

Guarantees of `score_exam`:

1. The intent is committed before the scorer runs.
2. Every picture the prediction names is in the evidence store, with the right bytes, before the entry names it.
3. The result (prediction, refusal or failure) is committed before it is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audit.entries import Entry
from audit.queries import (
    LedgerFilter,
    LedgerPage,
    ReviewRecord,
    WorklistItem,
    checkpoint_of,
    ledger_page,
    picture,
    prediction,
    refusals,
    reviews,
    worklist,
)
from audit.payloads import Opinion
from audit.room import Actor, BundleScorer, Room, Scorer, open_room
from audit.verification import Verification
from medproto.records import Record

__all__ = [
    "Actor",
    "BundleScorer",
    "LedgerFilter",
    "LedgerPage",
    "Opinion",
    "ReviewRecord",
    "Room",
    "Scorer",
    "WorklistItem",
    "checkpoint_of",
    "exam_opened",
    "find_prediction",
    "ledger_page",
    "open_room",
    "picture",
    "prediction",
    "refusals",
    "register",
    "report_exported",
    "review",
    "reviews",
    "score_exam",
    "verify_room",
    "worklist",
]


def score_exam(room: Room, paths: Sequence[Path], scorer: BundleScorer, actor: Actor) -> Entry:
    """Score one exam and return its committed entry: of kind prediction, refusal or failure.

    An exam with nothing left to score is a refusal, an error of medproto's own a failure; both are returned, for the
    batch goes on. Any other exception is logged by its class name alone and raised again.
    """
    raise NotImplementedError


def find_prediction(room: Room, file_digests: Sequence[str], bundle_id: str) -> Entry | None:
    """Newest prediction of exactly these files (SHA-256, in any order) by that bundle, if there is one."""
    raise NotImplementedError


def register(room: Room, payload: Record, actor: Actor) -> Entry:
    """Write down a data set, a training run, a bundle or an evaluation (see `audit.payloads`)."""
    raise NotImplementedError


def review(room: Room, number: int, opinion: Opinion, actor: Actor) -> Entry:
    """Sign a verdict on a prediction; a verdict of disagree needs a reason, else InputError."""
    raise NotImplementedError


def exam_opened(room: Room, number: int, actor: Actor) -> Entry:
    """Write down that somebody opened a prediction."""
    raise NotImplementedError


def report_exported(room: Room, number: int, pdf_digest: str, actor: Actor) -> Entry:
    """Write down that a report of a prediction left the room, with the digest of its bytes."""
    raise NotImplementedError


def verify_room(room: Room) -> Verification:
    """Verify the ledger and its evidence against the room's own public key and remembered head."""
    raise NotImplementedError
