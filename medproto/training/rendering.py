"""One manifest row as the network sees it: the image, its breast, and what was annotated on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

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


def render(
    mammogram: Mammogram, source: tuple[Manifest, ManifestRow], settings: InputSettings, measure: Measure | None
) -> View:
    """The view of that row of the manifest, whose file the mammogram is.

    Raises:
        InputError: the region lies outside the image, or the lesion mask cannot be used.
    """
    manifest, row = source
    view = model_input(mammogram, settings, row.region)
    if annotation_of(row) is None:
        lesion = np.zeros(tuple(view.breast.shape), dtype=np.uint8)
    else:
        plane = to_input_plane(_lesion_mask(manifest, row, mammogram), view)
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
    )


def annotation_of(row: ManifestRow) -> tuple[Box, ...] | str | None:
    """What says where the row's lesion is: the name of its mask where there is one, else boxes; None without either."""
    return row.mask or row.boxes or None


def _lesion_mask(manifest: Manifest, row: ManifestRow, mammogram: Mammogram) -> NDArray[np.bool_]:
    """The annotated lesion on the original pixels."""
    path = manifest.mask(row)
    if path is None:
        mask = np.zeros(mammogram.pixels.shape, dtype=bool)
        for box in row.boxes:
            mask[max(int(box.top), 0) : int(box.bottom), max(int(box.left), 0) : int(box.right)] = True
        return mask
    try:
        with Image.open(path) as picture:
            mask = np.asarray(picture) > 0
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as err:
        # the texts of these repeat the path
        raise InputError("lesion mask: cannot be read, expected a picture of the size of its image") from err
    if mask.shape != mammogram.pixels.shape:
        raise InputError(
            f"lesion mask: got {' x '.join(map(str, mask.shape))} pixels, "
            f"expected {mammogram.rows} x {mammogram.columns} as its image has"
        )
    return mask
