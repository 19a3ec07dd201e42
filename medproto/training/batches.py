"""Batches of the descent: which images meet in a step, and what chance does to each of them.

Where several processes train together, every one of them goes through the same batches; it augments and encodes its
own share of each, and knows the labels and cells of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.model.backbones import Backbone
from medproto.model.cells import breast_cells, lesion_cells
from medproto.model.protopnet import ProtoPNet
from medproto.model.receptive_field import ReceptiveField
from medproto.training import processes
from medproto.training.augmentation import augmentation
from medproto.training.features import BATCH, FrozenFeatures, backbone_features, first_layers
from medproto.training.inputs import InputSet, SourceImage
from medproto.training.settings import Stage


@dataclass(frozen=True)
class Batch:
    """V images of one step: their allowed and lesion cells (V, H, W) and labels (V,).

    `values` are what the first `applied` layers of the backbone make of this process's share of the images: of all V
    where there is one process. They are the images (V, 1, Y, X) themselves where `applied` is 0.
    """

    values: Tensor
    allowed: Tensor
    lesion: Tensor
    labels: Tensor
    applied: int


@dataclass(frozen=True)
class Cells:
    """Which cells may win and which lie in a lesion: (V, H, W) each, bool."""

    allowed: Tensor
    lesion: Tensor


#: Batches of the epoch with that number, from 0.
Epochs = Callable[[int], Iterator[Batch]]


def cells_of(breast: Tensor, lesion: Tensor, field: ReceptiveField) -> Cells:
    """Cells of the breast and of the lesion, from planes of shape (V, Y, X)."""
    allowed = breast_cells(breast, field)
    return Cells(allowed, lesion_cells(lesion, allowed, field))


def layers_applied(backbone: Backbone, stage: Stage) -> int:
    """How many of the backbone's layers stay as they are in a stage, so that what they give can be kept.

    Raises:
        ConfigError: no layer ends at `frozen_to_stride`.
    """
    if "backbone" not in stage.learning_rates:
        return len(backbone.layers)
    return 0 if stage.frozen_to_stride is None else backbone.layers_to(stage.frozen_to_stride)


def frozen_batches(
    model: ProtoPNet, data: InputSet, stage: Stage, run: tuple[Fabric, int], features: FrozenFeatures
) -> Epochs:
    """Batches of what the frozen layers give, computed here, once; the plain images' features where they are kept."""
    fabric, seed = run
    model.eval()
    field = model.backbone.receptive_field(*data.images.shape[2:])
    applied = layers_applied(model.backbone, stage)
    whole = applied == len(model.backbone.layers)

    def encoded(images: Tensor) -> Tensor:
        if whole:
            parts = [backbone_features(model.backbone, some, fabric.device) for some in images.split(BATCH)]
        else:
            parts = [first_layers(model.backbone, some, applied, fabric.device) for some in images.split(BATCH)]
        return torch.cat(parts)

    plain = processes.own(data.images)
    if whole:
        shares = [torch.cat([part for _, part in features.batches(model.backbone, plain)])]
    else:
        features.forget()  # they will not be those of this backbone for long
        shares = [encoded(plain)]
    cells = [cells_of(data.breast, data.lesion, field)]
    for variant in range(1, stage.variants):
        images, variant_cells = _augmented_share(data, (seed, variant), field, fabric)
        shares.append(encoded(images))
        cells.append(variant_cells)
    cached = torch.cat([processes.gathered(share, len(data)) for share in shares])
    allowed, lesions = (
        torch.cat([getattr(each, name).to(fabric.device) for each in cells]) for name in ("allowed", "lesion")
    )

    def epoch(number: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed + number)
        variant = torch.randint(stage.variants, (len(data),), generator=generator)
        for chosen in order(data.labels, stage.balanced, generator).split(stage.batch):
            place = (variant[chosen] * len(data) + chosen).to(fabric.device)
            labels = data.labels[chosen].to(fabric.device)
            yield Batch(cached[processes.own(place)], allowed[place], lesions[place], labels, applied)

    return epoch


def joint_batches(model: ProtoPNet, data: InputSet, stage: Stage, run: tuple[Fabric, int]) -> Epochs:
    """Batches of images, changed anew in every epoch."""
    fabric, seed = run
    field = model.backbone.receptive_field(*data.images.shape[2:])
    model.eval()  # BatchNorm statistics stay those of the pretrained network

    def epoch(number: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed + number)
        for chosen in order(data.labels, stage.balanced, generator).split(stage.batch):
            images, cells = _augmented_share(data.select(chosen.tolist()), (seed, number + 1), field, fabric)
            images = images.to(fabric.device).contiguous(memory_format=torch.channels_last)
            yield Batch(images, cells.allowed, cells.lesion, data.labels[chosen].to(fabric.device), applied=0)

    return epoch


def _augmented_share(
    data: InputSet, chance_of: tuple[int, int], field: ReceptiveField, fabric: Fabric
) -> tuple[Tensor, Cells]:
    """That seed's variant of this process's share of images, and the cells of all of them on the device."""
    share = range(len(data))[processes.own_share(len(data))]
    images, breast, lesion = augmented(data if len(share) == len(data) else data.select(share), *chance_of)
    own = cells_of(breast, lesion, field)
    masks = torch.stack([own.allowed, own.lesion], dim=1).to(fabric.device)
    allowed, inside = processes.gathered(masks, len(data)).unbind(dim=1)
    return images, Cells(allowed, inside)


def order(labels: Tensor, balanced: bool, generator: torch.Generator) -> Tensor:
    """Places of the images of one epoch, as many as there are images.

    Balanced, every class has an equal share of them (give or take one): a large class shows a part of its images, a
    small one shows each of its own several times, and none once more than another of its class.
    """
    if not balanced:
        return torch.randperm(len(labels), generator=generator)
    classes = torch.unique(labels)
    share = -(-len(labels) // len(classes))
    drawn = []
    for label in classes:
        own = torch.nonzero(labels == label).flatten()
        rounds = [own[torch.randperm(len(own), generator=generator)] for _ in range(-(-share // len(own)))]
        drawn.append(torch.cat(rounds)[:share])
    # class after class in turn, so that what is cut off at the end is one image of a class at most
    places = torch.stack(drawn, dim=1).flatten()[: len(labels)]
    return places[torch.randperm(len(places), generator=generator)]


def augmented(data: InputSet, seed: int, variant: int) -> tuple[Tensor, Tensor, Tensor]:
    """Variant of every image (V, 1, Y, X), with its breast and lesion planes (V, Y, X); 0 is the image as it is.

    An image's chance is its own: it depends on the seed, the variant, its pixels and its crop, not on its neighbours.
    """
    if variant == 0 or not len(data):
        return data.images, data.breast, data.lesion
    pipeline = augmentation(seed)
    items = []
    for i, source in enumerate(data.sources):
        pipeline.set_random_state(seed=chance(seed, variant, source))
        planes = {"image": data.images[i], "breast": data.breast[i][None], "lesion": data.lesion[i][None]}
        items.append(pipeline(planes))
    breast, lesion = (
        (torch.stack([item[key][0] for item in items]) > 0.5).to(torch.uint8) for key in ("breast", "lesion")
    )
    return torch.stack([item["image"] for item in items]), breast, lesion


def chance(seed: int, variant: int, source: SourceImage) -> int:
    """Seed of one variant of one image, below 2^32."""
    crop = source.crop
    name = f"{seed} {variant} {source.pixels_sha256} {crop.top} {crop.left} {crop.bottom} {crop.right}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
