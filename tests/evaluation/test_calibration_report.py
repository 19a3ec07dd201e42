"""Calibration on unseen cases: known truths are found again, and the fit is that of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from medproto.errors import TrainingError
from medproto.evaluation.calibration_report import (
    CalibrationReport,
    bins_of,
    calibration_error,
    calibration_report,
    error_if_perfect,
)


def drawn(slope: float, shift: float, count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and outcomes whose log-odds are slope * log-odds + shift."""
    generator = np.random.default_rng(4)
    odds = generator.normal(-0.5, 1.5, count)
    return expit(odds), generator.random(count) < expit(slope * odds + shift)


def report_of(probability: np.ndarray, positive: np.ndarray) -> CalibrationReport:
    """The report where each patient is one case."""
    return calibration_report(probability, positive, [str(i) for i in range(len(positive))])


def test_slope_is_that_of_an_unpenalised_fit() -> None:
    probability, positive = drawn(0.6, 0.3, 500)
    fit = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(logit(probability)[:, None], positive)
    found = report_of(probability, positive)
    assert found.slope is not None
    assert found.slope.value == pytest.approx(float(fit.coef_[0, 0]), abs=1e-4)


@pytest.mark.parametrize("slope, shift", [(1.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 1.0)])
def test_intervals_hold_the_truth_and_no_other(slope: float, shift: float) -> None:
    found = report_of(*drawn(slope, shift))
    assert found.slope is not None
    assert found.slope.low < slope < found.slope.high
    assert (found.slope.low < 1 < found.slope.high) == (slope == 1)
    if slope == 1:
        assert found.intercept.low < shift < found.intercept.high
        assert (found.intercept.low < 0 < found.intercept.high) == (shift == 0)


def test_copies_under_one_patient_do_not_narrow_the_intervals() -> None:
    probability, positive = drawn(1.0, 0.0, 300)
    names = [str(i) for i in range(300)]
    once = calibration_report(probability, positive, names)
    copied = calibration_report(np.tile(probability, 3), np.tile(positive, 3), names * 3)
    assert once.slope is not None
    assert copied.slope is not None
    assert (copied.slope.low, copied.slope.high) == pytest.approx((once.slope.low, once.slope.high), rel=1e-6)
    assert (copied.intercept.low, copied.intercept.high) == pytest.approx((once.intercept.low, once.intercept.high))


def test_brier_and_ece_by_hand() -> None:
    probability, positive = np.array([0.2, 0.2, 0.8, 0.8]), np.array([False, True, True, True])
    found = report_of(probability, positive)
    assert found.brier.value == pytest.approx((0.04 + 0.64 + 0.04 + 0.04) / 4)
    assert found.brier_of_prevalence == pytest.approx(0.75 * 0.25)
    # Bins at 0.2 and 0.8: half positive against 0.2, all against 0.8.
    bins = np.array([0, 0, 1, 1])
    assert calibration_error(probability, positive[None].astype(float), bins)[0] == pytest.approx((0.3 + 0.2) / 2)


def test_bins_have_equal_counts_and_keep_ties_together() -> None:
    assert np.bincount(bins_of(np.linspace(0.01, 0.99, 100))).tolist() == [10] * 10
    tied = bins_of(np.repeat([0.1, 0.2, 0.9], [60, 20, 20]))
    assert [len(set(part.tolist())) for part in np.split(tied, [60, 80])] == [1, 1, 1]


def test_a_perfect_model_has_an_ece_above_zero_and_within_its_limits() -> None:
    probability, positive = drawn(1.0, 0.0, 200)
    found = report_of(probability, positive)
    assert 0 < found.ece_if_perfect[0] < found.ece < found.ece_if_perfect[1]
    worse = report_of(*drawn(0.2, 1.0, 200))
    assert worse.ece > worse.ece_if_perfect[1]
    many = error_if_perfect(np.tile(probability, 16), bins_of(np.tile(probability, 16)))
    assert many[1] < 0.4 * found.ece_if_perfect[1]


def test_separated_classes_have_no_slope() -> None:
    found = report_of(np.array([0.1, 0.2, 0.7, 0.9]), np.array([False, False, True, True]))
    assert found.slope is None
    assert np.isfinite([found.intercept.low, found.intercept.high]).all()


def test_certain_and_wrong_is_finite() -> None:
    found = report_of(np.array([0.0, 1.0, 0.3, 0.6]), np.array([True, False, False, True]))
    assert found.slope is not None
    assert np.isfinite(found.slope.value)
    assert found.slope.value < 0


def test_calibration_of_one_class_is_an_error() -> None:
    with pytest.raises(TrainingError, match="calibration: got cases of one class only, expected both"):
        report_of(np.array([0.1, 0.2]), np.array([False, False]))
