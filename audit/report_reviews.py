"""The reviews that were signed by the time a report is of: who, when, and what the signature means (21 CFR 11.50)."""

from __future__ import annotations

from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from audit.report_layout import Cell, section, table, words
from audit.report_standing import Standing, StandingReview

_VERDICTS = {"agree": "Agrees", "disagree": "Disagrees", "refer": "Refers to another reader"}


def reviews_so_far(standing: Standing) -> list[Flowable]:
    """Every review of the exam among the first N entries, or that there is none."""
    if not standing.reviews:
        none = words(f"None is among the first {standing.size} entries of the ledger.")
        return section("Reviews so far", "", [none])
    head: list[Cell] = [
        "Entry",
        "Signed by",
        "When (UTC)",
        "Verdict and meaning",
        "Reason, comment, misleading prototypes",
    ]
    rows = [head, *(_row(review) for review in standing.reviews)]
    note = f"As of {standing.size} entries of the ledger, oldest first."
    return section("Reviews so far", note, [table(rows, [w * mm for w in (12, 34, 30, 42, 60)])])


def _row(review: StandingReview) -> list[Cell]:
    record, opinion = review.record, review.record.review
    said = [("Reason", opinion.reason), ("Comment", opinion.comment), ("Misleading", ", ".join(opinion.misleading))]
    return [
        str(record.number),
        f"{record.actor} ({record.role})",
        f"{record.time:%Y-%m-%d %H:%M:%S}",
        f"{_VERDICTS[opinion.verdict]}: {opinion.meaning}",
        " ".join(f"{label}: {text.rstrip('.')}." for label, text in said if text.strip()) or "none given",
    ]
