"""MONAI pipelines from mammogram to model input, and `Geometry`: every pixel keeps its address in the original image.

Coordinates are continuous pixels (row, column): pixel i covers [i, i + 1). Inference pipelines hold no randomness; the
augmentation of training is a separate pipeline whose generator has an owner (`set_random_state`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    MapTransform,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    Transform,
)
from numpy.typing import NDArray
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


@dataclass(frozen=True)
class Geometry:
    """An invertible map from original pixels to input pixels: input = scale * original + offset, along each axis.

    A mirrored axis has a negative scale. Chains are built by `crop`, `flip_columns`, `resize` and `pad`.
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
    """What the network sees of one image: image (1, Y, X) in [0, 1], breast (Y, X), and the way back."""

    image: Tensor
    breast: Tensor
    geometry: Geometry
    crop: Box
    flipped: bool


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


class ChestWallLeftd(MapTransform):
    """Mirror so that the chest wall lies on the left of the model's input."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        item["flipped"] = item["chest_wall"] == "right"
        if item["flipped"]:
            item["geometry"] = item["geometry"].flip_columns(item["image"].shape[1])
            for key in self.keys:
                item[key] = np.ascontiguousarray(item[key][:, ::-1])
        return item


class FitInputd(MapTransform):
    """Scale with antialiasing to fit the input, keep the aspect ratio, fill below and on the right with black."""

    def __init__(self, keys: tuple[str, ...], rows: int, columns: int) -> None:
        super().__init__(keys)
        if rows % 32 or columns % 32 or min(rows, columns) < 32:
            raise ConfigError(f"input size: got {rows} x {columns}, expected multiples of 32")
        self.rows, self.columns = rows, columns

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        height, width = item["image"].shape
        factor = min(self.rows / height, self.columns / width)
        new = min(max(round(height * factor), 1), self.rows), min(max(round(width * factor), 1), self.columns)
        for key in self.keys:
            plane = torch.from_numpy(np.ascontiguousarray(item[key], dtype=np.float32))[None, None]
            small = torch.nn.functional.interpolate(plane, new, mode="bilinear", antialias=True)
            fitted = torch.zeros(1, self.rows, self.columns)
            fitted[:, : new[0], : new[1]] = small[0]
            item[key] = fitted
        item["geometry"] = item["geometry"].resize(new[0] / height, new[1] / width)
        return item


def inference_pipeline(settings: InputSettings) -> Compose:
    """The one way from a mammogram's arrays to the model's input, in training and scoring alike."""
    keys = ("image", "breast")
    return Compose(
        [
            CropBreastd(keys, settings.margin),
            ChestWallLeftd(keys),
            FitInputd(keys, settings.rows, settings.columns),
        ]
    )


def augmentation(seed: int) -> Compose:
    """Flip, small affine, contrast and noise on the fitted input (keys image, breast, lesion), seeded."""
    keys = ("image", "breast", "lesion")
    pipeline = Compose(
        [
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandAffined(
                keys,
                prob=0.7,
                rotate_range=0.15,
                translate_range=(10, 6),
                scale_range=(0.1, 0.1),
                mode=("bilinear", "nearest", "nearest"),
                padding_mode="zeros",
            ),
            RandAdjustContrastd(("image",), prob=0.4, gamma=(0.85, 1.2)),
            RandGaussianNoised(("image",), prob=0.3, std=0.01),
            Plaind(keys),
        ]
    )
    pipeline.set_random_state(seed=seed)
    return pipeline


class Plaind(Transform):
    """Back from MONAI's tensors to plain float tensors, the image in [0, 1]."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.keys:
            item[key] = torch.as_tensor(item[key]).as_subclass(Tensor).float()
        item["image"] = item["image"].clamp(0, 1)
        return item


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
            "region": region,
            "geometry": Geometry(),
        }
    )
    return ModelInput(item["image"], item["breast"][0] > 0.5, item["geometry"], item["crop"], item["flipped"])


def to_input_plane(plane: NDArray[np.bool_], model: ModelInput) -> Tensor:
    """A mask of the original image, shape (rows, columns), as the model's input shows it: (Y, X), in [0, 1]."""
    cut = plane[int(model.crop.top) : int(model.crop.bottom), int(model.crop.left) : int(model.crop.right)]
    side = "right" if model.flipped else "left"
    item: dict[Hashable, Any] = {"image": cut, "breast": cut, "geometry": Geometry(), "chest_wall": side}
    item = FitInputd(("image",), *model.breast.shape)(ChestWallLeftd(("image", "breast"))(item))
    fitted: Tensor = item["image"][0]
    return fitted


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
