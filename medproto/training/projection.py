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
from medproto.model.similarity import nearest_cells
from medproto.training.descent import cells_of, encode_all
from medproto.training.features import Place
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
    """For every image and prototype: squared distance (V, P), flat cell (V, P) and that cell's latent vector (V, P,
    D)."""

    distances: Tensor
    cells: Tensor
    vectors: Tensor


def nearest_patches(
    latent: Tensor, prototypes: Tensor, candidates: Tensor, labels: Tensor, prototype_class: Tensor
) -> Nearest:
    """Nearest candidate cell of each image for each prototype; infinite where they differ in class or it has none.

    Args:
        latent: shape (V, D, H, W).
        candidates: shape (V, H, W), True where a patch may be taken.
    """
    distances, cells = nearest_cells(latent, prototypes, candidates)
    barred = (labels.unsqueeze(1) != prototype_class.unsqueeze(0)) | ~candidates.flatten(1).any(dim=1, keepdim=True)
    flat = latent.flatten(2)
    vectors = torch.gather(flat, 2, cells.unsqueeze(1).expand(-1, flat.shape[1], -1)).transpose(1, 2)
    return Nearest(distances.masked_fill(barred, torch.inf), cells, vectors)


def project(model: ProtoPNet, data: InputSet, device: Place, progress: Progress | None = None) -> Projection:
    """Move every prototype onto its patch, in place; prototypes without an image of their own are dropped.

    Raises:
        TrainingError: a class has no image to take a patch from.
    """
    field = model.backbone.receptive_field(*data.images.shape[2:])
    cells = cells_of(data.breast, data.lesion, field)
    annotated = (data.lesion > 0).flatten(1).any(dim=1).view(-1, 1, 1)
    candidates = torch.where(annotated, cells.lesion, cells.allowed)
    parts = []
    for places, latent in encode_all(model, data, device, progress):
        parts.append(
            nearest_patches(
                latent.cpu(),
                model.prototypes.detach().cpu(),
                candidates[places],
                data.labels[places],
                model.prototype_class.cpu(),
            )
        )
    distances = torch.cat([part.distances for part in parts])
    chosen = assign(_without_copies(distances, data).double().numpy(), model.prototype_class.cpu().numpy())
    kept = sorted(chosen)
    flat = torch.cat([part.cells for part in parts])
    vectors = torch.cat([part.vectors for part in parts])
    width = field.columns.cells
    sources = []
    for prototype in kept:
        image = chosen[prototype]
        cell = int(flat[image, prototype])
        moved = float(distances[image, prototype])
        sources.append(Projected(image, cell // width, cell % width, moved))
    before = torch.bincount(model.prototype_class.cpu(), minlength=model.last_layer.shape[0])
    model.keep(torch.tensor(kept, device=model.prototypes.device))
    rows = torch.stack([vectors[chosen[p], p] for p in kept])
    model.prototypes.data.copy_(rows.to(model.prototypes.device))
    after = torch.bincount(model.prototype_class.cpu(), minlength=model.last_layer.shape[0])
    return Projection(tuple(sources), tuple((before - after).tolist()))


def assign(distances: NDArray[np.float64], prototype_class: NDArray[np.int64]) -> dict[int, int]:
    """Prototype -> image, one image each, at the lowest total distance within each class.

    Args:
        distances: shape (V, P), infinite where an image may not serve a prototype.

    Raises:
        TrainingError: a class has no image.
    """
    chosen: dict[int, int] = {}
    for label in np.unique(prototype_class):
        prototypes = np.flatnonzero(prototype_class == label)
        images = np.flatnonzero(np.isfinite(distances[:, prototypes]).any(axis=1))
        if not len(images):
            raise TrainingError(f"projection: got no training image of class {int(label)}, expected at least one")
        rows, columns = linear_sum_assignment(distances[np.ix_(images, prototypes)])
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
