"""Where on the input a match comes from, as boxes of one area that were found in three ways.

`patch` is the square around the cell's receptive-field centre, `threshold` the rectangle around the peak of the
similarity map, `attribution` the square that holds most of gradient x input (Shrikumar et al. 2017, "Learning important
features through propagating activation differences", as their baseline). Equal areas make them comparable: what is
blanked is as large in each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medproto.model.protopnet import ProtoPNet
from medproto.model.receptive_field import ReceptiveField
from medproto.pictures import interpolation, strength
from medproto.records import BoxKind

#: The map's region ends where its strength, between the breast's median and its maximum, falls below this share.
REGION_SHARE = 0.5
#: Areas that boxes may have, in cells: few, so that exams can be compared.
AREAS_CELLS = (1, 2, 4, 9)


@dataclass(frozen=True)
class InputBox:
    """A rectangle on the model's input, in continuous pixels: rows [top, bottom), columns [left, right)."""

    top: float
    left: float
    bottom: float
    right: float

    @property
    def height(self) -> float:
        """Rows, fractions included."""
        return self.bottom - self.top

    @property
    def width(self) -> float:
        """Columns, fractions included."""
        return self.right - self.left

    @property
    def area_px(self) -> float:
        """Input pixels, fractions included."""
        return self.height * self.width

    def moved_into(self, limits: InputBox) -> InputBox:
        """The same box, moved as little as it takes to lie in the limits, which it must not exceed in size."""
        top = min(max(self.top, limits.top), limits.bottom - self.height)
        left = min(max(self.left, limits.left), limits.right - self.width)
        return InputBox(top, left, top + self.height, left + self.width)


@dataclass(frozen=True)
class Place:
    """Where a prototype found its best match in an exam: view, and row and column of the cell."""

    prototype: int
    view: int
    cell: tuple[int, int]


def largest_area_px(limits: InputBox) -> float:
    """The largest square that fits."""
    return min(limits.height, limits.width) ** 2


def square(centre: tuple[float, float], area_px: float, limits: InputBox) -> InputBox:
    """The square of that area around a point, moved into the limits."""
    half = math.sqrt(area_px) / 2
    row, column = centre
    return InputBox(row - half, column - half, row + half, column + half).moved_into(limits)


def gradients(model: ProtoPNet, images: Tensor, places: Sequence[Place]) -> Tensor:
    """|gradient x input| of the similarity at each place's cell, shape (M, Y, X).

    Args:
        images: shape (V, 1, Y, X), in [0, 1].
    """
    found = dict[int, Tensor]()
    for view in sorted({place.view for place in places}):
        image = images[view : view + 1].detach().clone().requires_grad_(True)
        with torch.enable_grad():
            latent = model.encode(image)[0]
            for k, place in enumerate(places):
                if place.view == view:
                    distance = (latent[:, *place.cell] - model.prototypes[place.prototype]).square().sum()
                    (slope,) = torch.autograd.grad(model.similarity_of(distance), image, retain_graph=True)
                    found[k] = (slope * image).detach().abs()[0, 0]
    return torch.stack([found[k] for k in range(len(places))])


def region(
    similarity: NDArray[np.float32], allowed: NDArray[np.bool_], field: ReceptiveField, size_px: tuple[int, int]
) -> InputBox:
    """The smallest rectangle around the region of the interpolated map that holds its peak, cut to the input.

    Args:
        similarity: shape (H, W), the map that was scored.
        allowed: shape (H, W), cells that could win.
    """
    shown = strength(similarity, allowed)
    down, across = (
        interpolation(axis, np.arange(length, dtype=np.float64) + 0.5)
        for axis, length in zip((field.rows, field.columns), size_px, strict=True)
    )
    spread = down @ shown @ across.T
    # The pixel nearest to the best cell's centre: the interpolated map is highest there.
    labels, _ = ndimage.label(spread >= min(REGION_SHARE, float(spread.max())))
    rows, columns = ndimage.find_objects(labels)[int(labels.flat[spread.argmax()]) - 1]
    return InputBox(rows.start, columns.start, rows.stop, columns.stop)


def area_of(rectangle: InputBox, field: ReceptiveField, limits: InputBox) -> float:
    """Area in input pixels of a view's boxes: of the allowed ones the nearest in ratio to the rectangle's."""
    cell_px = field.rows.jump_px * field.columns.jump_px
    cells = min(AREAS_CELLS, key=lambda count: abs(math.log(rectangle.area_px / (count * cell_px))))
    return min(cells * cell_px, largest_area_px(limits))


def boxes(
    rectangle: InputBox, weight: Tensor, place: tuple[float, float], frame: tuple[float, InputBox]
) -> dict[BoxKind, InputBox]:
    """The three boxes of one match, of equal area.

    Args:
        rectangle: around the region of its map.
        weight: |gradient x input| in the breast, shape (Y, X).
        place: row and column of the receptive field's centre.
        frame: the area in input pixels, and the limits in which the boxes lie.
    """
    area_px, limits = frame
    return {
        "patch": square(place, area_px, limits),
        "threshold": _scaled(rectangle, place, area_px, limits),
        "attribution": _heaviest(weight, area_px, limits),
    }


def _scaled(rectangle: InputBox, place: tuple[float, float], area_px: float, limits: InputBox) -> InputBox:
    """The rectangle scaled about a point inside to that area; its sides keep their ratio where the limits allow."""
    factor = math.sqrt(area_px / rectangle.area_px)
    height = min(rectangle.height * factor, limits.height)
    width = min(area_px / height, limits.width)
    height = area_px / width
    top = place[0] - (place[0] - rectangle.top) * height / rectangle.height
    left = place[1] - (place[1] - rectangle.left) * width / rectangle.width
    return InputBox(top, left, top + height, left + width).moved_into(limits)


def _heaviest(weight: Tensor, area_px: float, limits: InputBox) -> InputBox:
    """The square of that area, on whole pixels, that holds most of the weight; the first on a tie."""
    side = math.sqrt(area_px)
    window = max(round(side), 1)
    rows, columns = (min(window, length) for length in weight.shape)
    total = torch.nn.functional.pad(weight.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    sums = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    # A window is whole pixels wide, the box as wide as the others: both have the same centre.
    return square((top + rows / 2, left + columns / 2), area_px, limits)
