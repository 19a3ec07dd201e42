"""Risk against coverage, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medproto.evaluation.abstention import POINTS, risk_curve, risks

WRONG = np.array([False, False, True, True])
NAMES = ["a", "b", "c", "d"]


def test_strangest_exams_left_out_first() -> None:
    assert risks(np.array([1.0, 2.0, 3.0, 4.0]), WRONG).tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert risks(np.array([4.0, 3.0, 2.0, 1.0]), WRONG).tolist() == pytest.approx([1, 1, 2 / 3, 1 / 2])


def test_equal_signals_share_their_errors_whatever_their_order() -> None:
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        assert risks(np.ones(4), WRONG[order]).tolist() == pytest.approx([0.5] * 4)


def test_gain_is_above_zero_where_the_signal_finds_the_errors() -> None:
    generator = np.random.default_rng(0)
    wrong = generator.random(200) < 0.2
    names = [str(i) for i in range(200)]
    helpful = risk_curve("helpful", wrong + 0.5 * generator.standard_normal(200), wrong, names)
    useless = risk_curve("useless", generator.standard_normal(200), wrong, names)
    assert helpful.gain.low > 0
    assert useless.gain.low < 0 < useless.gain.high
    assert helpful.gain.value == pytest.approx(wrong.mean() - helpful.area)


def test_curve_ends_at_the_risk_of_deciding_everything() -> None:
    found = risk_curve("any", np.array([1.0, 2.0, 3.0, 4.0]), WRONG, NAMES)
    assert (found.coverage[0], found.coverage[-1], found.risk[-1]) == (0.25, 1.0, 0.5)
    assert found.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    long = risk_curve("long", np.arange(1000.0), np.tile(WRONG, 250), [str(i) for i in range(1000)])
    assert len(long.coverage) == len(long.risk) == POINTS
