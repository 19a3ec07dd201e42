"""95 % intervals that respect patients: bootstrap by patient, DeLong's variance, shares of clustered cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from medproto.errors import TrainingError
from medproto.evaluation.classification import Interval, Vector, auroc, share_interval, wilson

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
#: Quantile of the normal distribution that leaves 2.5 % above it.
NORMAL_975 = 1.959964
DRAWS = 1000


def by_patient(
    measure: Callable[[Places], Sequence[float]], patients: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> list[Interval | None]:
    """Values of all cases with percentile bootstrap intervals; patients are drawn, with all of their cases.

    Args:
        measure: from places of cases (repeated as drawn) to values, NaN where one is not defined.

    Returns:
        One for each value; None where it is not defined on all cases, or in no draw.
    """
    _, group, counts = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    order, starts = np.argsort(group, kind="stable"), np.cumsum(counts) - counts
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(draws):
        chosen = generator.integers(len(counts), size=len(counts))
        lengths = counts[chosen]
        # Each drawn patient's cases lie one behind the other in `order`, from its start on.
        shifts = np.repeat(starts[chosen] - np.cumsum(lengths) + lengths, lengths)
        rows.append(measure(order[shifts + np.arange(len(shifts))]))
    drawn = np.array(rows, dtype=np.float64)
    found: list[Interval | None] = []
    for value, column in zip(measure(np.arange(len(patients))), drawn.T, strict=True):
        defined = column[~np.isnan(column)]
        if np.isnan(value) or not len(defined):
            found.append(None)
        else:
            low, high = np.percentile(defined, [2.5, 97.5])
            # A measure that needs many different cases is lower in nearly all draws, which repeat some and lack others.
            found.append(Interval(float(value), min(float(low), float(value)), max(float(high), float(value))))
    return found


def one_by_patient(measure: Callable[[Places], float], patients: Sequence[str]) -> Interval:
    """The same of one measure that is defined on all cases.

    Raises:
        TrainingError: it is not.
    """
    found = by_patient(lambda places: [measure(places)], patients)[0]
    if found is None:
        raise TrainingError("interval by patient: got a measure without a value, expected one that these cases define")
    return found


def mean_by_patient(values: Vector, patients: Sequence[str]) -> Interval:
    """Mean of N values with its bootstrap interval by patient; N is at least 1."""
    return one_by_patient(lambda places: float(values[places].mean()), patients)


def delong_interval(scores: Vector, positive: Flags) -> Interval:
    """AUROC with DeLong's interval (DeLong et al. 1988), for independent cases: each patient is one case.

    Raises:
        TrainingError: fewer than two cases of a class.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if min(positives, negatives) < 2:
        raise TrainingError(f"DeLong: got {positives} positives and {negatives} negatives, expected two of each")
    together, ranks = rankdata(scores), np.empty(len(scores))
    for group in (positive, ~positive):
        ranks[group] = rankdata(scores[group])
    # Share of the other class that each case outranks, ties counting half.
    above = (together - ranks) / np.where(positive, negatives, positives)
    spread = np.var(above[positive], ddof=1) / positives + np.var(above[~positive], ddof=1) / negatives
    value, half = auroc(scores, positive), NORMAL_975 * float(np.sqrt(spread))
    return Interval(value, max(value - half, 0.0), min(value + half, 1.0))


def clustered_share(hits: Flags, patients: Sequence[str]) -> Interval:
    """A share with its Wilson interval at the effective number of cases, which is lower where a patient's cases agree.

    The design effect is that of the ratio estimator over patients; after Korn and Graubard 1998. Where all cases agree
    the number of patients counts.

    Raises:
        TrainingError: there is no case.
    """
    total = len(hits)
    names, group, counts = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    if not total or len(names) == total:
        return share_interval(int(hits.sum()), total)
    share = float(hits.mean())
    if share in (0.0, 1.0) or len(names) == 1:
        return wilson(share, len(names))
    residuals = np.bincount(group, weights=hits) - share * counts
    spread = len(names) / (len(names) - 1) * float((residuals**2).sum()) / total**2
    effect = max(spread / (share * (1 - share) / total), 1.0)
    return wilson(share, max(total / effect, 1.0))
