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
from medproto.evaluation.classification import Interval
from medproto.evaluation.intervals import Places, by_patient
from medproto.evaluation.quality_alignment import inside_boxes
from medproto.evaluation.quality_coherence import Real, Truth, Whole, patch_boxes
from medproto.model.cells import breast_cells
from medproto.training.inputs import InputSet, Progress

#: Patches taken away or shown at each step.
DEPTHS = (1, 2, 5, 10)
#: The orders that are compared.
ORDERS = ("by contribution", "random prototypes", "random boxes")
#: Steps of which progress is told.
STEPS = len(ORDERS) * len(DEPTHS)


@dataclass(frozen=True)
class Curve:
    """What is left of the margin after each step, as a share of the way from the blurred image (0) to the whole one
    (1), and the area under it with its interval by patient. Deletion should fall early, insertion rise early."""

    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_area: Interval | None
    insertion_area: Interval | None


@dataclass(frozen=True)
class Gain:
    """How far the area of deletion lies below that of a random order, and that of insertion above; more than 0 where
    the order by contribution is better, with intervals by patient."""

    deletion: Interval | None
    insertion: Interval | None


@dataclass(frozen=True)
class Curves:
    """Curves over images of the positive class, by order of the patches; `gains` over the random orders."""

    images: int
    patients: int
    patches: tuple[int, ...]
    curves: dict[str, Curve]
    gains: dict[str, Gain]


@dataclass(frozen=True)
class _Left:
    """Margins above those of the blurred images: of whole images (V,), and after each step (O, T, V) of each order."""

    whole: Real
    deletion: Real
    insertion: Real

    def share(self, margins: Real, places: Places | slice = slice(None)) -> Real:
        """Of the summed margins of those images, shape (O, T); NaN where blurring does not lower these."""
        span = float(self.whole[places].sum())
        found: Real = margins[..., places].sum(axis=-1) / (span if span > 0 else np.nan)
        return found

    def areas(self, places: Places) -> list[float]:
        """Areas of deletion and of insertion, by order, then the gains over each random order."""
        fallen, risen = self.share(self.deletion, places), self.share(self.insertion, places)
        found = [(area(tuple(down), 1.0), area(tuple(up), 0.0)) for down, up in zip(fallen, risen, strict=True)]
        gains = [(down - found[0][0], found[0][1] - up) for down, up in found[1:]]
        return [value for pair in (*found, *gains) for value in pair]


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


def measure_curves(
    bundle: Bundle, data: InputSet, peaks: tuple[Whole, Real], progress: Progress | None = None
) -> Curves | None:
    """Take patches away from every image given, and show them alone.

    Args:
        peaks: flat cell of each prototype's best patch, shape (V, P), and the similarity there, shape (V, P).
        progress: called with steps done and all steps.

    Returns:
        None where there is no image, or where blurring them does not lower their margins.
    """
    left = _margins_left(bundle, data, peaks, progress)
    if left is None:
        return None
    found = by_patient(left.areas, data.patients())
    areas = list(zip(found[::2], found[1::2], strict=True))
    fallen, risen = left.share(left.deletion).tolist(), left.share(left.insertion).tolist()
    parts = zip(ORDERS, fallen, risen, areas[: len(ORDERS)], strict=True)
    return Curves(
        images=len(data),
        patients=len(set(data.patients())),
        patches=DEPTHS,
        curves={name: Curve(tuple(down), tuple(up), *both) for name, down, up, both in parts},
        gains={name: Gain(*both) for name, both in zip(ORDERS[1:], areas[len(ORDERS) :], strict=True)},
    )


def _margins_left(bundle: Bundle, data: InputSet, peaks: tuple[Whole, Real], progress: Progress | None) -> _Left | None:
    cells, similarity = peaks
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    allowed = breast_cells(data.breast, field)
    blank = blurred(data.images, data.breast)
    whole, empty = (_margins(bundle, images, allowed) for images in (data.images, blank))
    if float((whole - empty).sum()) <= 0:
        return None
    contribution = bundle.margin_weights.numpy() * similarity
    chosen = [_orders(cells[i], contribution[i], allowed[i].flatten().numpy(), i) for i in range(len(data))]
    size = (data.images.shape[2], data.images.shape[3])
    without, alone = list[Tensor](), list[Tensor]()
    for name in ORDERS:
        for depth in DEPTHS:
            boxes = [torch.from_numpy(patch_boxes(order[name][:depth], field, size)) for order in chosen]
            shown = torch.stack([inside_boxes(some, size).any(dim=0) for some in boxes])
            without.append(_margins(bundle, torch.where(shown, blank, data.images), allowed) - empty)
            alone.append(_margins(bundle, torch.where(shown, data.images, blank), allowed) - empty)
            if progress:
                progress(len(alone), STEPS)
    shape = (len(ORDERS), len(DEPTHS), len(data))
    deletion, insertion = (torch.stack(steps).view(shape).numpy() for steps in (without, alone))
    return _Left((whole - empty).numpy(), deletion, insertion)


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
