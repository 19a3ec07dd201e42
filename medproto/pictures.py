"""The pictures that are kept: previews, overlays of similarity maps, and patches; PNG bytes named by their SHA-256."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from medproto.model.receptive_field import Axis, ReceptiveField
from medproto.records import Box
from medproto.transforms import Geometry

#: Longest side of a preview, in pixels.
PREVIEW_PX = 1000
#: A patch shows its box with this many box lengths around its centre.
PATCH_CONTEXT = 3.0
#: Side of a patch picture, in pixels.
PATCH_PX = 240
#: Amber: tells on grey for every common kind of colour vision.
OVERLAY_RGB = (255, 170, 20)
_OVERLAY_OPACITY = 200
#: Amber at every opacity: one byte a pixel, which PNG writes four times as fast as colours with an opacity each.
_AMBER = b"".join(bytes((*OVERLAY_RGB, opacity)) for opacity in range(256))


def digest(content: bytes) -> str:
    """SHA-256 in hex, the name of a picture."""
    return hashlib.sha256(content).hexdigest()


def png(picture: Image.Image) -> bytes:
    """PNG bytes without a time or any other metadata."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def grey(pixels: NDArray[np.float32]) -> Image.Image:
    """8-bit grey picture of values in [0, 1]."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8), mode="L")


def preview_scale(shape: tuple[int, ...]) -> float:
    """Preview pixels per original pixel, at most 1."""
    return min(1.0, PREVIEW_PX / max(shape))


def preview(pixels: NDArray[np.float32]) -> Image.Image:
    """The whole image in its original orientation, at most 1,000 pixels on its longer side."""
    rows, columns = pixels.shape
    scale = preview_scale(pixels.shape)
    size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    return grey(pixels).resize(size, Image.Resampling.BOX, reducing_gap=None)


def overlay(
    similarity: NDArray[np.float32], allowed: NDArray[np.bool_], place: tuple[Geometry, ReceptiveField, tuple[int, int]]
) -> Image.Image:
    """A similarity map drawn over the preview, every cell's value at the centre of its receptive field.

    Opacity is `strength` squared. The picture has a palette of one colour at every opacity.

    Args:
        similarity: shape (H, W), the map that was scored.
        allowed: shape (H, W), cells that could win; the others stay clear.
        place: geometry, receptive field, and (rows, columns) of the original image.
    """
    geometry, field, shape = place
    scale = preview_scale(shape)
    rows, columns = max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)
    original_rows = (np.arange(rows) + 0.5) * shape[0] / rows
    original_columns = (np.arange(columns) + 0.5) * shape[1] / columns
    down = interpolation(field.rows, original_rows * geometry.row_scale + geometry.row_offset)
    across = interpolation(field.columns, original_columns * geometry.column_scale + geometry.column_offset)
    opacity = down @ strength(similarity, allowed) @ across.T
    opacity *= opacity
    opacity *= _OVERLAY_OPACITY
    picture = Image.frombytes("P", (columns, rows), np.rint(opacity, out=opacity).astype(np.uint8).tobytes())
    picture.putpalette(_AMBER, "RGBA")
    return picture


def patch(pixels: NDArray[np.float32], box: Box) -> Image.Image:
    """The box of an image with its surround, the box outlined; black beyond the image."""
    (row, column), side = box.centre, max(box.bottom - box.top, box.right - box.left) * PATCH_CONTEXT
    top, left = round(row - side / 2), round(column - side / 2)
    extent = max(round(side), 1)
    cut = np.zeros((extent, extent), dtype=np.float32)
    rows = slice(max(top, 0), min(top + extent, pixels.shape[0]))
    columns = slice(max(left, 0), min(left + extent, pixels.shape[1]))
    cut[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = pixels[rows, columns]
    picture = grey(cut).resize((PATCH_PX, PATCH_PX), Image.Resampling.BICUBIC).convert("RGB")
    factor = PATCH_PX / extent
    corners = [
        (box.left - left) * factor,
        (box.top - top) * factor,
        (box.right - left) * factor,
        (box.bottom - top) * factor,
    ]
    ImageDraw.Draw(picture).rectangle(corners, outline=OVERLAY_RGB, width=2)
    return picture


def strength(similarity: NDArray[np.float32], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A similarity map between the median of the breast, which is 0, and its maximum, which is 1; 0 where not allowed.

    Args:
        similarity: shape (H, W).
        allowed: shape (H, W), cells that could win.
    """
    low, high = float(np.median(similarity[allowed])), float(similarity[allowed].max())
    scaled: NDArray[np.float64] = (np.clip((similarity - low) / max(high - low, 1e-6), 0, 1) * allowed).astype(float)
    return scaled


def interpolation(axis: Axis, positions_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation between cell centres as a matrix (positions, cells); constant beyond half a cell, then
    zero."""
    cells = (positions_px - axis.start_px) / axis.jump_px
    distance = np.abs(np.clip(cells, 0, axis.cells - 1)[:, None] - np.arange(axis.cells))
    inside = (cells >= -0.5) & (cells <= axis.cells - 0.5)
    weights: NDArray[np.float64] = np.maximum(1 - distance, 0) * inside[:, None]
    return weights
