"""The report of one entry: a PDF made from the ledger and the evidence store alone.

Guarantees of `render_report`:

1. It is a function of what the ledger held of the entry at one size, and of the stored pictures and words: no model,
   no clock, no font of the machine; the same input gives the same bytes.
2. What it shows is what the entries hold: nothing else is handed to it, but an identity for the hospital's own use.
3. For an exam without a decision it holds no score, no weight, no probability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from pydantic import ValidationError

from audit import service
from audit.entries import Entry
from audit.payloads import Refusal
from audit.report_archival import archived
from audit.report_attachment import attachment
from audit.report_fonts import register_fonts
from audit.report_identity import Identity
from audit.report_layout import Running, build_pdf
from audit.report_model import model
from audit.report_pages import all_prototypes, evidence, inputs, summary
from audit.report_proof import proof_page, refusal_footer, refusal_page
from audit.report_reviews import reviews_so_far
from audit.report_standing import Standing, standing
from audit.report_words import SYNTHETIC_MODEL, synthetic_words
from audit.room import Room
from medproto.errors import ReportError
from medproto.records import Prediction

__all__ = ["render", "render_refusal", "render_report", "report_for", "set_report"]


def render_report(
    held: Standing,
    pictures: Callable[[str], bytes],
    identity: Identity | None = None,
    software: Mapping[str, str] | None = None,
) -> bytes:
    """The PDF of one scored exam, with `audit.json` attached; see `set_report` and `attachment`."""
    pages = set_report(held, pictures, identity)
    return archived(pages, held.time, attachment(held, _recorded(held.entry), identity, software))


def set_report(held: Standing, pictures: Callable[[str], bytes], identity: Identity | None = None) -> bytes:
    """The pages of one scored exam.

    Args:
        held: what the ledger held of an entry of kind prediction, and of its reviews.
        pictures: SHA-256 -> bytes from the evidence store.
        identity: of the patient, for the hospital's own use; None for a report that leaves it.

    Raises:
        ReportError: the entry is of another kind.
        EvidenceMissing: a picture is absent or altered.
    """
    prediction = _recorded(held.entry)
    register_fonts()
    story = [
        *summary(held, prediction, pictures, identity),
        *evidence(prediction, pictures),
        *all_prototypes(prediction),
        *inputs(prediction),
        *reviews_so_far(held),
        *model(held, prediction),
        *proof_page(held, prediction),
    ]
    patient = ", ".join(identity.words) if identity else ""
    running = Running(prediction.exam_id, _footer(held), synthetic_words(prediction), patient)
    return build_pdf(story, running, f"Exam {prediction.exam_id}, entry {held.entry.number}")


def render_refusal(held: Standing, software: Mapping[str, str] | None = None) -> bytes:
    """The PDF of an exam of which no image could be scored, with `audit.json` attached; see `attachment`.

    Raises:
        ReportError: the entry is no refusal.
    """
    entry = held.entry
    if entry.kind != "refusal":
        raise ReportError(f"entry {entry.number}: got an entry of kind {entry.kind!r}, expected a refusal")
    try:
        refusal = Refusal.model_validate(entry.payload)
    except ValidationError as err:
        raise ReportError(f"entry {entry.number}: its refusal cannot be read") from err
    register_fonts()
    running = Running(refusal_footer(refusal.refused), _footer(held), SYNTHETIC_MODEL if refusal.synthetic else "")
    pages = build_pdf(refusal_page(held, refusal), running, f"Refused exam, entry {entry.number}")
    return archived(pages, held.time, attachment(held, None, None, software))


def report_for(
    room: Room,
    number: int,
    at: int | None = None,
    identity: Identity | None = None,
    software: Mapping[str, str] | None = None,
) -> bytes:
    """The PDF of one entry of a room, a scored exam or a refused one, as of a log of `at` entries; of now, where None.

    Raises:
        EntryNotFound: no such entry, or no commit ended at that size.
        ReportError: an entry of another kind, one that came later, or an identity for a refusal, which has no patient.
        EvidenceMissing: a picture is absent or altered.
    """
    held = standing(room, number, at)
    return render(held, partial(service.picture, room, held.entry), identity, software)


def render(
    held: Standing,
    pictures: Callable[[str], bytes],
    identity: Identity | None,
    software: Mapping[str, str] | None,
) -> bytes:
    """The PDF of either kind; ReportError for an identity with a refusal, which names no patient."""
    if held.entry.kind != "refusal":
        return render_report(held, pictures, identity, software)
    if identity is not None:
        raise ReportError(f"entry {held.entry.number}: got an identity for a refusal, which names no patient")
    return render_refusal(held, software)


def _recorded(entry: Entry) -> Prediction:
    """The prediction an entry holds."""
    if entry.kind != "prediction":
        raise ReportError(f"entry {entry.number}: got an entry of kind {entry.kind!r}, expected a prediction")
    try:
        return Prediction.model_validate(entry.payload.get("prediction"))
    except ValidationError as err:
        raise ReportError(f"entry {entry.number}: its prediction cannot be read, expected a whole record") from err


def _footer(held: Standing) -> str:
    return f"Ledger entry {held.entry.number} of {held.size}, leaf {held.entry.leaf[:16]}…"
