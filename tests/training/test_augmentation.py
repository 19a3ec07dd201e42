"""Augmentation replays from its seed and keeps image, breast and lesion together."""

from __future__ import annotations

import torch

from medproto.training.augmentation import augmentation


def test_augmentation_replays_from_its_seed_and_moves_lesion_with_image() -> None:
    lesion = torch.zeros(1, 96, 64)
    lesion[:, 40:60, 10:30] = 1
    item = {"image": lesion.clone(), "breast": torch.ones(1, 96, 64), "lesion": lesion}

    def draws(seed: int) -> list[dict[str, torch.Tensor]]:
        pipeline = augmentation(seed)
        return [pipeline(dict(item)) for _ in range(6)]

    first, again, other = draws(5), draws(5), draws(6)
    for a, b in zip(first, again, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))
    for a in first:
        assert type(a["image"]) is torch.Tensor
        assert 0 <= float(a["image"].min()) <= float(a["image"].max()) <= 1
        overlap = ((a["image"] > 0.5) & (a["lesion"] > 0.5)).sum() / ((a["image"] > 0.5) | (a["lesion"] > 0.5)).sum()
        assert overlap > 0.9
