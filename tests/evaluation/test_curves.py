"""Measures along the curves: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_curve

from medproto.errors import TrainingError
from medproto.evaluation.curves import average_precision, curve, sensitivity_at, specificity_at
from tests.evaluation.test_classification import sample

#: From the highest: positive, negative, positive and negative tied, positive, negative.
SCORES = np.array([5.0, 4.0, 3.0, 3.0, 2.0, 1.0])
POSITIVE = np.array([True, False, True, False, True, False])


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_and_curve_are_those_of_scikit_learn(seed: int) -> None:
    scores, positive, _ = sample(seed=seed)
    points = curve(scores, positive)
    assert average_precision(points) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
    alarms, hits, _ = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(1 - points.specificity, alarms, atol=1e-12)
    np.testing.assert_allclose(points.sensitivity, hits, atol=1e-12)


def test_average_precision_by_hand() -> None:
    # Recall rises at 5 (1 of 1), at the tie of 3 (2 of 4) and at 2 (3 of 5), by a third each.
    assert average_precision(curve(SCORES, POSITIVE)) == pytest.approx((1 + 2 / 4 + 3 / 5) / 3)


def test_fixed_points_are_observed_ones() -> None:
    points = curve(SCORES, POSITIVE)
    # Flagging 5 alone spares all three; flagging down to 4 spares two of three; the tie is taken whole.
    assert sensitivity_at(points, 1.0) == pytest.approx(1 / 3)
    assert sensitivity_at(points, 0.6) == pytest.approx(1 / 3)
    assert sensitivity_at(points, 0.3) == pytest.approx(1.0)
    assert specificity_at(points, 0.5) == pytest.approx(1 / 3)
    assert specificity_at(points, 1 / 3) == 1.0


def test_curve_of_one_class_is_an_error() -> None:
    with pytest.raises(TrainingError, match="operating curve: got cases of one class only, expected both"):
        curve(np.array([1.0, 2.0]), np.array([True, True]))
