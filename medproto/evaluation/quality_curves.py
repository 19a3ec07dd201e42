"""Whether the patches that are shown decide: the margin while they are taken away, and while they alone are shown
(deletion and insertion, Petsiuk et al. 2018, "RISE: randomized input sampling for explanation of black-box models",
section 4.2, with patches in place of pixels).

Beside the patches in the order of their prototypes' contributions, the same patches in a random order, and as many
random patches of the breast. What is taken away is replaced by the blurred breast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medproto.bundle import Bundle
from medproto.evaluation.quality_alignment import inside_boxes
from medproto.evaluation.quality_coherence import Real, Truth, Whole, patch_boxes
from medproto.model.cells import breast_cells
from medproto.training.inputs import InputSet

#: Patches taken away or shown at each step.
DEPTHS = (1, 2, 5, 10)
#: The orders that are compared.
ORDERS = ("by contribution", "random prototypes", "random boxes")


@dataclass(frozen=True)
class Curve:
    """What is left of the margin after each step, as a share of the way from the blurred image (0) to the whole one
    (1), and the area under it. Deletion should fall early, insertion rise early."""

    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_area: float
    insertion_area: float


@dataclass(frozen=True)
class Curves:
    """Curves over images of the positive class, by order of the patches."""

    images: int
    patches: tuple[int, ...]
    curves: dict[str, Curve]


def distinct(cells: Whole) -> Whole:
    """The different values, in the order of their first appearance."""
    return cells[np.sort(np.unique(cells, return_index=True)[1])]


def area(values: tuple[float, ...], start: float) -> float:
    """Area under a curve that starts at no patch and is known after `DEPTHS`, per patch."""
    x, y = np.array((0, *DEPTHS)), np.array((start, *values))
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / x[-1])


def blurred(images: Tensor, breast: Tensor) -> Tensor:
    """Images (V, 1, Y, X), each breast pixel the mean of the breast (V, Y, X) in the square around it, a quarter of the
    shorter side wide."""
    here = (breast > 0).unsqueeze(1).float()
    reach = max(min(images.shape[2:]) // 8, 1)

    def spread(plane: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(plane, 2 * reach + 1, 1, reach)

    return torch.where(here > 0, spread(images * here) / spread(here).clamp(min=1e-6), images)


def measure_curves(bundle: Bundle, data: InputSet, cells: Whole, similarity: Real) -> Curves | None:
    """Take patches away from every image given, and show them alone.

    Args:
        cells: flat cell of each prototype's best patch, shape (V, P).
        similarity: at that cell, shape (V, P).

    Returns:
        None where there is no image, or where blurring them does not lower their margins.
    """
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    allowed = breast_cells(data.breast, field)
    blank = blurred(data.images, data.breast)
    whole, empty = (_margins(bundle, images, allowed) for images in (data.images, blank))
    span = float((whole - empty).sum())
    if span <= 0:
        return None
    contribution = bundle.margin_weights.numpy() * similarity
    chosen = [_orders(cells[i], contribution[i], allowed[i].flatten().numpy(), i) for i in range(len(data))]
    size = (data.images.shape[2], data.images.shape[3])
    curves = {}
    for name in ORDERS:
        deletion, insertion = list[float](), list[float]()
        for depth in DEPTHS:
            boxes = [torch.from_numpy(patch_boxes(order[name][:depth], field, size)) for order in chosen]
            shown = torch.stack([inside_boxes(some, size).any(dim=0) for some in boxes])
            without = _margins(bundle, torch.where(shown, blank, data.images), allowed)
            alone = _margins(bundle, torch.where(shown, data.images, blank), allowed)
            deletion.append(float((without - empty).sum()) / span)
            insertion.append(float((alone - empty).sum()) / span)
        fallen, risen = tuple(deletion), tuple(insertion)
        curves[name] = Curve(fallen, risen, area(fallen, 1.0), area(risen, 0.0))
    return Curves(len(data), DEPTHS, curves)


def _orders(cells: Whole, contribution: Real, allowed: Truth, seed: int) -> Mapping[str, Whole]:
    """Patches of one image (flat cells) in each of `ORDERS`; of random ones as many as its prototypes have."""
    generator = np.random.default_rng(seed)
    ours = distinct(cells[np.argsort(-contribution, kind="stable")])
    others = np.flatnonzero(allowed)
    count = min(len(ours), len(others))
    drawn = (ours, generator.permutation(ours), generator.choice(others, count, replace=False))
    return dict(zip(ORDERS, drawn, strict=True))


def _margins(bundle: Bundle, images: Tensor, allowed: Tensor) -> Tensor:
    """Margin of each image by itself, float64, shape (V,)."""
    with torch.no_grad():
        maps = bundle.model.similarity_maps(bundle.model.encode(images))
    best = maps.masked_fill(~allowed.unsqueeze(1), -torch.inf).flatten(2).amax(dim=2)
    return best.double() @ bundle.margin_weights
