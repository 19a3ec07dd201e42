"""From margin to probability: monotone, finite on separable data, true to what it was fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from medproto.evaluation.calibration import SMALLEST_SLOPE, Calibration, fit_calibration


def sample(count: int = 4000, slope: float = 1.5, intercept: float = -1.0) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose classes follow a known logistic curve."""
    generator = np.random.default_rng(0)
    margins = 2 * generator.standard_normal(count)
    return margins, generator.random(count) < expit(slope * margins + intercept)


def test_known_curve_is_found_again() -> None:
    margins, positive = sample()
    found = fit_calibration(margins, positive)
    assert found.slope == pytest.approx(1.5, abs=0.15)
    assert found.intercept == pytest.approx(-1.0, abs=0.15)
    assert found.prevalence == positive.mean()


def test_mean_probability_is_the_prevalence() -> None:
    margins, positive = sample()
    found = fit_calibration(margins, positive)
    assert np.mean([found.probability(m) for m in margins]) == pytest.approx(found.prevalence, abs=2e-3)


def test_scale_of_the_margin_does_not_matter() -> None:
    margins, positive = sample(400)
    plain, large = fit_calibration(margins, positive), fit_calibration(1000 * margins, positive)
    assert large.slope * 1000 == pytest.approx(plain.slope, rel=1e-3)
    assert large.probability(1000.0) == pytest.approx(plain.probability(1.0), abs=1e-3)


def test_separable_margins_stay_away_from_certainty() -> None:
    margins = np.array([-2.0, -1.5, -1.0, 1.0, 1.5, 2.0])
    found = fit_calibration(margins, margins > 0)
    # Platt's targets for three of each: 4/5 and 1/5.
    assert found.probability(1.5) == pytest.approx(0.8, abs=0.05)
    assert found.probability(-1.5) == pytest.approx(0.2, abs=0.05)


def test_higher_margin_never_means_a_lower_probability() -> None:
    margins, positive = sample(300)
    for score in (margins, -margins, np.full(300, 2.0)):
        found = fit_calibration(score, positive)
        assert found.slope >= SMALLEST_SLOPE * (1 - 1e-9)
        probabilities = [found.probability(m) for m in np.linspace(-50, 50, 101)]
        assert np.isfinite(probabilities).all()
        assert (np.diff(probabilities) >= 0).all()


def test_extreme_margin_gives_a_probability_without_a_warning() -> None:
    calibration = Calibration(slope=2.0, intercept=0.0, prevalence=0.1)
    assert (calibration.probability(-1e4), calibration.probability(0.0), calibration.probability(1e4)) == (
        0.0,
        0.5,
        1.0,
    )
