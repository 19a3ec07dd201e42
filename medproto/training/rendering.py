"""One manifest row as the network sees it: the image, its breast, and what was annotated on it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medproto.datasets.manifest import Manifest, ManifestRow
from medproto.errors import InputError
from medproto.ingest.mammogram import Mammogram
from medproto.records import Box
from medproto.transforms import Geometry, InputSettings, model_input, to_input_plane

#: From original pixels in [0, 1] to numbers; a module-level function, for its name stands for it in the cache.
Measure = Callable[[NDArray[np.float32]], NDArray[np.float64]]

#: An input pixel counts as lesion from this share of it on.
_LESION_SHARE = 0.25


@dataclass(frozen=True)
class View:
    """What was made of one row's file: image (1, Y, X) float32, breast and lesion (Y, X) uint8, and where it lay."""

    image: NDArray[np.float32]
    breast: NDArray[np.uint8]
    lesion: NDArray[np.uint8]
    pixels_sha256: str
    geometry: Geometry
    synthetic: bool
    crop: Box
    measured: tuple[float, ...]
    #: SHA-256 of the lesion mask's file; empty where boxes or nothing say where the lesion is.
    mask_sha256: str


def render(
    mammogram: Mammogram, source: tuple[Manifest, ManifestRow], settings: InputSettings, measure: Measure | None
) -> View:
    """The view of that row of the manifest, whose file the mammogram is.

    Raises:
        InputError: the region lies outside the image, or the lesion mask cannot be used.
    """
    manifest, row = source
    view = model_input(mammogram, settings, row.region)
    path = manifest.mask(row)
    content = _read_mask(path) if path else b""
    lesion = np.zeros(tuple(view.breast.shape), dtype=np.uint8)
    if has_annotation(row):
        plane = to_input_plane(_decoded(content, mammogram) if content else _boxed(row, mammogram), view)
        lesion = (plane.numpy() > _LESION_SHARE).astype(np.uint8)
    return View(
        image=view.image.numpy(),
        breast=view.breast.numpy().astype(np.uint8),
        lesion=lesion,
        pixels_sha256=mammogram.pixels_sha256,
        geometry=view.geometry,
        synthetic=mammogram.synthetic,
        crop=view.crop,
        measured=tuple(measure(mammogram.pixels).tolist()) if measure else (),
        mask_sha256=hashlib.sha256(content).hexdigest() if content else "",
    )


def has_annotation(row: ManifestRow) -> bool:
    """Whether a mask or boxes say where the row's lesion is; a mask is taken before boxes."""
    return bool(row.mask or row.boxes)


def _boxed(row: ManifestRow, mammogram: Mammogram) -> NDArray[np.bool_]:
    """The row's boxes on the original pixels."""
    mask = np.zeros(mammogram.pixels.shape, dtype=bool)
    for box in row.boxes:
        mask[max(int(box.top), 0) : int(box.bottom), max(int(box.left), 0) : int(box.right)] = True
    return mask


def _read_mask(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as err:
        # the text of an OSError repeats the path
        reason = (err.strerror or "input/output error").lower()
        raise InputError(f"lesion mask: cannot be read ({reason}), expected a picture") from None
    if not content:
        raise InputError("lesion mask: got an empty file, expected a picture")
    return content


def _decoded(content: bytes, mammogram: Mammogram) -> NDArray[np.bool_]:
    """The lesion mask on the original pixels."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            mask: NDArray[np.bool_] = np.asarray(picture) > 0
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
        raise InputError("lesion mask: cannot be decoded, expected a picture of the size of its image") from err
    if mask.shape != mammogram.pixels.shape:
        raise InputError(
            f"lesion mask: got {' x '.join(map(str, mask.shape))} pixels, "
            f"expected {mammogram.rows} x {mammogram.columns} as its image has"
        )
    return mask
