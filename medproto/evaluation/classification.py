"""Classification measures with intervals by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from medproto.errors import TrainingError
from medproto.records import OperatingPoint

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A measured value with its 95 % interval; who measures says how the interval came about."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def auroc(scores: Vector, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Raises:
        TrainingError: one of the two groups is empty.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise TrainingError(f"AUROC: got {positives} positives and {negatives} negatives, expected some of both")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auroc_interval(
    scores: Vector, positive: NDArray[np.bool_], patients: Sequence[str], seed: int = 0, draws: int = 2000
) -> Interval:
    """AUROC with its percentile bootstrap interval; patients are drawn, not images."""
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    members = [np.flatnonzero(group == i) for i in range(len(names))]
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        index = np.concatenate([members[i] for i in generator.integers(len(names), size=len(names))])
        if positive[index].any() and not positive[index].all():
            values.append(auroc(scores[index], positive[index]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(auroc(scores, positive), float(low), float(high))


def share_interval(hits: int, total: int) -> Interval:
    """A share with its 95 % Wilson interval."""
    if not total:
        raise TrainingError("share: got no case, expected at least one")
    return wilson(hits / total, total)


def wilson(share: float, total: float) -> Interval:
    """A share with its 95 % Wilson interval; `total` may be an effective number of cases, above 0."""
    z, p = 1.959964, share
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * float(np.sqrt(p * (1 - p) / total + z * z / (4 * total * total))) / (1 + z * z / total)
    # Rounding must not put the share itself outside.
    return Interval(p, max(min(centre - half, p), 0.0), min(max(centre + half, p), 1.0))


def choose_operating_point(margins: Vector, positive: NDArray[np.bool_], sensitivity: float) -> OperatingPoint:
    """The highest margin at and above which at least that share of the positives lies, lowered as far as no further
    negative is flagged for it; chosen on validation exams.

    Raises:
        TrainingError: there is no positive or no negative.
    """
    if not positive.any() or positive.all():
        raise TrainingError("operating point: got validation exams of one class only, expected both")
    falling = np.sort(margins[positive])[::-1]
    threshold = falling[int(np.ceil(sensitivity * len(falling))) - 1]
    spared = margins[~positive & (margins < threshold)]
    threshold = margins[positive & (margins > (spared.max() if len(spared) else -np.inf))].min()
    # Half way down to the next lower margin, so that rounding on another processor does not unflag the case that set
    # it.
    lower = margins[margins < threshold]
    point = float((threshold + lower.max()) / 2) if len(lower) else float(threshold)
    reached, specificity = at_point(margins, positive, point)
    rule = f"sensitivity of at least {sensitivity:.0%} on {len(margins)} validation exams"
    return OperatingPoint(margin=point, rule=rule, sensitivity=reached, specificity=specificity)


def at_point(margins: Vector, positive: NDArray[np.bool_], point: float) -> tuple[float, float]:
    """Sensitivity and specificity of flagging at and above that margin."""
    flagged = margins >= point
    return float(flagged[positive].mean()), float((~flagged[~positive]).mean())
