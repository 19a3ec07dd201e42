"""MONAI pipelines from mammogram to model input, and `Geometry`: every pixel keeps its address in the original image.

Coordinates are continuous pixels (row, column): pixel i covers [i, i + 1). There is no randomness here; training's
augmentation is a pipeline of its own (`medproto.training.augmentation`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, MapTransform
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from medproto.config import Settings
from medproto.errors import ConfigError, InputError
from medproto.ingest.mammogram import Mammogram
from medproto.records import Box


class InputSettings(Settings):
    """The model's input."""

    #: Rows Y and columns X, multiples of 32.
    rows: int = 384
    columns: int = 224
    #: Free space kept around the breast when it is cropped, in share of its size.
    margin: float = 0.02
    #: Millimetres to a pixel of the input, so that breasts keep their true size; None scales every image to fit. An
    #: image of unknown spacing, or too large for the input at this scale, is scaled to fit all the same.
    spacing_mm: float | None = Field(default=None, gt=0)


@dataclass(frozen=True)
class Geometry:
    """An invertible map from original pixels to input pixels: input = scale * original + offset, along each axis.

    A mirrored axis has a negative scale. Chains are built by `crop`, `flip_columns`, `flip_rows`, `resize` and `pad`.
    """

    row_scale: float = 1.0
    row_offset: float = 0.0
    column_scale: float = 1.0
    column_offset: float = 0.0

    def crop(self, top: float, left: float) -> Geometry:
        """After cutting `top` rows and `left` columns away."""
        return Geometry(self.row_scale, self.row_offset - top, self.column_scale, self.column_offset - left)

    def flip_columns(self, width: float) -> Geometry:
        """After mirroring an image of that width left to right."""
        return Geometry(self.row_scale, self.row_offset, -self.column_scale, width - self.column_offset)

    def flip_rows(self, height: float) -> Geometry:
        """After mirroring an image of that height top to bottom."""
        return Geometry(-self.row_scale, height - self.row_offset, self.column_scale, self.column_offset)

    def resize(self, row_factor: float, column_factor: float) -> Geometry:
        """After scaling by those factors."""
        return Geometry(
            self.row_scale * row_factor,
            self.row_offset * row_factor,
            self.column_scale * column_factor,
            self.column_offset * column_factor,
        )

    def pad(self, top: float, left: float) -> Geometry:
        """After adding rows above and columns to the left."""
        return self.crop(-top, -left)

    def to_input(self, row: float, column: float) -> tuple[float, float]:
        """Where an original point lies on the input."""
        return row * self.row_scale + self.row_offset, column * self.column_scale + self.column_offset

    def to_original(self, row: float, column: float) -> tuple[float, float]:
        """Where an input point lies on the original."""
        return (row - self.row_offset) / self.row_scale, (column - self.column_offset) / self.column_scale

    def box_to_original(self, top: float, left: float, bottom: float, right: float) -> Box:
        """The original box behind an input box."""
        (r0, c0), (r1, c1) = self.to_original(top, left), self.to_original(bottom, right)
        return Box(top=min(r0, r1), left=min(c0, c1), bottom=max(r0, r1), right=max(c0, c1))


@dataclass(frozen=True)
class ModelInput:
    """What the network sees of one image: image (1, Y, X) in [0, 1], breast (Y, X), and the way back.

    `spacing_mm` is the size of an input pixel where the settings ask for one and the image's own is known: the one that
    was asked for, or a larger one where the image would not fit at that scale.
    """

    image: Tensor
    breast: Tensor
    geometry: Geometry
    crop: Box
    flipped: bool
    spacing_mm: float | None = None

    @property
    def upturned(self) -> bool:
        """Whether the image was stored upside down and mirrored top to bottom."""
        return self.geometry.row_scale < 0


class CropBreastd(MapTransform):
    """Cut to the region that is asked for, else to the breast; outside the breast the image becomes black.

    Markers, labels and film edges lie outside the breast, so the network never sees them.
    """

    def __init__(self, keys: tuple[str, ...], margin: float) -> None:
        super().__init__(keys)
        self.margin = margin

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        breast: NDArray[np.bool_] = item["breast"]
        crop = _inside(item["region"], breast.shape) if item["region"] else _breast_box(breast, self.margin)
        rows, columns = slice(int(crop.top), int(crop.bottom)), slice(int(crop.left), int(crop.right))
        item["breast"] = breast[rows, columns]
        item["image"] = np.where(item["breast"], item["image"][rows, columns], np.float32(0))
        item["geometry"] = item["geometry"].crop(crop.top, crop.left)
        item["crop"] = crop
        return item


