"""From margin to probability: a monotone logistic map fitted on validation exams (Platt 1999)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from medproto.records import Record

#: The slope is kept above this, so that a higher margin never means a lower probability.
SMALLEST_SLOPE = 1e-6


class Calibration(Record):
    """probability = 1 / (1 + exp(-(slope * margin + intercept))), at this prevalence."""

    slope: float
    intercept: float
    prevalence: float

    def probability(self, margin: float) -> float:
        """Calibrated probability of the positive class."""
        return float(expit(self.slope * margin + self.intercept))


def fit_calibration(margins: NDArray[np.float64], positive: NDArray[np.bool_]) -> Calibration:
    """Platt's fit with his smoothed targets, which keep separable data finite."""
    positives, negatives = positive.sum(), (~positive).sum()
    targets = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    spread = float(margins.std()) or 1.0

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = parameters[0] / spread * margins + parameters[1]
        return float((np.logaddexp(0, scaled) - targets * scaled).mean())

    bounds = [(SMALLEST_SLOPE * spread, None), (None, None)]
    slope, intercept = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=bounds).x
    return Calibration(slope=float(slope / spread), intercept=float(intercept), prevalence=float(positive.mean()))
