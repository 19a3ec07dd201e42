"""Groups of exams and images, and when to be careful with them."""

from __future__ import annotations

import numpy as np
import pytest

from medproto.evaluation.classification import Interval
from medproto.evaluation.subgroups import age_band, notes_of

ENOUGH_OF_BOTH = np.repeat([True, False], 10)


@pytest.mark.parametrize(
    "years, band",
    [(None, None), (39, "under 40"), (40, "40 to 49"), (69, "60 to 69"), (70, "70 and over"), (101, "70 and over")],
)
def test_age_bands_meet_without_a_gap(years: int | None, band: str | None) -> None:
    assert age_band(years) == band


def test_a_small_group_says_so() -> None:
    assert notes_of(ENOUGH_OF_BOTH, Interval(0.9, 0.8, 0.95), 0.9) == ()
    (note,) = notes_of(ENOUGH_OF_BOTH[1:], None, 0.9)
    assert note == "too small to judge: 9 positive and 10 negative, fewer than 10 of each"


def test_a_group_that_falls_apart_is_warned_of() -> None:
    (note,) = notes_of(ENOUGH_OF_BOTH, Interval(0.6, 0.5, 0.79), 0.8)
    assert note == "WARNING: AUROC lies below that of all others (0.800)"
    assert notes_of(ENOUGH_OF_BOTH, Interval(0.6, 0.5, 0.81), 0.8) == ()
