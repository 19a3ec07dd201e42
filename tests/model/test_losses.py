"""The costs: their values worked out by hand, and their gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medproto.model import losses
from medproto.model.similarity import log_similarity

OWNERS = torch.tensor([0, 0, 1, 1])
LABELS = torch.tensor([0, 1, 1])
OWN = torch.tensor([[True, True, False, False], [False, False, True, True]])


def random(*shape: int, seed: int = 0) -> Tensor:
    """Uniform float64 values of a fixed seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gradients_of_the_costs_are_those_of_their_definitions() -> None:
    distances = random(3, 4).requires_grad_()
    inside = (random(3, 4, seed=1) + 0.1).requires_grad_()
    prototypes = random(4, 5, seed=2).requires_grad_()
    weights = (random(2, 4, seed=3) + 0.1).requires_grad_()
    own = (OWNERS[None] == LABELS[:, None]).double()
    check = torch.autograd.gradcheck
    assert check(lambda d: losses.cluster_cost(d, LABELS, OWNERS), (distances,))
    assert check(lambda d: losses.separation_cost(d, LABELS, OWNERS), (distances,))
    assert check(lambda d: losses.margin_cost(d, LABELS, OWNERS, 0.5), (distances,))
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


def test_margin_costs_an_image_only_what_it_lacks() -> None:
    distances = torch.tensor([[1.0, 4.0, 0.5, 9.0], [2.0, 3.0, 0.25, 16.0], [1.5, 3.0, 1.0, 5.0]])
    # own 1 and other 0.5: 1.5 is lacking; 0.25 and 2 are far enough apart; 1 and 1.5: 0.5 is lacking.
    assert losses.margin_cost(distances, LABELS, OWNERS, 1.0) == pytest.approx((1.5 + 0 + 0.5) / 3)
    assert losses.margin_cost(distances, LABELS, OWNERS, 0.0) == pytest.approx(0.5 / 3)


def test_image_far_enough_from_the_other_class_is_left_alone() -> None:
    distances = torch.tensor([[1.0, 4.0, 3.0, 9.0]], requires_grad=True)
    losses.margin_cost(distances, torch.tensor([0]), OWNERS, 1.5).backward()
    assert distances.grad is not None
    assert distances.grad.count_nonzero() == 0


def test_gradient_of_the_total_is_that_of_the_published_coefficients() -> None:
    parts = [random(1, seed=seed)[0].requires_grad_() for seed in range(4)]
    total = losses.total_cost(*parts)
    assert [float(each) for each in torch.autograd.grad(total, parts)] == [1.0, 0.8, -0.08, 1e-4]
    assert torch.autograd.gradcheck(losses.total_cost, parts)


def test_gradient_of_the_weighted_cross_entropy_is_that_of_its_definition() -> None:
    logits, weights = random(3, 2).requires_grad_(), random(2, seed=1) + 0.5
    assert torch.autograd.gradcheck(lambda x: losses.cross_entropy(x, LABELS, weights), (logits,))
