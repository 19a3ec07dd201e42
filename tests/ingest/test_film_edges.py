"""The upper and lower edges of a film stay out of the mask."""

from __future__ import annotations

import numpy as np

from medproto.ingest.breast import breast_mask
from tests.ingest.test_breast import digital, film, overlap


def test_edges_of_a_film_that_run_across_the_breast_are_left_out() -> None:
    pixels, truth = film()
    pixels[-4:, 100:392] = 0.8
    tall = np.vstack([np.full((5, 500), 0.7, np.float32), pixels[40:]])
    mask = breast_mask(tall)
    assert not mask[:5].any()
    assert not mask[-4:].any()
    assert overlap(mask[8:-8], truth[43:][:-8]) > 0.95
    digital_mask = breast_mask(digital()[0][40:])
    assert digital_mask[0].any()
