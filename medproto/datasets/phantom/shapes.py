"""What findings are drawn with: a window around a point, soft edges, waves on a circle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medproto.datasets.phantom.anatomy import COLUMNS, ROWS, SPACING_MM, Field


@dataclass(frozen=True)
class Window:
    """Square piece of the picture around a point, and where its pixels lie.

    Args:
        rows: rows of the picture.
        columns: columns of the picture.
        y: millimetres below the point; shape (h, 1).
        x: millimetres towards the nipple; shape (1, w).
    """

    rows: slice
    columns: slice
    y: Field
    x: Field

    @classmethod
    def around(cls, centre_mm: tuple[float, float], reach_mm: float) -> Window:
        """The window of that half side, cut at the picture's border."""
        spans, offsets = [], []
        for middle, size in zip(centre_mm, (ROWS, COLUMNS), strict=True):
            first = max(0, int((middle - reach_mm) / SPACING_MM))
            last = min(size, int(np.ceil((middle + reach_mm) / SPACING_MM)))
            spans.append(slice(first, last))
            offsets.append(((np.arange(first, last) + 0.5) * SPACING_MM - middle).astype(np.float32))
        return cls(spans[0], spans[1], offsets[0][:, None], offsets[1][None, :])


def edge(inside_mm: NDArray[np.floating], softness_mm: float) -> Field:
    """1 well inside, 0 well outside, with a soft margin."""
    ramp = np.clip(inside_mm / np.float32(2 * softness_mm) + np.float32(0.5), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), dtype=np.float32)


def lobed(rng: np.random.Generator, angle: Field, lobes: range, strength: float) -> Field:
    """Relative radius by angle: a circle with a few waves."""
    waves = np.ones_like(angle)
    for lobe in lobes:
        waves += np.float32(strength * rng.normal() / lobe) * np.cos(lobe * angle + np.float32(rng.uniform(0, 6.3)))
    return waves


def polar(rng: np.random.Generator, window: Window) -> tuple[Field, Field]:
    """Distance and angle from the centre, in a frame that is turned and a little stretched at random."""
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.35)
    along = window.x * np.cos(turn) + window.y * np.sin(turn)
    across = window.y * np.cos(turn) - window.x * np.sin(turn)
    along, across = along / np.float32(stretch**0.5), across * np.float32(stretch**0.5)
    return np.hypot(along, across).astype(np.float32), np.arctan2(across, along).astype(np.float32)


def with_spicules(
    rng: np.random.Generator, window: Window, body: Field, count: int, length_mm: Callable[[], float]
) -> Field:
    """The body with lines that radiate from it on all sides, a little bent, thinner and fainter to their ends.

    Args:
        rng: where chance comes from.
        window: the window of the body.
        body: shape (h, w), brightness added.
        count: how many lines.
        length_mm: draws the length of one.
    """
    starts = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * 2 * np.pi / max(count, 1)
    for start in starts:
        length, width = length_mm(), rng.uniform(0.75, 1.15)
        along = window.x * np.cos(start) + window.y * np.sin(start)
        across = window.y * np.cos(start) - window.x * np.sin(start) - rng.normal(0, 0.012) * along**2
        left = np.clip(1 - along / length, 0, 1)
        line = edge(width * (0.35 + 0.65 * left) - np.abs(across), 0.35) * (along > 0) * np.sqrt(left)
        body = np.maximum(body, np.float32(rng.uniform(0.65, 0.95)) * line)
    return np.asarray(body, dtype=np.float32)
