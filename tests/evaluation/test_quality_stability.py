"""Consistency and stability on examples small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medproto.evaluation.quality_stability import (
    PERTURBATIONS,
    consistency,
    mean_over_prototypes,
    moved_down,
    moved_left,
    moved_right,
    moved_up,
    same_place,
)
from tests.factories import input_set


def test_a_consistent_prototype_holds_the_finding_in_four_of_five_images_of_its_kind() -> None:
    category = np.array([0, 0, 0, 0, 0, 1, -1])
    own = np.ones((7, 3), dtype=bool)
    own[:, 2] = category == -1
    holds = np.zeros((7, 3), dtype=bool)
    holds[:4, 0] = True  # four of the five of kind 0
    holds[:3, 1] = True  # three of them
    holds[6, 1] = True  # an image that shows no finding counts for nothing
    # the third prototype's class has no annotated image, so two are judged
    assert consistency(holds, category, own) == 0.5
    holds[5, 1] = True  # all of kind 1
    assert consistency(holds, category, own) == 1.0
    assert consistency(holds, np.full(7, -1), own) is None


def test_cells_one_step_apart_are_the_same_place_and_two_are_not() -> None:
    # a map of four columns: (1, 1) against (1, 1), (2, 2), (1, 3), (3, 1), and the end of a row against the next
    before, after = np.array([[5, 5, 5, 5, 3]]), np.array([[5, 10, 7, 13, 4]])
    assert same_place(before, after, 4).tolist() == [[True, True, False, False, False]]


def test_stability_counts_prototypes_alike_whatever_their_images() -> None:
    kept = np.array([[True, True, True], [True, False, True], [False, False, True]])
    counted = np.array([[True, True, False], [True, True, False], [True, False, False]])
    # two of three, and one of two; the third has no image
    assert mean_over_prototypes(kept, counted) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert mean_over_prototypes(kept, np.zeros((3, 3), dtype=bool)) is None


def test_images_and_lesions_move_together_by_one_pixel() -> None:
    data = input_set([1, 0])
    down, right = moved_down(data), moved_right(data)
    assert torch.equal(down.images[:, :, 1:], data.images[:, :, :-1])
    assert torch.equal(down.lesion[:, 1:], data.lesion[:, :-1])
    assert torch.equal(right.images[..., 1:], data.images[..., :-1])
    assert torch.equal(right.lesion[:, :, 1:], data.lesion[:, :, :-1])
    up, left = moved_up(data), moved_left(data)
    assert torch.equal(up.images[:, :, :-1], data.images[:, :, 1:])
    assert torch.equal(up.lesion[:, :-1], data.lesion[:, 1:])
    assert torch.equal(left.images[..., :-1], data.images[..., 1:])
    assert torch.equal(left.breast[:, :, :-1], data.breast[:, :, 1:])


def test_stability_is_asked_at_every_one_pixel_shift_and_at_jpeg_90() -> None:
    wanted = {"one pixel up", "one pixel down", "one pixel to the left", "one pixel to the right", "JPEG 90"}
    assert wanted < set(PERTURBATIONS)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_changes_are_small_repeatable_and_leave_the_original_alone(name: str) -> None:
    data = input_set([1, 0])
    original = data.images.clone()
    once, twice = (PERTURBATIONS[name](data) for _ in range(2))
    assert torch.equal(data.images, original)
    assert torch.equal(once.images, twice.images)
    assert once.images.shape == original.shape
    assert 0 <= float(once.images.min()) <= float(once.images.max()) <= 1
    assert not torch.equal(once.images, original)
    assert float((once.images.mean() - original.mean()).abs()) < 0.05
