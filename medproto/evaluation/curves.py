"""Measures along the ROC and the precision-recall curve; a case is flagged at and above a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medproto.errors import TrainingError
from medproto.evaluation.classification import Vector

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """Positives and negatives flagged at each threshold, none flagged first; both shape (T,), never falling."""

    true_positives: NDArray[np.int_]
    false_positives: NDArray[np.int_]

    @property
    def sensitivity(self) -> Vector:
        """Share of positives that are flagged, shape (T,)."""
        found: Vector = self.true_positives / self.true_positives[-1]
        return found

    @property
    def specificity(self) -> Vector:
        """Share of negatives that are not flagged, shape (T,)."""
        found: Vector = 1 - self.false_positives / self.false_positives[-1]
        return found


def curve(scores: Vector, positive: Flags) -> Curve:
    """All distinct operating points of those scores, from flagging nobody to flagging everybody.

    Raises:
        TrainingError: there is no positive or no negative.
    """
    if not positive.any() or positive.all():
        raise TrainingError("operating curve: got cases of one class only, expected both")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits, alarms = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    return Curve(np.concatenate([[0], hits]), np.concatenate([[0], alarms]))


def average_precision(points: Curve) -> float:
    """Area under the precision-recall curve as a step function: precision at each gain in recall, not interpolated."""
    flagged = points.true_positives[1:] + points.false_positives[1:]
    precision = points.true_positives[1:] / flagged
    return float((np.diff(points.sensitivity) * precision).sum())


def sensitivity_at(points: Curve, specificity: float) -> float:
    """The highest sensitivity of an observed point with at least that specificity; nothing is interpolated."""
    return float(points.sensitivity[points.specificity >= specificity - 1e-12].max())


def specificity_at(points: Curve, sensitivity: float) -> float:
    """The highest specificity of an observed point with at least that sensitivity; nothing is interpolated."""
    return float(points.specificity[points.sensitivity >= sensitivity - 1e-12].max())
