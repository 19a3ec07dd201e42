"""Distances and similarities between latent cells and prototypes (Chen et al. 2019, section 2.1).

Shapes: V views, D channels, P prototypes, H W latent cells. Everything here is at least float32, autocast or not: the
expansion of the squared distance loses about 1e-5 near zero, where the logarithm is steepest.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: How near a cell is to a prototype: the paper's logarithm, or the cosine, for which both are unit vectors.
Similarity = Literal["log", "cosine"]
#: The paper's epsilon: a prototype that meets its own patch scores log(1 / EPSILON) = 9.2103.
EPSILON = 1e-4
#: Of |z|^2 + |p|^2, what the float64 expansion of a squared distance may be off by.
ROUNDING = 1e-14
#: Distances, or differences, held at once: 512 KiB of float32, about what a core's second cache holds.
BLOCK = 2**17


def log_similarity(distance: Tensor) -> Tensor:
    """log((d + 1) / (d + 1e-4)), falling in the squared distance d; in (0, 9.2104]."""
    return torch.log((distance + 1) / (distance + EPSILON))


def cosine_similarity(distance: Tensor) -> Tensor:
    """1 - d / 2: of unit vectors at the squared distance d, the cosine; in [-1, 1]."""
    return 1 - distance / 2


def distance_maps(features: Tensor, prototypes: Tensor) -> Tensor:
    """Squared L2 distance of every latent cell to every prototype, good to the last bits of float32 near zero too.

    |z|^2 - 2 z.p + |p|^2 in float64: the product of two float32 values is exact there. What lies below the rounding of
    the sum is told as zero, so a prototype meets its own patch at exactly zero.

    Args:
        features: shape (V, D, H, W).
        prototypes: shape (P, D).

    Returns:
        Shape (V, P, H, W), in the wider type of features and prototypes, float32 at least.
    """
    wide = torch.promote_types(torch.promote_types(features.dtype, prototypes.dtype), torch.float32)
    cells, vectors = features.flatten(2).double(), prototypes.double()
    scale = cells.square().sum(dim=1, keepdim=True) + vectors.square().sum(dim=1).unsqueeze(1)
    squared = torch.matmul(vectors, cells).mul(-2).add(scale)
    exact = squared.masked_fill(squared < ROUNDING * scale, 0.0).to(wide)
    return exact.view(len(features), len(prototypes), *features.shape[2:])


def training_maps(features: Tensor, prototypes: Tensor) -> Tensor:
    """As `distance_maps`, by the expansion in float32: fast, off by about 1e-5 near zero, so not for scoring."""
    features, prototypes = _at_least_float32(features), _at_least_float32(prototypes)
    with torch.autocast(features.device.type, enabled=False):
        cross = torch.einsum("vdhw,pd->vphw", features, prototypes)
    lengths = prototypes.square().sum(dim=1).view(1, -1, 1, 1)
    return (features.square().sum(dim=1, keepdim=True) - 2 * cross + lengths).clamp(min=0)


def nearest_cells(features: Tensor, prototypes: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance of every prototype to its nearest allowed cell of each view, and that cell, the first on a tie.

    The search uses the expansion |z|^2 - 2 z.p + |p|^2, a block of distances at a time, and keeps none; the
    winning distance is recomputed as |z - p|^2, so it is exact at zero, and the backward pass touches the winning
    cells alone.

    Args:
        features: shape (V, D, H, W).
        prototypes: shape (P, D).
        allowed: shape (V, H, W) or (V, P, H, W), True where a cell may win; every view needs one such cell.

    Returns:
        Squared distances, shape (V, P), and flat cell indices h * W + w, shape (V, P).
    """
    features, prototypes = _at_least_float32(features), _at_least_float32(prototypes)
    blocked = None if allowed is None else ~allowed.flatten(-2)
    distance, winner = _NearestCells.apply(features.flatten(2), prototypes, blocked)
    return distance, winner


class _NearestCells(torch.autograd.Function):
    """`nearest_cells` on cells (V, D, L); between the passes it keeps the winners and their distinct cells alone."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, prototypes: Tensor, blocked: Tensor | None) -> tuple[Tensor, Tensor]:
        views, _, length = cells.shape
        step = max(1, BLOCK // (len(prototypes) * length))
        groups = [slice(start, start + step) for start in range(0, views, step)]
        with torch.autocast(cells.device.type, enabled=False):
            found = [_search(cells[at], prototypes, None if blocked is None else blocked[at]) for at in groups]
        winner = torch.cat(found)
        offset = length * torch.arange(views, device=cells.device).unsqueeze(1)
        distinct, place = torch.unique(winner + offset, return_inverse=True)
        rows = cells.transpose(1, 2)[distinct // length, distinct % length]
        # A few views at a time: all (V, P, D) differences at once would be the largest array of the whole layer.
        distance = torch.cat(
            [_gaps(rows, at, prototypes).square_().sum(dim=2) for at in place.split(_at_once(prototypes))]
        )
        ctx.save_for_backward(prototypes, rows, distinct, place)
        ctx.shape = cells.shape
        ctx.mark_non_differentiable(winner)
        return distance, winner

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        prototypes, rows, distinct, place = ctx.saved_tensors
        of_cells, of_prototypes = ctx.needs_input_grad[:2]
        by_row, by_prototype = torch.zeros_like(rows), torch.zeros_like(prototypes)
        step = _at_once(prototypes)
        for at, weight in zip(place.split(step), (2 * slope).split(step), strict=True):
            # z - p itself, not its expansion: the slope of the log is 1e4 where the two meet.
            pull = _gaps(rows, at, prototypes).mul_(weight.unsqueeze(2))
            if of_cells:
                each = pull.flatten(0, 1)
                by_row.scatter_add_(0, at.reshape(-1, 1).expand_as(each), each)
            if of_prototypes:
                by_prototype.sub_(pull.sum(dim=0))
        if not of_cells:
            return None, by_prototype, None
        by_cell = rows.new_zeros(ctx.shape)
        by_cell.transpose(1, 2)[distinct // ctx.shape[2], distinct % ctx.shape[2]] = by_row
        return by_cell, by_prototype if of_prototypes else None, None


def _gaps(rows: Tensor, places: Tensor, prototypes: Tensor) -> Tensor:
    """Rows (R, D) at places (V, P), less the prototypes (P, D): shape (V, P, D)."""
    return rows.index_select(0, places.flatten()).view(*places.shape, -1).sub_(prototypes)


def _at_once(prototypes: Tensor) -> int:
    """Views whose differences to the prototypes (P, D) make up a block."""
    return max(1, BLOCK // prototypes.numel())


def _search(cells: Tensor, prototypes: Tensor, blocked: Tensor | None) -> Tensor:
    """Flat index of the cell of each view (V, D, L) nearest to each prototype, shape (V, P); blocked is (V, L) or
    (V, P, L)."""
    # |z|^2 varies over cells, |p|^2 does not: the latter cannot change the winner.
    half = cells.square().sum(dim=1, keepdim=True).mul_(0.5)
    size = max(1, BLOCK // (len(cells) * cells.shape[2]))
    winners = []
    for start in range(0, len(prototypes), size):
        some = prototypes[start : start + size]
        part = torch.baddbmm(half, some.expand(len(cells), -1, -1), cells, alpha=-1)
        if blocked is not None:
            part.masked_fill_(
                blocked.unsqueeze(1) if blocked.dim() == 2 else blocked[:, start : start + size], torch.inf
            )
        winners.append(part.min(dim=2).indices)
    return torch.cat(winners, dim=1)


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
