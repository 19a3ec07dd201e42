"""Nearest cells, similarities, the bag maximum and the costs: exact at zero, differentiable, decided on ties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medproto.model import losses
from medproto.model.similarity import EPSILON, bag_maximum, distance_maps, log_similarity, nearest_cells
from medproto.training.projection import nearest_patches

OWNERS = torch.tensor([0, 0, 1, 1])
LABELS = torch.tensor([0, 1, 1])
OWN = torch.tensor([[True, True, False, False], [False, False, True, True]])


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Uniform values of a fixed seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_gradients_of_the_nearest_similarity_are_those_of_its_definition() -> None:
    allowed = random(3, 4, 5, seed=2) > 0.3
    features = random(3, 6, 4, 5).requires_grad_()
    prototypes = random(4, 6, seed=1).requires_grad_()

    def similarity(z: Tensor, p: Tensor) -> Tensor:
        return log_similarity(nearest_cells(z, p, allowed)[0])

    assert torch.autograd.gradcheck(similarity, (features, prototypes))


def test_gradients_of_the_costs_are_those_of_their_definitions() -> None:
    distances = random(3, 4).requires_grad_()
    inside = (random(3, 4, seed=1) + 0.1).requires_grad_()
    prototypes = random(4, 5, seed=2).requires_grad_()
    weights = (random(2, 4, seed=3) + 0.1).requires_grad_()
    own = (OWNERS[None] == LABELS[:, None]).double()
    check = torch.autograd.gradcheck
    assert check(lambda d: losses.cluster_cost(d, LABELS, OWNERS), (distances,))
    assert check(lambda d: losses.separation_cost(d, LABELS, OWNERS), (distances,))
    assert check(lambda d: losses.anchor_cost(d, LABELS, OWNERS), (distances,))
    assert check(lambda d, w: losses.cross_entropy(log_similarity(d) @ w.T, LABELS), (distances, weights))
    assert check(lambda w: losses.wrong_class_l1(w, OWN), (weights,))
    assert check(lambda p: losses.diversity_cost(p, OWNERS), (prototypes,))
    assert check(lambda i, d: losses.outside_cost(i, d, own), (inside, distances))


def test_gradient_of_the_cell_cost_is_that_of_its_definition() -> None:
    maps = random(3, 4, 3, 4).requires_grad_()
    allowed = torch.ones(3, 3, 4, dtype=torch.bool)
    lesion = torch.zeros_like(allowed)
    lesion[1, 1, 1:3] = True
    assert torch.autograd.gradcheck(lambda m: losses.cell_cost(m, OWNERS, LABELS, (allowed, lesion)), (maps,))


def test_cost_of_a_class_without_prototype_in_the_batch_is_not_counted() -> None:
    distances = torch.tensor([[1.0, 4.0, 0.5, 9.0], [2.0, 3.0, 0.25, 16.0]])
    labels = torch.tensor([0, 0])
    assert losses.cluster_cost(distances, labels, OWNERS) == pytest.approx(1.5)
    assert losses.separation_cost(distances, labels, OWNERS) == pytest.approx(0.375)
    assert losses.anchor_cost(distances, labels, OWNERS) == pytest.approx(2.0)


def test_twin_prototypes_cost_most() -> None:
    twins = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    apart = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert losses.diversity_cost(twins, OWNERS) == pytest.approx(1.0)
    assert losses.diversity_cost(apart, OWNERS) == pytest.approx(0.0, abs=1e-6)


def test_projected_prototype_meets_its_own_patch_at_9_2103_exactly() -> None:
    features = 3 * random(5, 64, 7, 5, dtype=torch.float32)
    labels, owners = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1])
    found = nearest_patches(
        features, random(3, 64, seed=1, dtype=torch.float32), torch.ones(5, 7, 5, dtype=torch.bool), labels, owners
    )
    image, each = found.distances.argmin(dim=0), torch.arange(3)
    prototypes = found.vectors[image, each]
    distance, cell = nearest_cells(features, prototypes)
    assert distance[image, each].tolist() == [0.0] * 3
    assert cell[image, each].tolist() == found.cells[image, each].tolist()
    best = log_similarity(distance)[image, each]
    assert best.tolist() == pytest.approx([math.log(1 / EPSILON)] * 3, rel=1e-7)
    assert f"{float(best[0]):.4f}" == "9.2103"
    assert distance_maps(features, prototypes).amin() == 0


def test_cell_that_is_not_allowed_never_wins() -> None:
    features = random(2, 3, 4, 4)
    prototypes = features[:, :, 2, 1].clone()
    free, cell = nearest_cells(features, prototypes)
    assert [float(free[0, 0]), int(cell[0, 0])] == [0.0, 2 * 4 + 1]
    allowed = torch.ones(2, 4, 4, dtype=torch.bool)
    allowed[0, 2, 1] = False
    distance, cell = nearest_cells(features, prototypes, allowed)
    assert distance[0, 0] > 0
    assert int(cell[0, 0]) != 2 * 4 + 1


def test_cells_may_be_allowed_for_single_prototypes() -> None:
    features, prototypes = random(1, 3, 2, 2), random(2, 3, seed=1)
    allowed = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    allowed[0, 0, 0, 1] = allowed[0, 1, 1, 0] = True
    _, cells = nearest_cells(features, prototypes, allowed)
    assert cells.tolist() == [[1, 2]]


def test_half_precision_features_are_measured_in_float32() -> None:
    features, prototypes = random(1, 3, 2, 2).half(), random(2, 3, seed=1).half()
    assert nearest_cells(features, prototypes)[0].dtype == torch.float32
    assert distance_maps(features, prototypes).dtype == torch.float32


def test_bag_maximum_names_the_first_view_on_a_tie() -> None:
    similarities = torch.tensor([[1.0, 5.0], [3.0, 5.0], [3.0, 2.0], [0.5, 0.5]])
    best, view = bag_maximum(similarities, torch.tensor([0, 0, 0, 1]), 2)
    assert best.tolist() == [[3.0, 5.0], [0.5, 0.5]]
    assert view.tolist() == [[1, 0], [3, 3]]


def test_bag_maximum_does_not_need_views_of_a_bag_to_be_neighbours() -> None:
    similarities = torch.tensor([[1.0], [9.0], [4.0], [2.0]])
    best, view = bag_maximum(similarities, torch.tensor([0, 1, 0, 1]), 2)
    assert best.tolist() == [[4.0], [9.0]]
    assert view.tolist() == [[2], [1]]