class Uprightd(MapTransform):
    """Mirror so that the chest wall lies on the left of the model's input and its upper side is up."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        height, width = item["image"].shape
        if item["chest_wall"] == "right":
            item["geometry"] = item["geometry"].flip_columns(width)
        if item["upside_down"]:
            item["geometry"] = item["geometry"].flip_rows(height)
        for key in self.keys:
            item[key] = _mirrored(item[key], item["geometry"])
        return item


class ScaleInputd(MapTransform):
    """Scale with antialiasing to the spacing that is asked for, else to fit; black fills below and on the right."""

    def __init__(self, keys: tuple[str, ...], settings: InputSettings) -> None:
        super().__init__(keys)
        self.rows, self.columns, self.spacing_mm = settings.rows, settings.columns, settings.spacing_mm
        if self.rows % 32 or self.columns % 32 or min(self.rows, self.columns) < 32:
            raise ConfigError(f"input size: got {self.rows} x {self.columns}, expected multiples of 32")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        height, width = item["image"].shape
        tall, wide, item["input_spacing_mm"] = self._extent(height, width, item["spacing_mm"])
        new = min(max(round(tall), 1), self.rows), min(max(round(wide), 1), self.columns)
        for key in self.keys:
            item[key] = _placed(item[key], new, (self.rows, self.columns))
        item["geometry"] = item["geometry"].resize(new[0] / height, new[1] / width)
        return item

    def _extent(
        self, height: int, width: int, spacing_mm: tuple[float, float] | None
    ) -> tuple[float, float, float | None]:
        """Rows and columns of the scaled image, and the size of its pixels in mm where that was asked for."""
        if self.spacing_mm is None or spacing_mm is None:
            factor = min(self.rows / height, self.columns / width)
            return height * factor, width * factor, None
        tall_mm, wide_mm = height * spacing_mm[0], width * spacing_mm[1]
        # Never cut: tissue that does not fit is shown smaller, and the spacing that is returned says so.
        spacing = max(self.spacing_mm, tall_mm / self.rows, wide_mm / self.columns)
        return tall_mm / spacing, wide_mm / spacing, spacing


def inference_pipeline(settings: InputSettings) -> Compose:
    """The one way from a mammogram's arrays to the model's input, in training and scoring alike."""
    keys = ("image", "breast")
    return Compose(
        [
            CropBreastd(keys, settings.margin),
            Uprightd(keys),
            ScaleInputd(keys, settings),
        ]
    )


def model_input(mammogram: Mammogram, settings: InputSettings, region: Box | None = None) -> ModelInput:
    """What the network sees of this mammogram, or of one region of it.

    Raises:
        InputError: the region lies outside the image.
    """
    # Before the pipeline, because MONAI turns every error inside it into a RuntimeError.
    if region and not _overlaps(region, mammogram):
        raise InputError(
            f"region: got rows {region.top:g} to {region.bottom:g} and columns {region.left:g} to {region.right:g}, "
            f"expected a part of the image of {mammogram.rows} x {mammogram.columns} pixels"
        )
    item = inference_pipeline(settings)(
        {
            "image": mammogram.pixels,
            "breast": mammogram.breast,
            "chest_wall": mammogram.chest_wall,
            "upside_down": mammogram.upside_down,
            "spacing_mm": mammogram.spacing_mm,
            "region": region,
            "geometry": Geometry(),
        }
    )
    return ModelInput(
        image=item["image"],
        breast=item["breast"][0] > 0.5,
        geometry=item["geometry"],
        crop=item["crop"],
        flipped=mammogram.chest_wall == "right",
        spacing_mm=item["input_spacing_mm"],
    )


def to_input_plane(plane: NDArray[np.bool_], model: ModelInput) -> Tensor:
    """A mask of the original image, shape (rows, columns), as the model's input shows it: (Y, X), in [0, 1]."""
    cut = plane[int(model.crop.top) : int(model.crop.bottom), int(model.crop.left) : int(model.crop.right)]
    geometry, (height, width) = model.geometry, cut.shape
    new = round(height * abs(geometry.row_scale)), round(width * abs(geometry.column_scale))
    rows, columns = model.breast.shape
    return _placed(_mirrored(cut, geometry), new, (rows, columns))[0]


def _mirrored(plane: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """The plane, mirrored along the axes whose scale is negative."""
    rows, columns = (slice(None, None, -1 if scale < 0 else 1) for scale in (geometry.row_scale, geometry.column_scale))
    return np.ascontiguousarray(plane[rows, columns])


def _placed(plane: NDArray[Any], new: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The plane scaled to `new` rows and columns, in the upper left corner of a black (1, Y, X) of that size."""
    values = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))[None, None]
    small = torch.nn.functional.interpolate(values, new, mode="bilinear", antialias=True)
    placed = torch.zeros(1, *size)
    placed[:, : new[0], : new[1]] = small[0]
    return placed


def _overlaps(region: Box, mammogram: Mammogram) -> bool:
    rows, columns = mammogram.rows, mammogram.columns
    return region.top < rows and region.left < columns and region.bottom > 0 and region.right > 0


def _breast_box(breast: NDArray[np.bool_], margin: float) -> Box:
    rows, columns = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    extra_rows, extra_columns = margin * (bottom - top), margin * (right - left)
    grown = Box(
        top=top - extra_rows, bottom=bottom + extra_rows, left=left - extra_columns, right=right + extra_columns
    )
    return _inside(grown, breast.shape)


def _inside(box: Box, shape: tuple[int, ...]) -> Box:
    """The box on whole pixels, cut to the image."""
    return Box(
        top=max(int(np.floor(box.top)), 0),
        left=max(int(np.floor(box.left)), 0),
        bottom=min(int(np.ceil(box.bottom)), shape[0]),
        right=min(int(np.ceil(box.right)), shape[1]),
    )
