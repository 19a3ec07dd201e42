"""What a report's attachment holds, read back and proved: the entry, its reviews and its model's, without a ledger."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from audit.encryption import unsalted
from audit.entries import Entry, decode
from audit.merkle import verify_inclusion
from audit.payloads import Review
from audit.proofs import Proof
from audit.queries import ReviewRecord
from audit.report_standing import Origin, Proved, Standing, StandingReview
from audit.signing import Checkpoint, PublicKey
from medproto.errors import AuditError, ReportError


def standing_of(attached: bytes, checkpoint: Checkpoint) -> Standing:
    """What an attachment says that the ledger held, proved against a checkpoint whose signature was checked.

    Raises:
        ReportError: an entry in it does not hash to its leaf, is not under the checkpoint, or is not readable; or the
            words of a review are not those whose digest the review holds.
    """
    try:
        fields = json.loads(attached)
        entry, path = _proved(fields["proof"], checkpoint)
        reviews = tuple(_review(part, checkpoint) for part in fields["reviews"])
        origin = Origin(**{name: Proved(*_proved(part, checkpoint)) for name, part in fields["origin"].items()})
        if not _belongs(entry, reviews, origin):
            raise ReportError("attachment: it holds a review of another exam, or another model's card")
        keys = tuple(map(PublicKey.from_vkey, fields["proof"]["vkeys"]))
        return Standing(Proof(entry, path, checkpoint, None, (), keys), reviews, origin)
    except ReportError:
        raise
    except (AuditError, ValidationError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as err:
        raise ReportError("attachment: what it holds is not proved by its checkpoint") from err


def _belongs(entry: Entry, reviews: tuple[StandingReview, ...], origin: Origin) -> bool:
    """Whether the reviews are of this entry, and the model's entries of the bundle that scored it."""
    bundle_id = entry.payload["prediction"]["bundle_id"] if entry.kind == "prediction" else None
    held = {name: getattr(origin, name) for name in ("bundle", "training", "dataset", "evaluation")}
    found = {name: proved.entry for name, proved in held.items() if proved is not None}
    named = [found[name].payload["bundle_id"] == bundle_id for name in ("bundle", "evaluation") if name in found]
    for name, above, key in (("training", "bundle", "training_entry"), ("dataset", "training", "dataset_entry")):
        if name in found:
            named.append(above in found and found[above].payload[key] == found[name].number)
    return all(named) and all(review.record.review.entry == entry.number for review in reviews)


def _proved(part: dict[str, Any], checkpoint: Checkpoint) -> tuple[Entry, tuple[bytes, ...]]:
    entry = decode(part["entry"].encode("utf-8"))
    path = tuple(bytes.fromhex(node) for node in part["inclusion"])
    leaf, root = bytes.fromhex(entry.leaf), bytes.fromhex(checkpoint.root)
    if not verify_inclusion(leaf, entry.number - 1, checkpoint.size, path, root):
        raise ReportError(f"attachment: entry {entry.number} is not under its checkpoint")
    return entry, path


def _review(part: dict[str, Any], checkpoint: Checkpoint) -> StandingReview:
    entry, path = _proved(part, checkpoint)
    signed, words = Review.model_validate(entry.payload), part.get("words")
    if signed.words is not None:
        data = str(words).encode("utf-8")
        if hashlib.sha256(data).hexdigest() != signed.words:
            raise ReportError(f"attachment: the words of review {entry.number} are not those that were signed")
        signed = signed.model_copy(update=unsalted(data))
    record = ReviewRecord(entry.number, entry.actor, entry.role, entry.time, signed)
    return StandingReview(record, entry, path, words)
