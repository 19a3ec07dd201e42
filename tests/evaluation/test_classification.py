"""AUROC, shares and the operating point against other libraries and by hand; intervals by patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from medproto.errors import TrainingError
from medproto.evaluation.classification import (
    Interval,
    at_point,
    auroc,
    auroc_interval,
    choose_operating_point,
    share_interval,
)


def sample(count: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores with ties, what is positive, and patients of two exams each."""
    generator = np.random.default_rng(seed)
    positive = np.repeat(generator.random(count // 2) < 0.4, 2)
    scores = np.round(generator.standard_normal(count) + positive, 1)
    return scores, positive, [f"patient {i // 2}" for i in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_that_of_scikit_learn(seed: int) -> None:
    scores, positive, _ = sample(seed=seed)
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_auroc_counts_pairs_and_ties_half() -> None:
    positive = np.array([True, True, False, False])
    assert auroc(np.array([3.0, 2.0, 2.0, 1.0]), positive) == (4 - 0.5) / 4
    assert auroc(np.zeros(4), positive) == 0.5
    assert auroc(np.array([0.0, 0.0, 1.0, 1.0]), positive) == 0.0


@pytest.mark.parametrize(
    "positive, counts", [([True, True], "2 positives and 0"), ([False, False], "0 positives and 2")]
)
def test_auroc_of_one_class_is_an_error(positive: list[bool], counts: str) -> None:
    with pytest.raises(TrainingError, match=f"AUROC: got {counts} negatives, expected some of both"):
        auroc(np.array([1.0, 2.0]), np.array(positive))


def test_interval_holds_the_value_and_replays_from_its_seed() -> None:
    scores, positive, patients = sample()
    first = auroc_interval(scores, positive, patients, seed=1, draws=300)
    assert first.low < first.value == auroc(scores, positive) < first.high
    assert auroc_interval(scores, positive, patients, seed=1, draws=300) == first
    assert auroc_interval(scores, positive, patients, seed=2, draws=300) != first


def test_copies_of_an_exam_do_not_narrow_the_interval() -> None:
    scores, positive, patients = sample()
    once = auroc_interval(scores, positive, patients, draws=300)
    copied = auroc_interval(np.tile(scores, 4), np.tile(positive, 4), patients * 4, draws=300)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=1e-9)
    loose = auroc_interval(np.tile(scores, 4), np.tile(positive, 4), [str(i) for i in range(320)], draws=300)
    assert loose.high - loose.low < 0.7 * (once.high - once.low)


@pytest.mark.parametrize("hits, total", [(0, 7), (3, 7), (7, 7), (180, 200)])
def test_share_has_its_wilson_interval(hits: int, total: int) -> None:
    found = share_interval(hits, total)
    wanted = binomtest(hits, total).proportion_ci(0.95, method="wilson")
    assert found.value == hits / total
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-6)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_share_of_nothing_is_an_error() -> None:
    with pytest.raises(TrainingError, match="share: got no case, expected at least one"):
        share_interval(0, 0)


def test_interval_prints_its_limits() -> None:
    assert str(Interval(0.9123, 0.85, 0.95)) == "0.912 (0.850 to 0.950)"


def test_operating_point_is_the_highest_that_reaches_the_sensitivity() -> None:
    margins = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 3.5, 1.5, 0.0])
    positive = np.array([True] * 5 + [False] * 3)
    point = choose_operating_point(margins, positive, 0.8)
    # Four of five positives lie at 2 and above; half way down to the 1.5 that lies next below.
    assert (point.margin, point.sensitivity) == (1.75, 0.8)
    assert point.specificity == pytest.approx(2 / 3)
    assert point.rule == "sensitivity of at least 80% on 8 validation exams"
    assert at_point(margins, positive, 3.0)[0] == 0.6


@pytest.mark.parametrize("wanted", [0.05, 0.5, 0.9, 0.95, 1.0])
def test_operating_point_reaches_what_was_asked_for(wanted: float) -> None:
    for seed in range(10):
        margins, positive, _ = sample(seed=seed)
        point = choose_operating_point(margins, positive, wanted)
        assert point.sensitivity >= wanted
        assert (point.sensitivity, point.specificity) == at_point(margins, positive, point.margin)
        below = margins < point.margin
        assert not below.any() or not positive[margins == margins[below].max()].all()
        flagged = margins[~positive & ~below]
        # To spare one more negative takes a point at which too few positives are left.
        assert not len(flagged) or at_point(margins, positive, np.nextafter(flagged.min(), np.inf))[0] < wanted


def test_operating_point_gives_no_sensitivity_away() -> None:
    margins, positive = np.array([-3.0, -1.0, 2.0, 4.0, 5.0]), np.array([False, False, True, True, True])
    point = choose_operating_point(margins, positive, 0.6)
    assert point.margin == 0.5  # no negative lies between -1 and 4
    assert (point.sensitivity, point.specificity) == (1.0, 1.0)


def test_operating_point_below_all_margins_flags_everyone() -> None:
    point = choose_operating_point(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), 1.0)
    assert (point.margin, point.sensitivity, point.specificity) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_operating_point_of_one_class_is_an_error(positive: list[bool]) -> None:
    with pytest.raises(TrainingError, match="operating point: got validation exams of one class only, expected both"):
        choose_operating_point(np.array([1.0, 2.0]), np.array(positive), 0.9)
