"""A ring of wire that technologists tape on the skin, and that no finding has anything to do with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medproto.datasets.phantom.anatomy import COARSE, COLUMNS, HEIGHT_MM, ROWS, SPACING_MM, Anatomy, Field, coarse_grid
from medproto.datasets.phantom.shapes import Window

#: Least distance between the ring's middle and the finding; in a breast without such a place it is the greatest.
FROM_FINDING_MM = 30.0
#: Least distance of the ring's middle from the skin seen edge on and from the picture's borders.
_INSIDE_MM = 9.0
_RADIUS_MM = (3.6, 4.4)
_WIRE_MM = 0.55
_BRIGHTNESS = 0.95


def tape_on(rng: np.random.Generator, anatomy: Anatomy, mask: NDArray[np.bool_], picture: Field) -> NDArray[np.bool_]:
    """Draw a ring far from the finding, in place, and return the mask of all that it encloses; shapes (Y, X).

    Args:
        mask: where the finding lies.
    """
    radius = rng.uniform(*_RADIUS_MM)
    window = Window.around(_place(rng, anatomy, mask), radius + 2)
    distance = np.hypot(window.y, window.x)
    wire = np.clip((_WIRE_MM - np.abs(distance - radius)) / SPACING_MM + 0.5, 0, 1)
    area = picture[window.rows, window.columns]
    area += wire.astype(np.float32) * np.maximum(np.float32(_BRIGHTNESS) - area, 0)
    enclosed = np.zeros((ROWS, COLUMNS), dtype=bool)
    enclosed[window.rows, window.columns] = distance <= radius + _WIRE_MM + SPACING_MM
    return enclosed


def _place(rng: np.random.Generator, anatomy: Anatomy, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Middle (v, u) in millimetres, over the breast and clear of the muscle."""
    v, u = coarse_grid()
    border = np.minimum(np.minimum(v, HEIGHT_MM - v), u)
    free = (np.minimum(anatomy.skin_mm, border) >= _INSIDE_MM) & (anatomy.pectoral < 0.05)
    away = ndimage.distance_transform_edt(~mask[::COARSE, ::COARSE]) * (SPACING_MM * COARSE) * free
    rows, columns = np.nonzero(away >= min(FROM_FINDING_MM, float(away.max())))
    pick = int(rng.integers(len(rows)))
    return float(v[rows[pick], 0]), float(u[0, columns[pick]])
