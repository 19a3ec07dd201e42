"""The parts of the deletion and insertion curves, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medproto.evaluation.quality_curves import area, blurred, distinct


def test_patches_count_once_in_the_order_of_their_first_appearance() -> None:
    assert distinct(np.array([7, 3, 7, 5, 3])).tolist() == [7, 3, 5]


def test_area_is_that_of_the_straight_lines_between_the_steps() -> None:
    # 1 to 0 over the first patch, then 0: half a patch of ten
    assert area((0.0, 0.0, 0.0, 0.0), 1.0) == pytest.approx(0.05)
    assert area((1.0, 1.0, 1.0, 1.0), 1.0) == pytest.approx(1.0)
    # 0.25 + 0.75 + 3 + 5 patches of ten
    assert area((0.5, 1.0, 1.0, 1.0), 0.0) == pytest.approx((0.25 + 0.75 + 3 + 5) / 10)


def test_blurring_takes_the_mean_of_the_breast_alone() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[..., :4] = 0.6
    images[..., 3, 2] = 0.0
    breast = torch.zeros(1, 8, 8, dtype=torch.uint8)
    breast[..., :4] = 1
    shown = blurred(images, breast)
    # eight of the nine pixels around it are 0.6; at the edge of the breast what lies beyond does not count
    assert float(shown[0, 0, 3, 2]) == pytest.approx(8 * 0.6 / 9)
    assert float(shown[0, 0, 6, 3]) == pytest.approx(0.6)
    assert float(shown[..., 4:].abs().max()) == 0.0
