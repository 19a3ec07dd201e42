"""What pictures that are not plain screening views look like; the breast's chest wall lies on the left edge.

Every function maps a picture without annotations, in [0, 1], and the (row, column) of what it shows, to a picture of
the same shape (Y, X).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from medproto.datasets.phantom.anatomy import COLUMNS, ROWS, SPACING_MM, Field

Place = tuple[int, int]
Distortion = Callable[[Field, Place], Field]

#: How much a magnification view enlarges.
MAGNIFICATION = 1.8
#: Brightness that is tissue, not air.
_TISSUE = 0.12
_AIR = 0.02
#: Rows and columns beside the field of a magnification view.
_BLIND = 60


def as_it_is(picture: Field, place: Place) -> Field:
    """The picture itself."""
    return picture


def magnified(picture: Field, place: Place) -> Field:
    """The surroundings of the place, enlarged as on a raised support, in a field smaller than the detector."""
    field = _air_like(picture)
    shown = slice(_BLIND, ROWS - _BLIND), slice(0, COLUMNS - _BLIND)
    field[shown] = _enlarged(picture, place, MAGNIFICATION)[shown]
    return field


def spot_compressed(picture: Field, place: Place) -> Field:
    """The field of a round paddle of 9 cm around the place, its rim just seen, and nothing beside it."""
    rows, columns = np.ogrid[0:ROWS, 0:COLUMNS]
    from_rim_mm = 45 - SPACING_MM * np.hypot(rows - place[0], columns - place[1])
    field = np.clip(from_rim_mm / 0.6 + 0.5, 0, 1)
    rim = 0.15 * np.exp(-((from_rim_mm / 0.5) ** 2))
    return np.asarray(np.clip(_AIR + field * (picture - _AIR) + rim, 0, 1), dtype=np.float32)


def with_implant(picture: Field, place: Place) -> Field:
    """A bright smooth implant before the chest wall, with tissue stretched over it."""
    tissue = picture > _TISSUE
    depths = tissue.sum(axis=1)
    middle = int(np.argmax(depths))
    rows, columns = np.ogrid[0:ROWS, 0:COLUMNS]
    reach = 0.72 * float(depths[middle])
    inside = 1 - np.hypot((rows - middle) / (1.15 * reach), columns / reach)
    body = np.clip(inside / 0.02 + 0.5, 0, 1) * tissue
    shown = 0.86 + 0.1 * np.clip(inside, 0, 1) + 0.1 * (picture - 0.4)
    return np.asarray(np.clip(picture + body * (np.maximum(shown, picture) - picture), 0, 1), dtype=np.float32)


def moved_down(picture: Field, place: Place) -> Field:
    """The breast so far down that its lower part lies below the picture."""
    rows = np.flatnonzero((picture > _TISSUE).any(axis=1))
    gone = int(0.4 * (rows[-1] - rows[0])) + ROWS - int(rows[-1])
    return np.concatenate([_air_like(picture)[:gone], picture[: ROWS - gone]])


def too_large(picture: Field, place: Place) -> Field:
    """A breast that reaches beyond the edge of the detector."""
    depths = (picture > _TISSUE).sum(axis=1)
    return _enlarged(picture, (int(np.argmax(depths)), 0), 1.35 * COLUMNS / float(depths.max()))


def air(picture: Field, place: Place) -> Field:
    """An exposure without a breast."""
    return _air_like(picture)


def over_exposed(picture: Field, place: Place) -> Field:
    """Shades of tissue driven to white."""
    return np.asarray(np.clip(np.maximum(picture, 8 * picture - 0.4), 0, 1), dtype=np.float32)


def upside_down(picture: Field, place: Place) -> Field:
    """The picture stored from below."""
    return picture[::-1].copy()


def _enlarged(picture: Field, place: Place, factor: float) -> Field:
    """The part of the picture around the place that fills it when enlarged by the factor."""
    height, width = ROWS / factor, COLUMNS / factor
    top = float(np.clip(place[0] - height / 2, 0, ROWS - height))
    left = float(np.clip(place[1] - width / 2, 0, COLUMNS - width))
    part = (left, top, left + width, top + height)
    larger = Image.fromarray(picture).resize((COLUMNS, ROWS), Image.Resampling.BICUBIC, box=part)
    return np.clip(np.asarray(larger, dtype=np.float32), 0, 1)


def _air_like(picture: Field) -> Field:
    """Air as noisy as beside the breast of the picture."""
    beside = picture[picture < _TISSUE / 2]
    noise = np.random.default_rng(0).standard_normal(picture.shape, dtype=np.float32)
    return np.asarray(np.clip(np.median(beside) + beside.std() * noise, 0, 1), dtype=np.float32)
