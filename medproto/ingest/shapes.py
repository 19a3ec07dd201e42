"""Shapes in masks of a few hundred pixels: grown, opened, filled, the largest piece, and the box around it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]


def box_around(mask: Mask, margin: int) -> Box:
    """Rows and columns of the upright box around a mask that is not empty, wider on all sides by the margin.

    A negative margin makes it narrower, at last empty.
    """
    sides = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    rows, columns = (slice(max(0, int(one[0]) - margin), max(0, int(one[-1]) + margin + 1)) for one in sides)
    return rows, columns


def grown(mask: Mask, radius: float) -> Mask:
    """What lies within the radius of the mask: a disc is moved over it.

    All rows are one whole number, a bit a pixel, with room between them that takes what leaves a row at its ends: so
    one shift moves the whole mask.
    """
    rows, columns = mask.shape
    reach = int(radius)
    roomy = np.zeros((rows, columns + reach), np.bool_)
    roomy[:, :columns] = mask
    bits = int.from_bytes(np.packbits(roomy, bitorder="little").tobytes(), "little")
    # what lies within 0, 1, 2 ... pixels along the row
    along = [bits]
    for offset in range(1, reach + 1):
        along.append(along[-1] | bits << offset | bits >> offset)
    grown = along[reach]
    for offset in range(1, min(reach, rows - 1) + 1):
        near, shift = along[int(math.sqrt(radius * radius - offset * offset))], offset * roomy.shape[1]
        grown |= near << shift | near >> shift
    grown &= (1 << roomy.size) - 1
    packed = np.frombuffer(grown.to_bytes(-(-roomy.size // 8), "little"), np.uint8)
    return np.unpackbits(packed, count=roomy.size, bitorder="little").view(np.bool_).reshape(roomy.shape)[:, :columns]


def opened(mask: Mask) -> Mask:
    """The mask without what is thinner than three pixels, along rows or columns; nothing stays at the border."""
    inner = np.zeros_like(mask)
    core = mask[1:-1, 1:-1]
    inner[1:-1, 1:-1] = core & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return grown(inner, 1.0)


def filled(mask: Mask) -> Mask:
    """The mask without holes: background that no path joins to the border."""
    labels, count = ndimage.label(~mask)
    hole = np.ones(count + 1, dtype=np.bool_)
    hole[np.concatenate([[0], labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = False
    return mask | hole[labels] if hole.any() else mask


def largest_piece(mask: Mask) -> Mask:
    """The largest connected part of a mask that is not empty."""
    labels, count = ndimage.label(mask)
    return mask if count == 1 else np.asarray(labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1)
