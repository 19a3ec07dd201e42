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
#: A picture whose spread values lie within this range shows nothing.
FLAT = 1e-3
#: Width of the rim of thin tissue that a first, coarse threshold can miss, as a share of the long side.
RIM = 0.06
#: Where skin begins between background and median tissue: above the noise, within these bounds; film edges glow below.
SKIN = (0.055, 0.08)
#: A background this bright, as a share of the tissue, is tissue too: the picture is a detail without background.
FULL = 0.35
#: At and below this level nothing was exposed: padding beside a film, or an unexposed detector.
BLACK = 1.5 / 255
#: Least share of the picture that is film base where there is any.
FILM = 0.03
#: At and above this level, in the working copy, is blank film carrier or a label, or a burnt-out spot in tissue.
WHITE = 0.985


def breast_mask(pixels: NDArray[np.float32]) -> Mask:
    """Mask of the breast; empty where there is none.

    Args:
        pixels: shape (rows, columns), in [0, 1], larger is brighter (MONOCHROME2 sense).
    """
    small = _working_copy(pixels)
    spread = np.power(small, SPREAD, dtype=np.float32)
    level = _otsu(spread)
    body = _largest_body(spread > level, small)
    if not body.any():
        return np.zeros(pixels.shape, dtype=np.bool_)
    body = _grown_to_skin(body, small, spread <= level)
    rows, columns = pixels.shape
    picture = Image.fromarray(body.astype(np.uint8) * np.uint8(255))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR)) >= 128


def chest_wall_side(mask: Mask) -> Side:
    """Side of the stored picture where the chest wall lies: where the outline is straight along most rows.

    Args:
        mask: shape (rows, columns); `left` where it is empty.
    """
    filled = np.flatnonzero(mask.any(axis=1))
    if filled.size == 0:
        return "left"
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


def _otsu(spread: NDArray[np.float32]) -> float:
    """Level that parts tissue from background; above everything where the picture is flat."""
    if np.ptp(spread) < FLAT:
        return float("inf")
    return float(threshold_otsu(spread))  # type: ignore[no-untyped-call]


def _grown_to_skin(body: Mask, small: NDArray[np.float32], dark: Mask) -> Mask:
    """The body with its rim of thin tissue, down to just above the background around it."""
    reach = RIM * max(body.shape)
    distance = ndimage.distance_transform_edt(~body)
    background = small[dark & (distance > reach)]
    film = background[background > BLACK]
    if film.size > FILM * small.size:
        # black padding beside a scanned film says nothing of the film base around the breast
        background = film
    tissue = float(np.median(small[body]))
    base = float(np.median(background)) if background.size else float(np.median(small[dark]))
    if base > FULL * tissue:
        return np.ones_like(body)
    noise = 1.4826 * float(np.median(np.abs(background - base))) if background.size else 0.0
    skin = min(max(4.0 * noise / (tissue - base), SKIN[0]), SKIN[1])
    threshold = base + skin * (tissue - base)
    return _largest_body((small > threshold) & (distance <= reach), small)


def _largest_body(tissue: Mask, small: NDArray[np.float32]) -> Mask:
    """The largest connected body once bridges to labels are cut, holes filled.

    Beyond the upper and lower edge tissue goes on; beyond the lateral edges it does not, so that strips of light along
    a film edge go the way of bridges.
    """
    radius = BRIDGE * max(tissue.shape)
    shaded = tissue & (small < WHITE)
    if 2 * shaded.sum() < tissue.sum():
        # more white than shades: an over-exposed breast, not labels beside one
        shaded = tissue
    padded = np.pad(np.pad(shaded, ((1, 1), (0, 0)), mode="edge"), ((0, 0), (1, 1)))
    core = ndimage.distance_transform_edt(padded)[1:-1, 1:-1] > radius
    labels, count = ndimage.label(core)
    if count == 0:
        return np.zeros_like(tissue)
    areas = np.bincount(labels.ravel())[1:]
    largest = labels == int(areas.argmax()) + 1
    near = ndimage.distance_transform_edt(~largest) <= radius + 1.5
    return np.asarray(ndimage.binary_fill_holes(near & tissue), dtype=np.bool_)
