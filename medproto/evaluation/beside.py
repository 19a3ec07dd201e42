"""Scores of other models for the same exams, such as a black box or a published network: their AUROC, and how far the
bundle's lies above it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medproto.datasets.manifest import Manifest
from medproto.errors import InputError
from medproto.evaluation.classification import Interval, Vector, auroc, auroc_interval
from medproto.evaluation.held_out import HeldOut
from medproto.evaluation.intervals import Places, one_by_patient

COLUMNS = ("method", "exam", "score")


@dataclass(frozen=True)
class Other:
    """One method: the score of each exam by its name; more is more suspicious."""

    method: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Beside:
    """A method on the exams that the bundle scored; intervals by patient, `difference` is the bundle's AUROC less the
    method's, on the same draws of patients."""

    method: str
    exams: int
    auroc: Interval
    difference: Interval


def read_beside(path: Path, manifest: Manifest, split: str) -> tuple[Other, ...]:
    """Read a table with a row for each exam and method, methods in the order of their first rows.

    Args:
        split: whose exams are scored, each of them by every method.

    Raises:
        InputError: names the row and the column; the header is row 1.
    """
    head, *rows = _rows(path)
    exams = {row.exam for row in manifest.rows if row.split == split}
    methods: dict[str, dict[str, float]] = {}
    for number, cells in enumerate(rows, start=2):
        if len(cells) != len(COLUMNS):
            raise InputError(f"beside: row {number}: got {len(cells)} cells, expected {len(COLUMNS)}")
        named = dict(zip(head, cells, strict=True))
        scores = methods.setdefault(_method(named["method"], number), {})
        if named["exam"] not in exams:
            raise InputError(f"beside: row {number}, column exam: got none of split {split!r}, expected one")
        if named["exam"] in scores:
            raise InputError(f"beside: row {number}, column exam: got a second score of that method, expected one")
        scores[named["exam"]] = _score(named["score"], number)
    if not methods:
        raise InputError(f"beside: row 2: got none, expected a score for each exam of split {split!r}")
    for place, scores in enumerate(methods.values(), start=1):
        if len(scores) < len(exams):
            raise InputError(
                f"beside: column exam: got rows of method {place} for {len(scores)} of the {len(exams)} exams of split "
                f"{split!r}, expected one for each"
            )
    return tuple(Other(method, scores) for method, scores in methods.items())


def _rows(path: Path) -> list[list[str]]:
    """The header and what follows.

    Raises:
        InputError: it cannot be read as such a table.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    except OSError as err:
        raise InputError(f"beside: cannot read the file ({err.strerror}), expected a CSV file") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise InputError("beside: got a file that is no table in UTF-8 text, expected a CSV file") from err
    if not rows or sorted(rows[0]) != sorted(COLUMNS):
        raise InputError(f"beside: row 1: got other columns, expected {', '.join(COLUMNS)} and no more")
    return rows


def compare(held: HeldOut, others: Sequence[Other]) -> tuple[Beside, ...]:
    """Each method on the exams that the bundle scored; an exam of which no image could be read is left out of both."""
    return tuple(
        _compared(held, other.method, np.array([other.scores[exam] for exam in held.exam_names])) for other in others
    )


def _compared(held: HeldOut, method: str, scores: Vector) -> Beside:
    margins, positive, patients = held.exams.margins, held.exams.positive, held.exams.patients

    def difference(places: Places) -> float:
        chosen = positive[places]
        if not chosen.any() or chosen.all():
            return np.nan
        return auroc(margins[places], chosen) - auroc(scores[places], chosen)

    found = auroc_interval(scores, positive, patients), one_by_patient(difference, patients)
    return Beside(method, len(scores), *found)


def _method(cell: str, number: int) -> str:
    if not cell.strip() or not cell.isprintable():
        raise InputError(f"beside: row {number}, column method: got no printable name, expected one")
    return cell.strip()


def _score(cell: str, number: int) -> float:
    try:
        score = float(cell)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise InputError(f"beside: row {number}, column score: got no finite number, expected one")
    return score
