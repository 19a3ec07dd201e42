"""Where on the input a latent cell looks: start, jump and size, for the input size at hand.

Coordinates are continuous pixels: pixel i covers [i, i + 1), so its centre is i + 0.5. A cell's centre is computed
from the padding that each layer really applies, because TF-style SAME padding depends on the input size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import nn


@dataclass(frozen=True)
class Axis:
    """Receptive field along one axis: centre of cell 0, distance between cells, extent; all in input pixels."""

    start_px: float
    jump_px: int
    size_px: int
    cells: int

    def centre_px(self, cell: float) -> float:
        """Centre of a cell, in continuous input pixels."""
        return self.start_px + cell * self.jump_px


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of a latent map for one input size."""

    rows: Axis
    columns: Axis

    def moved(self, rows_px: float, columns_px: float) -> ReceptiveField:
        """The same field with its centres moved."""
        rows = replace(self.rows, start_px=self.rows.start_px + rows_px)
        return ReceptiveField(rows, replace(self.columns, start_px=self.columns.start_px + columns_px))


@dataclass(frozen=True)
class Window:
    """One sliding-window layer along one axis; `padding` is None for TF-style SAME padding."""

    kernel: int
    stride: int
    padding: int | None


def windows(module: nn.Module) -> list[Window]:
    """The sliding-window layers of a module, in the order of its definition, which must be that of its longest path.

    That holds for chains, for residual blocks whose shortcut is bare, and for dense blocks, whose longest path runs
    through every layer; not where a shortcut has layers of its own. Only square kernels occur in what we offer.
    """
    found = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride = _one(layer.kernel_size), _one(layer.stride)
            same = type(layer).__name__ == "Conv2dSame" or isinstance(layer.padding, str)
            found.append(Window(kernel, stride, None if same else _one(layer.padding)))
    return found


def receptive_field(layers: Iterable[Window], input_rows: int, input_columns: int) -> ReceptiveField:
    """Receptive field of the last of `layers` for an input of that size, in pixels."""
    steps = list(layers)
    return ReceptiveField(_along(steps, input_rows), _along(steps, input_columns))


def _along(layers: list[Window], length: int) -> Axis:
    start, jump, size = 0.5, 1, 1
    for layer in layers:
        if layer.padding is None:
            out = math.ceil(length / layer.stride)
            before = max((out - 1) * layer.stride + layer.kernel - length, 0) // 2
        else:
            before = layer.padding
            out = (length + 2 * before - layer.kernel) // layer.stride + 1
        start += ((layer.kernel - 1) / 2 - before) * jump
        size += (layer.kernel - 1) * jump
        jump *= layer.stride
        length = out
    return Axis(start, jump, size, length)


def _one(value: object) -> int:
    return int(value[0]) if isinstance(value, tuple) else int(value)  # type: ignore[call-overload]
