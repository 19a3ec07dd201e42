"""Stage 2: every prototype becomes the nearest latent patch of its own class (Chen et al. 2019, section 2.2).

1. The patch comes from a training image that carries the class, from inside its annotated lesion where it has one.
2. No two prototypes share an image, so none share a patch: prototypes are assigned to images at the lowest total
distance.
3. Images with equal pixels count once; ties go to the first image, then to the first cell.
4. Where a class has fewer images than prototypes the surplus is dropped and reported; a class without images is an
error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from medproto.errors import TrainingError
from medproto.model.protopnet import ProtoPNet
from medproto.training import processes
from medproto.training.batches import cells_of
from medproto.training.features import Place, feature_batches
from medproto.training.inputs import InputSet, Progress


@dataclass(frozen=True)
class Projected:
    """Where one prototype was taken from: image index, cell, and the squared L2 distance it was moved by."""

    image: int
    row: int
    column: int
    moved: float


@dataclass(frozen=True)
class Projection:
    """Sources of the prototypes that remain, in their order, and how many of each class were dropped."""

    sources: tuple[Projected, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Nearest:
    """Nearest candidate cell of each image for each prototype of its own class; K is the size of the largest class.

    distances (V, K) squared, infinite where the image has no candidate or its class no such prototype; cells (V, K)
    flat; vectors (V, K, D) the latent vectors there. Column `slot[p]` (P,) belongs to prototype p, in the rows of its
    class.
    """

    distances: Tensor
    cells: Tensor
    vectors: Tensor
    slot: Tensor


def nearest_patches(
    latent: Tensor, prototypes: Tensor, candidates: Tensor, labels: Tensor, prototype_class: Tensor
) -> Nearest:
    """Search every image for the prototypes of its own class alone, the first cell on a tie.

    Args:
        latent: shape (V, D, H, W).
        prototypes: shape (P, D).
        candidates: shape (V, H, W), True where a patch may be taken.
        labels: shape (V,).
        prototype_class: shape (P,).
    """
    wide = torch.promote_types(latent.dtype, torch.float32)
    slot = slots(prototype_class)
    classes = int(torch.cat([labels, prototype_class]).max()) + 1
    members = torch.full((classes, int(slot.max()) + 1), -1)
    members[prototype_class, slot] = torch.arange(len(prototypes))
    own = members[labels]
    wanted, cells = prototypes.to(wide)[own.clamp(min=0)], latent.to(wide).flatten(2)
    # |z|^2 varies over cells, |p|^2 does not: the latter cannot change the winner.
    half = torch.linalg.vector_norm(cells, dim=1, keepdim=True).square_().mul_(0.5)
    search = torch.baddbmm(half, wanted, cells, alpha=-1)
    winner = search.masked_fill_(~candidates.flatten(1).unsqueeze(1), torch.inf).argmin(dim=2)
    vectors = cells.gather(2, winner.unsqueeze(1).expand(-1, cells.shape[1], -1)).transpose(1, 2)
    # |z - p|^2 itself: the expansion that finds the winner is off by about 1e-5 near zero.
    distances = (vectors - wanted).square().sum(dim=2)
    barred = (own < 0) | ~candidates.flatten(1).any(dim=1, keepdim=True)
    return Nearest(distances.masked_fill(barred, torch.inf), winner, vectors, slot)


def slots(prototype_class: Tensor) -> Tensor:
    """The place of each prototype among those of its class, from 0, shape (P,)."""
    order = prototype_class.argsort(stable=True)
    counts = torch.bincount(prototype_class)
    first = counts.cumsum(0) - counts
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order)) - first[prototype_class[order]]
    return place


def project(model: ProtoPNet, data: InputSet, device: Place, progress: Progress | None = None) -> Projection:
    """Move every prototype onto its patch, in place; prototypes without an image of their own are dropped.

    Of several processes each encodes its share of the images; all come to the same result.

    Raises:
        TrainingError: a class has no image to take a patch from.
    """
    field = model.backbone.receptive_field(*data.images.shape[2:])
    cells = cells_of(data.breast, data.lesion, field)
    annotated = (data.lesion > 0).flatten(1).any(dim=1).view(-1, 1, 1)
    candidates = torch.where(annotated, cells.lesion, cells.allowed)
    owners = model.prototype_class.cpu()
    found = _search(model, data, candidates, device, progress)
    distances = found.distances
    chosen = assign(_without_copies(distances, data).double().numpy(), data.labels.numpy(), owners.numpy())
    kept = sorted(chosen)
    images = torch.tensor([chosen[prototype] for prototype in kept])
    columns = found.slot[kept]
    flat = found.cells[images, columns].tolist()
    moved, width = distances[images, columns].tolist(), field.columns.cells
    sources = tuple(
        Projected(image, cell // width, cell % width, distance)
        for image, cell, distance in zip(images.tolist(), flat, moved, strict=True)
    )
    model.keep(torch.tensor(kept, device=model.prototypes.device))
    model.prototypes.data.copy_(found.vectors[images, columns].to(model.prototypes.device))
    classes = model.last_layer.shape[0]
    before, after = (torch.bincount(each.cpu(), minlength=classes) for each in (owners, model.prototype_class))
    return Projection(sources, tuple((before - after).tolist()))


def _search(model: ProtoPNet, data: InputSet, candidates: Tensor, device: Place, progress: Progress | None) -> Nearest:
    """`nearest_patches` of all images on the processor, each process's share encoded there."""
    share = processes.own_share(len(data))
    masks, labels = candidates[share], data.labels[share]
    vectors, owners = model.prototypes.detach().cpu(), model.prototype_class.cpu()
    model.eval()
    parts = []
    for places, features in feature_batches(model.backbone, data.images[share], device):
        with torch.no_grad():
            latent = model.latent(features).cpu()
        parts.append(nearest_patches(latent, vectors, masks[places], labels[places], owners))
        if progress:
            progress(places.stop, len(labels))
    found = zip(*((part.distances, part.cells, part.vectors) for part in parts), strict=True)
    distances, winners, patches = (processes.gathered(torch.cat(each), len(data)) for each in found)
    return Nearest(distances, winners, patches, parts[0].slot)


def assign(
    distances: NDArray[np.float64], labels: NDArray[np.int64], prototype_class: NDArray[np.int64]
) -> dict[int, int]:
    """Prototype -> image, one image each, at the lowest total distance within each class.

    Args:
        distances: shape (V, K), each image to the prototypes of its class in their order; infinite where an image may
            not serve.
        labels: shape (V,).
        prototype_class: shape (P,).

    Raises:
        TrainingError: a class has no image.
    """
    chosen: dict[int, int] = {}
    for label in np.unique(prototype_class):
        prototypes = np.flatnonzero(prototype_class == label)
        own = distances[:, : len(prototypes)]
        images = np.flatnonzero((labels == label) & np.isfinite(own).any(axis=1))
        if not len(images):
            raise TrainingError(f"projection: got no training image of class {int(label)}, expected at least one")
        rows, columns = linear_sum_assignment(own[images])
        chosen |= {int(prototypes[column]): int(images[row]) for row, column in zip(rows, columns, strict=True)}
    return chosen


def _without_copies(distances: Tensor, data: InputSet) -> Tensor:
    """Infinite distance for every later image with the pixels and region of an earlier one."""
    seen: set[tuple[str, str]] = set()
    distances = distances.clone()
    for i, source in enumerate(data.sources):
        key = (source.pixels_sha256, str(source.row.region))
        if key in seen:
            distances[i] = torch.inf
        seen.add(key)
    return distances
