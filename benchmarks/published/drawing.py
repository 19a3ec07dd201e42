"""The plain pictures of the paper's description: heat map over the picture, the patch, and its box; a PNG each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.published.network import heatmap

#: The patch is the smallest rectangle around all that reaches this percentile of the resized map.
PERCENTILE = 95
#: Share of the heat map in the overlay.
OPACITY = 0.3


def activated_box(strength: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the most activated part of a resized map (Y, X)."""
    rows, columns = np.nonzero(strength >= np.percentile(strength, PERCENTILE))
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def draw(folder: Path, name: str, picture: NDArray[np.float32], activation: NDArray[np.float64]) -> None:
    """Write the three pictures of one map.

    Args:
        picture: shape (Y, X, 3), in [0, 1].
        activation: similarity of each cell, shape (H, W).
    """
    strength = heatmap(activation, *picture.shape[:2])
    top, left, bottom, right = activated_box(strength)
    scaled = (strength - strength.min()) / max(float(np.ptp(strength)), 1e-12)
    overlaid = (1 - OPACITY) * picture + OPACITY * _jet(scaled)
    _picture(overlaid).save(folder / f"{name}-overlay.png")
    _picture(picture[top:bottom, left:right]).save(folder / f"{name}-patch.png")
    boxed = _picture(picture)
    ImageDraw.Draw(boxed).rectangle((left, top, right - 1, bottom - 1), outline=(255, 255, 0), width=2)
    boxed.save(folder / f"{name}-box.png")


def _jet(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blue over green to red of values in [0, 1]; shape (Y, X, 3)."""
    centres = np.array([0.75, 0.5, 0.25])
    return np.clip(1.5 - np.abs(4 * (scaled[..., None] - centres)), 0, 1)


def _picture(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8), mode="RGB")
