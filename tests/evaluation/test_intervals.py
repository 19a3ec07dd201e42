"""Intervals that respect patients: by hand, by brute force, and against what copies of a case must not change."""

from __future__ import annotations

import numpy as np
import pytest

from medproto.errors import TrainingError
from medproto.evaluation.classification import auroc, auroc_interval, share_interval
from medproto.evaluation.intervals import by_patient, clustered_share, delong_interval, one_by_patient
from tests.evaluation.test_classification import sample


def test_delong_is_the_variance_over_pairs() -> None:
    scores, positive, _ = sample(60)
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    variance = wins.mean(axis=1).var(ddof=1) / len(wins) + wins.mean(axis=0).var(ddof=1) / wins.shape[1]
    found = delong_interval(scores, positive)
    assert found.value == auroc(scores, positive)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * np.sqrt(variance), rel=1e-9)


def test_delong_is_close_to_the_bootstrap_of_single_cases() -> None:
    scores, positive, _ = sample(300)
    ours = delong_interval(scores, positive)
    drawn = auroc_interval(scores, positive, [str(i) for i in range(300)], draws=500)
    assert (ours.low, ours.high) == pytest.approx((drawn.low, drawn.high), abs=0.015)


def test_delong_of_one_positive_is_an_error() -> None:
    with pytest.raises(TrainingError, match="DeLong: got 1 positives and 2 negatives, expected two of each"):
        delong_interval(np.arange(3.0), np.array([True, False, False]))


def test_share_of_single_cases_is_that_of_wilson() -> None:
    hits = np.array([True] * 7 + [False] * 3)
    assert clustered_share(hits, [str(i) for i in range(10)]) == share_interval(7, 10)


def test_copies_of_cases_do_not_narrow_a_share() -> None:
    hits, names = np.array([True] * 14 + [False] * 6), [str(i) for i in range(20)]
    once, copied = clustered_share(hits, names), clustered_share(np.tile(hits, 4), names * 4)
    assert copied.value == once.value
    # The estimate of the spread divides by one patient fewer.
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.01)
    alike = clustered_share(np.ones(80, dtype=bool), names * 4)
    assert alike.low == pytest.approx(share_interval(20, 20).low)


def test_share_of_nothing_is_an_error() -> None:
    with pytest.raises(TrainingError, match="share: got no case, expected at least one"):
        clustered_share(np.zeros(0, dtype=bool), [])


def test_patients_are_drawn_with_all_their_cases() -> None:
    patients = ["a", "b", "a", "c"]
    seen: list[list[int]] = []

    def measure(places: np.ndarray) -> list[float]:
        seen.append(sorted(places.tolist()))
        return [float(len(places)), np.nan]

    lengths, undefined = by_patient(measure, patients, draws=50)
    assert undefined is None
    assert lengths is not None
    assert lengths.value == 4.0
    assert seen[-1] == [0, 1, 2, 3]
    assert all(places.count(0) == places.count(2) for places in seen)


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    found = by_patient(lambda places: [float(values[places].mean())], [str(i) for i in range(400)])[0]
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_one_measure_is_that_of_several_and_must_have_a_value() -> None:
    values, patients = np.arange(8.0), [str(i // 2) for i in range(8)]
    assert (
        one_by_patient(lambda places: float(values[places].mean()), patients)
        == by_patient(lambda places: [float(values[places].mean())], patients)[0]
    )
    with pytest.raises(TrainingError, match="interval by patient: got a measure without a value"):
        one_by_patient(lambda places: np.nan, patients)
