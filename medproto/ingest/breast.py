"""Where the breast is: a mask without markers, labels, borders and film edges, and the side of the chest wall.

Digital detectors give a black background; scanned films add a grey film base, bright labels, white strips beyond the
film edge and black padding beside it. The mask is found on a copy of about 500 pixels and brought back to the
original size. The pectoral muscle stays in the mask: it is tissue that the network may see.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

Mask = NDArray[np.bool_]
Side = Literal["left", "right"]

#: Long side of the working copy in pixels.
WORKING_PX = 512
#: Labels hang on the breast by bridges thinner than twice this share of the working copy's long side.
BRIDGE = 0.02
#: Exponent that spreads the dark end, where skin and film base part.
SPREAD = 0.4
#: Below this level there is no picture: padding beside a scanned film, or an unexposed detector.
BLACK = 1.5 / 255
#: At and above this level, in the working copy, is blank film carrier or a label, or a burnt-out spot in tissue.
WHITE = 0.985


def breast_mask(pixels: NDArray[np.float32]) -> Mask:
    """Mask of the breast; empty where there is none.

    Args:
        pixels: shape (rows, columns), in [0, 1], larger is brighter (MONOCHROME2 sense).
    """
    small = _working_copy(pixels)
    tissue = _foreground(small)
    body = _largest_body(tissue, small)
    if not body.any():
        return np.zeros(pixels.shape, dtype=np.bool_)
    rows, columns = pixels.shape
    picture = Image.fromarray(body.astype(np.uint8) * np.uint8(255))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR)) >= 128


def chest_wall_side(mask: Mask) -> Side:
    """Side of the stored picture where the chest wall lies: where the outline is straight along most rows.

    Args:
        mask: shape (rows, columns), not empty.
    """
    filled = np.flatnonzero(mask.any(axis=1))
    band = mask[filled]
    columns = mask.shape[1]
    first = band.argmax(axis=1)
    last = columns - 1 - band[:, ::-1].argmax(axis=1)
    near = max(1.0, 0.03 * (last.max() - first.min()))
    straight_left = int((first - first.min() <= near).sum())
    straight_right = int((last.max() - last <= near).sum())
    return "left" if straight_left >= straight_right else "right"


def _working_copy(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Box-averaged copy whose long side is about `WORKING_PX`."""
    factor = max(1, round(max(pixels.shape) / WORKING_PX))
    if factor == 1:
        return pixels
    reduced = Image.fromarray(pixels).reduce(factor)
    return np.asarray(reduced, dtype=np.float32)


def _foreground(small: NDArray[np.float32]) -> Mask:
    """Whatever is brighter than the film base or the unexposed detector."""
    lit = small > BLACK
    spread = np.power(small, SPREAD, dtype=np.float32)
    if lit.sum() < 16 or np.ptp(spread[lit]) < 1e-3:
        return lit
    return np.asarray(spread > threshold_otsu(spread[lit]))


def _largest_body(tissue: Mask, small: NDArray[np.float32]) -> Mask:
    """The largest connected body once bridges to labels are cut, holes filled."""
    radius = BRIDGE * max(tissue.shape)
    padded = np.pad(tissue & (small < WHITE), 1, mode="edge")
    core = ndimage.distance_transform_edt(padded)[1:-1, 1:-1] > radius
    labels, count = ndimage.label(core)
    if count == 0:
        return np.zeros_like(tissue)
    areas = np.bincount(labels.ravel())[1:]
    largest = labels == int(areas.argmax()) + 1
    near = ndimage.distance_transform_edt(~largest) <= radius + 1.5
    return np.asarray(ndimage.binary_fill_holes(near & tissue), dtype=np.bool_)
