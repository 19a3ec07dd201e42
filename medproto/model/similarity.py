"""Distances and similarities between latent cells and prototypes (Chen et al. 2019, section 2.1).

Shapes: V views, D channels, P prototypes, H W latent cells. Everything here is at least float32: the expansion of the
squared
distance loses about 1e-5 near zero, where the logarithm is steepest.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: The paper's epsilon: a prototype that meets its own patch scores log(1 / EPSILON) = 9.2103.
EPSILON = 1e-4


def log_similarity(distance: Tensor) -> Tensor:
    """log((d + 1) / (d + 1e-4)), falling in the squared distance d; in (0, 9.2104]."""
    return torch.log((distance + 1) / (distance + EPSILON))


def distance_maps(features: Tensor, prototypes: Tensor) -> Tensor:
    """Squared L2 distance of every latent cell to every prototype, computed directly as |z - p|^2.

    Args:
        features: shape (V, D, H, W).
        prototypes: shape (P, D).

    Returns:
        Shape (V, P, H, W).
    """
    features, prototypes = _at_least_float32(features), _at_least_float32(prototypes)
    maps = [(features - prototype.view(1, -1, 1, 1)).square().sum(dim=1) for prototype in prototypes]
    return torch.stack(maps, dim=1)


def training_maps(features: Tensor, prototypes: Tensor) -> Tensor:
    """As `distance_maps`, by the expansion |z|^2 - 2 z.p + |p|^2: fast, off by about 1e-5 near zero, so not for
    scoring."""
    features, prototypes = _at_least_float32(features), _at_least_float32(prototypes)
    cross = torch.einsum("vdhw,pd->vphw", features, prototypes)
    lengths = prototypes.square().sum(dim=1).view(1, -1, 1, 1)
    return (features.square().sum(dim=1, keepdim=True) - 2 * cross + lengths).clamp(min=0)


def nearest_cells(features: Tensor, prototypes: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance of every prototype to its nearest allowed cell of each view, and that cell.

    The search uses the expansion |z|^2 - 2 z.p + |p|^2 and keeps no graph; the winning distance is recomputed as
    |z - p|^2, so it is exact at zero and the backward pass touches the winning cells alone.

    Args:
        features: shape (V, D, H, W).
        prototypes: shape (P, D).
        allowed: shape (V, H, W) or (V, P, H, W), True where a cell may win; every view needs one such cell.

    Returns:
        Squared distances, shape (V, P), and flat cell indices h * W + w, shape (V, P).
    """
    features, prototypes = _at_least_float32(features), _at_least_float32(prototypes)
    cells = features.flatten(2)
    with torch.no_grad():
        # |z|^2 varies over cells, |p|^2 does not: the latter cannot change the winner.
        search = cells.square().sum(dim=1, keepdim=True) - 2 * torch.matmul(prototypes, cells)
        if allowed is not None:
            mask = allowed.flatten(-2)
            search = search.masked_fill(~(mask if mask.dim() == 3 else mask.unsqueeze(1)), torch.inf)
        winner = search.argmin(dim=2)
    chosen = torch.gather(cells, 2, winner.unsqueeze(1).expand(-1, cells.shape[1], -1))
    distance = (chosen.transpose(1, 2) - prototypes).square().sum(dim=2)
    return distance, winner


def bag_maximum(similarities: Tensor, bags: Tensor, bag_count: int) -> tuple[Tensor, Tensor]:
    """Maximum over the views of each bag, and the view that holds it (the first on a tie).

    Args:
        similarities: shape (V, P).
        bags: shape (V,), bag of each view, 0 <= bag < bag_count.

    Returns:
        Shape (N, P) and (N, P).
    """
    index = bags.unsqueeze(1).expand_as(similarities)
    start = torch.full((bag_count, similarities.shape[1]), -torch.inf, dtype=similarities.dtype)
    best = start.to(similarities.device).scatter_reduce(0, index, similarities, "amax", include_self=True)
    view = torch.arange(similarities.shape[0], device=similarities.device).unsqueeze(1).expand_as(similarities)
    candidate = torch.where(similarities == best[bags], view, similarities.shape[0])
    first = torch.full_like(best, similarities.shape[0], dtype=torch.long)
    return best, first.scatter_reduce(0, index, candidate, "amin", include_self=True)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
