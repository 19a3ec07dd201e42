"""Whether probabilities mean what they say, on cases that no fit has seen.

Slope and intercept after Cox 1958; Brier 1950; the expected calibration error (ECE) after Naeini et al. 2015, in bins
of equal counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from medproto.errors import TrainingError
from medproto.evaluation.classification import Interval, Vector
from medproto.evaluation.intervals import NORMAL_975, Flags, clustered_share, mean_by_patient

#: Bins of the reliability plot and of the ECE, and the fewest cases that a bin is made for.
BINS = 10
SMALLEST_BIN = 5
#: Simulated outcomes of a perfect model.
SIMULATIONS = 2000
#: Probabilities are kept this far from 0 and 1, where their log-odds are not finite.
EDGE = 1e-9
NEWTON_STEPS = 50


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases of about the same probability: their mean probability and the share that is positive."""

    predicted: float
    observed: Interval
    cases: int


@dataclass(frozen=True)
class CalibrationReport:
    """Calibration of probabilities on unseen cases.

    Args:
        slope: of the outcome's log-odds on those of the probability; 1 is ideal, less is overconfident. None where the
            classes are separated, and no slope is the likeliest.
        intercept: of the log-odds at slope 1; 0 is ideal, less means that probabilities are too high.
        brier: mean squared difference of probability and outcome.
        brier_of_prevalence: the same, of always saying the share of positives.
        ece: mean difference of predicted and observed share over the bins, weighted by cases.
        ece_if_perfect: limits within which 95 % of perfect models have their ECE on so many cases.
    """

    slope: Interval | None
    intercept: Interval
    brier: Interval
    brier_of_prevalence: float
    ece: float
    ece_if_perfect: tuple[float, float]
    bins: tuple[ReliabilityBin, ...]


def calibration_report(probability: Vector, positive: Flags, patients: Sequence[str]) -> CalibrationReport:
    """Calibration of probabilities (N,) against outcomes (N,), with intervals by patient.

    Raises:
        TrainingError: only one class is there.
    """
    if not positive.any() or positive.all():
        raise TrainingError("calibration: got cases of one class only, expected both")
    outcome, odds = positive.astype(np.float64), logit(np.clip(probability, EDGE, 1 - EDGE))
    squares = (probability - outcome) ** 2
    bins = bins_of(probability)
    groups = [np.flatnonzero(bins == place) for place in range(int(bins.max()) + 1)]
    return CalibrationReport(
        slope=_slope(odds, outcome, patients),
        intercept=_coefficient((np.ones((len(odds), 1)), odds), outcome, patients),
        brier=mean_by_patient(squares, patients),
        brier_of_prevalence=float(positive.mean() * (1 - positive.mean())),
        ece=float(calibration_error(probability, outcome[None], bins)[0]),
        ece_if_perfect=error_if_perfect(probability, bins),
        bins=tuple(
            _bin(probability[group], positive[group], [patients[i] for i in group.tolist()]) for group in groups
        ),
    )


def bins_of(probability: Vector) -> NDArray[np.intp]:
    """Bin of each case, numbered from 0: bins of about equal counts; equal probabilities share a bin."""
    count = int(np.clip(len(probability) // SMALLEST_BIN, 1, BINS))
    edges = np.quantile(probability, np.arange(1, count) / count)
    _, bins = np.unique(np.searchsorted(edges, probability, side="left"), return_inverse=True)
    return bins


def calibration_error(probability: Vector, outcomes: NDArray[np.float64], bins: NDArray[np.intp]) -> Vector:
    """ECE of each row of outcomes (D, N), shape (D,): sum over bins of |sum of (outcome - probability)| / N."""
    member = np.eye(int(bins.max()) + 1)[bins]
    errors: Vector = np.abs((outcomes - probability) @ member).sum(axis=1) / len(probability)
    return errors


def error_if_perfect(probability: Vector, bins: NDArray[np.intp], seed: int = 0) -> tuple[float, float]:
    """Limits that hold 95 % of the ECE where every case is positive with its probability, independently."""
    generator = np.random.default_rng(seed)
    drawn = [
        calibration_error(probability, (generator.random((100, len(probability))) < probability).astype(float), bins)
        for _ in range(SIMULATIONS // 100)
    ]
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])
    return float(low), float(high)


def _bin(probability: Vector, positive: Flags, patients: Sequence[str]) -> ReliabilityBin:
    return ReliabilityBin(float(probability.mean()), clustered_share(positive, patients), len(positive))


def _slope(odds: Vector, outcome: Vector, patients: Sequence[str]) -> Interval | None:
    """Slope of the outcome on the log-odds; None where these separate the classes or are all alike."""
    high, low = odds[outcome > 0], odds[outcome == 0]
    if high.min() >= low.max() or low.min() >= high.max():
        return None
    return _coefficient((np.column_stack([odds, np.ones_like(odds)]), np.zeros_like(odds)), outcome, patients)


def _coefficient(design: tuple[NDArray[np.float64], Vector], outcome: Vector, patients: Sequence[str]) -> Interval:
    """First coefficient of a logistic regression by Newton's method, its variance robust to cases of one patient.

    Args:
        design: regressors (N, F), and an offset (N,) of the log-odds.
    """
    regressors, offset = design
    weights = np.zeros(regressors.shape[1])
    for _ in range(NEWTON_STEPS):
        step = np.linalg.solve(
            _information(regressors, offset, weights), regressors.T @ _left(design, outcome, weights)
        )
        # Half a step until the likelihood rises: far from the optimum a whole one may overshoot.
        while _likelihood(design, outcome, weights + step) < _likelihood(design, outcome, weights) - 1e-9:
            step = step / 2
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    _, group = np.unique(np.asarray(patients), return_inverse=True)
    scores = np.zeros((int(group.max()) + 1, len(weights)))
    np.add.at(scores, group, regressors * _left(design, outcome, weights)[:, None])
    bread = np.linalg.inv(_information(regressors, offset, weights))
    variance = bread @ (scores.T @ scores) @ bread * len(scores) / max(len(scores) - 1, 1)
    value, half = float(weights[0]), NORMAL_975 * float(np.sqrt(variance[0, 0]))
    return Interval(value, value - half, value + half)


def _left(design: tuple[NDArray[np.float64], Vector], outcome: Vector, weights: Vector) -> Vector:
    """What the fit leaves of the outcomes."""
    left: Vector = outcome - expit(design[0] @ weights + design[1])
    return left


def _information(regressors: NDArray[np.float64], offset: Vector, weights: Vector) -> NDArray[np.float64]:
    fitted = expit(regressors @ weights + offset)
    found: NDArray[np.float64] = (regressors * (fitted * (1 - fitted))[:, None]).T @ regressors
    return found


def _likelihood(design: tuple[NDArray[np.float64], Vector], outcome: Vector, weights: Vector) -> float:
    odds = design[0] @ weights + design[1]
    return float((outcome * odds - np.logaddexp(0, odds)).sum())
