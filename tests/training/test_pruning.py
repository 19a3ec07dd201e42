"""Pruning and merging: which prototypes go, which stay, and that a class is never left without one."""

from __future__ import annotations

import pytest
import torch

from medproto.errors import TrainingError
from medproto.training.projection import Projected
from medproto.training.pruning import Likeness, merge_twins, prune

#: Far apart, in images of their own.
APART = [Projected(image, 0, 0, 0.0) for image in range(4)]
OWNERS = torch.tensor([0, 0, 1, 1])
WEIGHTS = torch.tensor([[1.0, 2.0, -0.5, -0.25], [-0.5, -0.25, 4.0, 8.0]])


def test_prototype_among_images_of_other_classes_is_dropped() -> None:
    # Columns are prototypes, rows images; images 0-3 are of class 0, 4-7 of class 1.
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    near_own = torch.tensor([1.0, 2, 3, 4, 9, 9, 9, 9])
    near_other = torch.tensor([5.0, 6, 9, 9, 1, 2, 3, 4])
    pruned = prune(torch.stack([near_own, near_other, near_other], dim=1), labels, torch.tensor([0, 0, 1]))
    assert pruned.nearest.tolist() == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 0, 1], [4, 5, 6, 7, 0, 1]]
    assert pruned.passed.tolist() == [True, False, True]
    assert pruned.kept == (0, 2)
    assert pruned.rescued == ()
    assert pruned.dropped == (1, 0)


def test_half_of_the_neighbours_is_enough_and_less_is_not() -> None:
    distances = torch.arange(6.0).unsqueeze(1)
    owner = torch.tensor([0])
    assert prune(distances, torch.tensor([0, 1, 0, 1, 0, 1]), owner).passed.tolist() == [True]
    assert prune(distances, torch.tensor([0, 1, 0, 1, 1, 1]), owner).passed.tolist() == [False]


def test_class_in_which_none_passes_keeps_its_best_prototype() -> None:
    labels = torch.tensor([0, 1, 1, 1, 1])
    none, one = torch.tensor([9.0, 1, 2, 3, 4]), torch.tensor([1.0, 2, 3, 4, 9])
    pruned = prune(torch.stack([none, one, one], dim=1), labels, torch.tensor([0, 0, 0]), 3, 2)
    assert pruned.passed.tolist() == [False, False, False]
    assert pruned.rescued == pruned.kept == (1,)
    assert pruned.dropped == (2,)


def test_equally_near_images_count_in_their_order() -> None:
    assert prune(torch.zeros(8, 1), torch.zeros(8).long(), torch.tensor([0])).nearest.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_fewer_images_than_neighbours_are_an_error() -> None:
    with pytest.raises(TrainingError, match="pruning: got 5 training images, expected at least 6"):
        prune(torch.zeros(5, 1), torch.zeros(5).long(), torch.tensor([0]))


def test_near_prototypes_of_one_class_become_one_and_add_their_weights() -> None:
    prototypes = torch.tensor([[0.0, 0.0], [0.3, 0.4], [0.0, 0.0], [2.0, 0.0]])
    merged = merge_twins(prototypes, WEIGHTS, OWNERS, APART, Likeness(0.26))
    assert merged.into == (0, 0, 2, 3)
    assert merged.kept == (0, 2, 3)
    assert merged.last_layer.tolist() == [[3.0, -0.5, -0.25], [-0.75, 4.0, 8.0]]
    assert merged.merged == (1, 0)
    assert merge_twins(prototypes, WEIGHTS, OWNERS, APART, Likeness(0.24)).merged == (0, 0)


def test_patches_that_overlap_in_one_image_are_twins_however_far_their_vectors() -> None:
    prototypes = 100 * torch.eye(4)
    sources = [Projected(7, 4, 4, 0.0), Projected(7, 5, 3, 0.0), Projected(7, 4, 4, 0.0), Projected(8, 4, 4, 0.0)]
    assert merge_twins(prototypes, WEIGHTS, OWNERS, sources, Likeness(1.0, patch_cells=2)).into == (0, 0, 2, 3)
    assert merge_twins(prototypes, WEIGHTS, OWNERS, sources, Likeness(1.0, patch_cells=1)).into == (0, 1, 2, 3)


def test_chain_of_twins_does_not_collapse_into_its_first() -> None:
    prototypes = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    merged = merge_twins(prototypes, torch.ones(1, 4), torch.zeros(4).long(), APART, Likeness(1.5))
    assert merged.into == (0, 0, 2, 2)
    assert merged.last_layer.tolist() == [[2.0, 2.0]]


def test_class_whose_prototypes_are_all_equal_keeps_its_first() -> None:
    merged = merge_twins(torch.zeros(4, 2), WEIGHTS, OWNERS, APART, Likeness(0.1))
    assert merged.kept == (0, 2)
    assert merged.merged == (1, 1)


def test_prototype_without_a_source_is_an_error() -> None:
    with pytest.raises(TrainingError, match="merging: got 3 sources, expected one for each of 4"):
        merge_twins(torch.zeros(4, 2), WEIGHTS, OWNERS, APART[:3], Likeness(0.1))
