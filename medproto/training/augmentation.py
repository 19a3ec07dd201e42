"""Chance on the model's input, for training alone: a pipeline whose generator has an owner (`set_random_state`)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd, RandGaussianNoised, Transform
from torch import Tensor


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
