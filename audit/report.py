"""The report of one entry: a PDF made from the ledger and the evidence store alone.

Guarantees of `render_report`:

1. It is a function of the entry, the checkpoint and the stored pictures: no model, no clock, no font of the machine;
   the same input gives the same bytes.
2. What it shows is what the entry holds: a prediction that differs from the entry's own is refused.
3. For an exam without a decision it holds no score, no weight, no probability.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydantic import ValidationError

from audit import service
from audit.entries import Entry
from audit.payloads import Refusal
from audit.report_layout import Running, build_pdf, register_fonts
from audit.report_pages import all_prototypes, evidence, inputs, model, summary
from audit.report_proof import proof_page, refusal_footer, refusal_page
from audit.room import Room
from audit.signing import Checkpoint
from medproto.errors import ReportError
from medproto.records import Prediction

__all__ = ["render_refusal", "render_report", "report_for"]


def render_report(entry: Entry, prediction: Prediction, pictures: Callable[[str], bytes], proof: Checkpoint) -> bytes:
    """The PDF of one scored exam.

    Args:
        entry: the ledger entry of kind prediction.
        prediction: the record it holds.
        pictures: SHA-256 -> bytes from the evidence store.
        proof: the signed checkpoint that covers the entry.

    Raises:
        ReportError: the entry is of another kind or holds another prediction.
        EvidenceMissing: a picture is absent or altered.
    """
    if _recorded(entry) != prediction:  # guarantee 2
        raise ReportError(f"entry {entry.number}: got a prediction that is not the one it holds, expected its own")
    register_fonts()
    story = [
        *summary(entry, prediction, pictures),
        *evidence(prediction, pictures),
        *all_prototypes(prediction),
        *inputs(prediction),
        *model(prediction),
        *proof_page(entry, prediction, proof),
    ]
    running = Running(f"Exam {prediction.exam_id}", _footer(entry), prediction.synthetic)
    return build_pdf(story, running, f"Exam {prediction.exam_id}, entry {entry.number}")


def render_refusal(entry: Entry, proof: Checkpoint) -> bytes:
    """The one-page PDF of an exam of which no image could be scored.

    Raises:
        ReportError: the entry is no refusal.
    """
    if entry.kind != "refusal":
        raise ReportError(f"entry {entry.number}: got an entry of kind {entry.kind!r}, expected a refusal")
    try:
        refusal = Refusal.model_validate(entry.payload)
    except ValidationError as err:
        raise ReportError(f"entry {entry.number}: its refusal cannot be read") from err
    register_fonts()
    running = Running(refusal_footer(refusal.refused), _footer(entry), synthetic=False)
    return build_pdf(refusal_page(entry, refusal, proof), running, f"Refused exam, entry {entry.number}")


def report_for(room: Room, number: int) -> bytes:
    """The PDF of one entry of a room: a scored exam or a refused one.

    Raises:
        EntryNotFound: no such entry.
        ReportError: an entry of another kind.
        EvidenceMissing: a picture is absent or altered.
    """
    entry = room.ledger.entry(number)
    proof = service.checkpoint_of(room, number)
    if entry.kind == "refusal":
        return render_refusal(entry, proof)
    return render_report(entry, _recorded(entry), partial(service.picture, room, entry), proof)


def _recorded(entry: Entry) -> Prediction:
    """The prediction an entry holds."""
    if entry.kind != "prediction":
        raise ReportError(f"entry {entry.number}: got an entry of kind {entry.kind!r}, expected a prediction")
    try:
        return Prediction.model_validate(entry.payload.get("prediction"))
    except ValidationError as err:
        raise ReportError(f"entry {entry.number}: its prediction cannot be read, expected a whole record") from err


def _footer(entry: Entry) -> str:
    return f"Ledger entry {entry.number}, leaf {entry.leaf[:16]}…"
