"""Fewer prototypes: those whose neighbours are of other classes go (Chen et al. 2019, supplement), twins become one.

Both functions only report; who calls them keeps the prototypes they name. Neither leaves a class without a prototype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medproto.errors import TrainingError
from medproto.training.projection import Projected

#: The paper looks at so many nearest training images, and wants so many of them to share the prototype's class.
NEIGHBOURS, SHARING = 6, 3


@dataclass(frozen=True)
class Pruned:
    """What pruning found: nearest (P, k) images, nearest first; passed (P,) the rule; kept, by index.

    A class in which no prototype passes keeps the one with most neighbours of its class, the first on a tie: `rescued`.
    dropped: how many of each class.
    """

    nearest: Tensor
    passed: Tensor
    kept: tuple[int, ...]
    rescued: tuple[int, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Likeness:
    """Two prototypes of a class are twins below this squared distance, or where their patches overlap in one image.

    patch_cells: side of a patch in latent cells.
    """

    squared_distance: float
    patch_cells: int = 1


@dataclass(frozen=True)
class Merged:
    """What merging found: into[p] is the prototype that p becomes, itself where it stays; kept, by index.

    last_layer (C, len(kept)): each column the sum of those that became one. merged: how many of each class went.
    """

    into: tuple[int, ...]
    kept: tuple[int, ...]
    last_layer: Tensor
    merged: tuple[int, ...]


def prune(
    distances: Tensor, labels: Tensor, prototype_class: Tensor, neighbours: int = NEIGHBOURS, sharing: int = SHARING
) -> Pruned:
    """Keep the prototypes of whose nearest training images enough share their class.

    Args:
        distances: shape (V, P), of each prototype to the nearest cell of each image; equal ones count in image order.
        labels: shape (V,).
        prototype_class: shape (P,).

    Raises:
        TrainingError: there are fewer images than neighbours.
    """
    if len(distances) < neighbours:
        raise TrainingError(f"pruning: got {len(distances)} training images, expected at least {neighbours}")
    nearest = distances.sort(dim=0, stable=True).indices[:neighbours].T
    shared = (labels[nearest] == prototype_class.unsqueeze(1)).sum(dim=1)
    passed = shared >= sharing
    rescued = []
    for label in prototype_class.unique():
        own = prototype_class == label
        if not passed[own].any():
            # argmax takes the first of equals
            rescued.append(int(torch.where(own, shared, -1).argmax()))
    stays = passed.clone()
    stays[rescued] = True
    kept = tuple(stays.nonzero().flatten().tolist())
    return Pruned(nearest, passed, kept, tuple(rescued), _per_class(~stays, prototype_class))


def merge_twins(
    prototypes: Tensor, last_layer: Tensor, prototype_class: Tensor, sources: Sequence[Projected], likeness: Likeness
) -> Merged:
    """Each prototype becomes the first one kept of its class that is its twin; their last-layer weights are added.

    A chain of twins does not collapse: whatever is merged is a twin of the very prototype that it becomes.

    Args:
        prototypes: shape (P, D).
        last_layer: shape (C, P).
        prototype_class: shape (P,).
        sources: where each prototype was taken from, P of them.

    Raises:
        TrainingError: the number of sources is not that of the prototypes.
    """
    if len(sources) != len(prototypes):
        raise TrainingError(f"merging: got {len(sources)} sources, expected one for each of {len(prototypes)}")
    into: list[int] = []
    for p, source in enumerate(sources):
        earlier = [k for k in range(p) if into[k] == k and prototype_class[k] == prototype_class[p]]
        near = (prototypes[earlier] - prototypes[p]).square().sum(dim=1) < likeness.squared_distance
        twins = (
            k
            for k, close in zip(earlier, near.tolist(), strict=True)
            if close or _overlap(sources[k], source, likeness.patch_cells)
        )
        into.append(next(twins, p))
    kept = [p for p, k in enumerate(into) if p == k]
    column = torch.tensor([kept.index(k) for k in into], dtype=torch.long, device=last_layer.device)
    added = last_layer.new_zeros(last_layer.shape[0], len(kept)).index_add_(1, column, last_layer.detach())
    gone = torch.tensor([p != k for p, k in enumerate(into)], dtype=torch.bool)
    return Merged(tuple(into), tuple(kept), added, _per_class(gone, prototype_class))


def _overlap(one: Projected, other: Projected, patch_cells: int) -> bool:
    rows, columns = abs(one.row - other.row), abs(one.column - other.column)
    return one.image == other.image and max(rows, columns) < patch_cells


def _per_class(gone: Tensor, prototype_class: Tensor) -> tuple[int, ...]:
    classes = int(prototype_class.max()) + 1
    return tuple(torch.bincount(prototype_class.cpu()[gone.cpu()], minlength=classes).tolist())
