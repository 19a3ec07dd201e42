"""The reviews that were signed by the time a report is of: who, when, and what the signature means (21 CFR 11.50)."""

from __future__ import annotations

from typing import Final

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer

from audit.report_layout import BODY, BODY_BOLD, SMALL_QUIET, section, words
from audit.report_standing import Standing, StandingReview

_VERDICTS: Final = {"agree": "Agrees", "disagree": "Disagrees", "refer": "Refers to another reader"}


def reviews_so_far(standing: Standing) -> list[Flowable]:
    """Every review of the exam among the first N entries, or that there is none."""
    if not standing.reviews:
        none = words(f"None is among the first {standing.size} entries of the ledger.")
        return section("Reviews so far", "", [none])
    note = f"As of {standing.size} entries of the ledger, oldest first."
    return section("Reviews so far", note, [part for review in standing.reviews for part in _review(review)])


def _review(review: StandingReview) -> list[Flowable]:
    """One review: its head stays with its first words, and what is longer than a page is broken."""
    record, opinion = review.record, review.record.review
    of = f" of entry {', '.join(map(str, opinion.of))}" if opinion.of else ""
    took = f", {opinion.seconds} s on the case" if opinion.seconds is not None else ""
    head = [
        words(f"{_VERDICTS[opinion.verdict]}: {opinion.meaning}", BODY_BOLD),
        words(
            f"Entry {record.number}, {opinion.act}{of}, signed by {record.actor} ({record.role}) on "
            f"{record.time:%Y-%m-%d %H:%M:%S} UTC{took}",
            SMALL_QUIET,
        ),
    ]
    said = (("Reason", opinion.reason), ("Comment", opinion.comment), ("Misleading", ", ".join(opinion.misleading)))
    texts = [words(f"{label}: {text.strip()}", BODY) for label, text in said if text.strip()]
    for part in head:
        part.keepWithNext = True
    return [*head, *(texts or [words("No words were given.", SMALL_QUIET)]), Spacer(0, 3 * mm)]
