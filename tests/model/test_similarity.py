"""Nearest cells, similarities and the bag maximum: exact at zero, differentiable, decided on ties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medproto.model.similarity import (
    BLOCK,
    EPSILON,
    bag_maximum,
    distance_maps,
    log_similarity,
    nearest_cells,
    training_maps,
)
from medproto.training.projection import nearest_patches


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Uniform values of a fixed seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("mask", [None, (3, 4, 5), (3, 4, 4, 5)], ids=["all cells", "of a view", "of a prototype"])
def test_gradients_of_the_nearest_similarity_are_those_of_its_definition(mask: tuple[int, ...] | None) -> None:
    allowed = None if mask is None else random(*mask, seed=2) > 0.3
    features = random(3, 6, 4, 5).requires_grad_()
    prototypes = random(4, 6, seed=1).requires_grad_()

    def similarity(z: Tensor, p: Tensor) -> Tensor:
        return log_similarity(nearest_cells(z, p, allowed)[0])

    assert torch.autograd.gradcheck(similarity, (features, prototypes))


def test_gradients_are_those_of_the_whole_maps() -> None:
    features = random(3, 8, 5, 4, dtype=torch.float32).requires_grad_()
    prototypes = random(50, 8, seed=1, dtype=torch.float32).requires_grad_()
    weights = random(3, 50, seed=2, dtype=torch.float32)
    direct = (features.unsqueeze(1) - prototypes.view(1, 50, 8, 1, 1)).square().sum(dim=2).flatten(2).amin(dim=2)
    expected = torch.autograd.grad((direct * weights).sum(), (features, prototypes))
    found = torch.autograd.grad((nearest_cells(features, prototypes)[0] * weights).sum(), (features, prototypes))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_gradient_flows_to_the_side_that_is_not_frozen() -> None:
    features, prototypes = random(2, 3, 4, 4), random(5, 3, seed=1)
    both = [each.clone().requires_grad_() for each in (features, prototypes)]
    nearest_cells(both[0], both[1])[0].sum().backward()
    for thawed in (0, 1):
        pair = [features.clone(), prototypes.clone()]
        pair[thawed].requires_grad_()
        nearest_cells(pair[0], pair[1])[0].sum().backward()
        torch.testing.assert_close(pair[thawed].grad, both[thawed].grad, rtol=0, atol=0)


def test_prototype_on_its_own_patch_is_not_pulled() -> None:
    features = (3 * random(1, 64, 5, 5, dtype=torch.float32)).requires_grad_()
    prototypes = features.detach()[0, :, 2, 3:4].T.clone().requires_grad_()
    log_similarity(nearest_cells(features, prototypes)[0]).sum().backward()
    assert prototypes.grad is not None
    assert features.grad is not None
    assert prototypes.grad.count_nonzero() == features.grad.count_nonzero() == 0


def test_winner_is_the_same_however_the_search_is_cut() -> None:
    features, prototypes = random(2, 4, 64, 64), random(70, 4, seed=1)
    assert prototypes.shape[0] > BLOCK // (64 * 64) > 1
    allowed = random(2, 70, 64, 64, seed=2) > 0.5
    whole = distance_maps(features, prototypes)
    assert nearest_cells(features, prototypes)[1].equal(whole.flatten(2).argmin(dim=2))
    held = whole.masked_fill(~allowed, torch.inf).flatten(2)
    distance, cell = nearest_cells(features, prototypes, allowed)
    assert cell.equal(held.argmin(dim=2))
    torch.testing.assert_close(distance, held.amin(dim=2))


def test_first_of_equal_cells_wins() -> None:
    features = random(2, 16, 6, 7, dtype=torch.float32)
    features[:, :, 1, 2] = features[:, :, 4, 1] = features[:, :, 5, 6] = 0.5
    allowed = torch.ones(2, 6, 7, dtype=torch.bool)
    allowed[1, 1, 2] = False
    _, cells = nearest_cells(features, torch.full((1, 16), 0.5), allowed)
    assert cells.tolist() == [[1 * 7 + 2], [4 * 7 + 1]]


def test_scored_similarity_is_the_value_in_the_map() -> None:
    features = 3 * random(4, 64, 9, 6, dtype=torch.float32)
    prototypes = random(7, 64, seed=1, dtype=torch.float32)
    prototypes[2] = features[1, :, 4, 4]
    prototypes[3] = features[2, :, 0, 5] + 1e-3
    distance, cell = nearest_cells(features, prototypes)
    scored = log_similarity(distance)
    seen = log_similarity(distance_maps(features, prototypes)).flatten(2)
    torch.testing.assert_close(seen.gather(2, cell.unsqueeze(2)).squeeze(2), scored, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(seen.amax(dim=2), scored, rtol=1e-6, atol=1e-6)
    assert f"{float(seen.max()):.4f}" == "9.2103"


def test_autocast_does_not_coarsen_distances() -> None:
    features = random(2, 32, 6, 6, dtype=torch.float32).requires_grad_()
    prototypes = random(5, 32, seed=1, dtype=torch.float32).requires_grad_()
    exact = [nearest_cells(features, prototypes)[0], *(f(features, prototypes) for f in (distance_maps, training_maps))]
    expected = torch.autograd.grad(exact[0].sum(), (features, prototypes))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under, cells = nearest_cells(features, prototypes)
        others = [f(features, prototypes) for f in (distance_maps, training_maps)]
        found = torch.autograd.grad(under.sum(), (features, prototypes))
    assert cells.equal(nearest_cells(features, prototypes)[1])
    for mine, theirs in zip([under, *others, *found], [*exact, *expected], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_projected_prototype_meets_its_own_patch_at_9_2103_exactly() -> None:
    features = 3 * random(5, 64, 7, 5, dtype=torch.float32)
    labels, owners = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1])
    found = nearest_patches(
        features, random(3, 64, seed=1, dtype=torch.float32), torch.ones(5, 7, 5, dtype=torch.bool), labels, owners
    )
    foreign = labels.unsqueeze(1) != owners
    image, each = found.distances[:, found.slot].masked_fill(foreign, torch.inf).argmin(dim=0), torch.arange(3)
    prototypes = found.vectors[image, found.slot]
    distance, cell = nearest_cells(features, prototypes)
    assert distance[image, each].tolist() == [0.0] * 3
    assert cell[image, each].tolist() == found.cells[image, found.slot].tolist()
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
