"""Stage 1: descent on cross-entropy, cluster and separation cost, plus what keeps prototypes apart and in the lesion.

The last layer stays at +1 / -0.5 here (Chen et al. 2019, section 2.2). BatchNorm stays in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.errors import TrainingError
from medproto.model import losses
from medproto.model.cells import breast_cells, lesion_cells
from medproto.model.protopnet import ProtoPNet
from medproto.model.receptive_field import ReceptiveField
from medproto.model.similarity import log_similarity, nearest_cells, training_maps
from medproto.training.augmentation import augmentation
from medproto.training.inputs import InputSet, Progress
from medproto.training.settings import Costs, Stage


@dataclass(frozen=True)
class Batch:
    """V images of one step: `values` are images (V, 1, Y, X) or, where the backbone is frozen, its features (V, B, H,
    W)."""

    values: Tensor
    allowed: Tensor
    lesion: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Cells:
    """Which cells may win and which lie in a lesion: (V, H, W) each, bool."""

    allowed: Tensor
    lesion: Tensor


def cells_of(breast: Tensor, lesion: Tensor, field: ReceptiveField) -> Cells:
    """Cells of the breast and of the lesion, from planes of shape (V, Y, X)."""
    allowed = breast_cells(breast, field)
    return Cells(allowed, lesion_cells(lesion, allowed, field))


def descend(
    model: ProtoPNet, data: InputSet, stage: Stage, costs: Costs, run: tuple[Fabric, int, Progress | None]
) -> list[dict[str, float]]:
    """Run one stage of the descent in place; returns the mean of every cost per epoch.

    Args:
        run: device and precision, the seed that owns this stage's chance, and a progress callback (steps done, total).

    Raises:
        TrainingError: the loss is not finite.
    """
    fabric, seed, progress = run
    optimizer = _optimizer(model, stage)
    batches = _frozen_batches if "backbone" not in stage.learning_rates else _joint_batches
    weights = _class_weights(data.labels, model.last_layer.shape[0]).to(fabric.device)
    per_epoch = math.ceil(len(data) / stage.batch)
    total, done, history = per_epoch * stage.epochs, 0, []
    make = batches(model, data, stage, (fabric, seed))
    for epoch in range(stage.epochs):
        sums: dict[str, float] = {}
        for batch in make(epoch):
            for group, base in zip(optimizer.param_groups, stage.learning_rates.values(), strict=True):
                group["lr"] = base * _schedule(done / total)
            terms = cost_terms(model, batch, costs, weights)
            if not torch.isfinite(terms["total"]):
                raise TrainingError(
                    f"stage {stage.name!r}, epoch {epoch + 1}: the loss is not finite, expected a number"
                )
            optimizer.zero_grad()
            fabric.backward(terms["total"])
            optimizer.step()
            done += 1
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / per_epoch
            if progress:
                progress(done, total)
        history.append(sums)
    return history


def cost_terms(model: ProtoPNet, batch: Batch, costs: Costs, class_weights: Tensor) -> dict[str, Tensor]:
    """Every cost of one batch by name, and their weighted `total`."""
    frozen = batch.values.shape[1] != 1
    latent = model.latent(batch.values) if frozen else model.encode(batch.values)
    prototypes, classes = model.prototypes, model.prototype_class
    anywhere, _ = nearest_cells(latent, prototypes, batch.allowed)
    has_lesion = batch.lesion.flatten(1).any(dim=1)
    own_cells = torch.where(has_lesion.view(-1, 1, 1), batch.lesion, batch.allowed)
    inside, _ = nearest_cells(latent, prototypes, own_cells)
    own = (classes.unsqueeze(0) == batch.labels.unsqueeze(1)) & has_lesion.unsqueeze(1)
    logits = log_similarity(anywhere) @ model.last_layer.T
    terms = {
        "cross_entropy": losses.cross_entropy(logits, batch.labels, class_weights),
        "cluster": losses.cluster_cost(inside, batch.labels, classes),
        "anchor": losses.anchor_cost(inside, batch.labels, classes),
        "separation": losses.separation_cost(anywhere, batch.labels, classes),
        "l1": losses.wrong_class_l1(model.last_layer, model.own_class),
        "diversity": losses.diversity_cost(prototypes, classes),
        "outside": losses.outside_cost(inside, anywhere, own.to(inside.dtype)),
        "cells": losses.cell_cost(
            log_similarity(training_maps(latent, prototypes)), classes, batch.labels, (batch.allowed, batch.lesion)
        ),
    }
    terms["total"] = (
        terms["cross_entropy"]
        + costs.cluster * terms["cluster"]
        - costs.separation * terms["separation"]
        + costs.l1 * terms["l1"]
        + costs.diversity * terms["diversity"]
        + costs.outside * terms["outside"]
        + costs.anchor * terms["anchor"]
        + costs.cells * terms["cells"]
    )
    return terms


def encode_all(
    model: ProtoPNet, data: InputSet, device: torch.device, progress: Progress | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Latent maps of all images in batches, in order, without gradients: (places, latent map on the device)."""
    model.eval()
    with torch.no_grad():
        for start in range(0, len(data), 16):
            places = slice(start, min(start + 16, len(data)))
            images = data.images[places].to(device).contiguous(memory_format=torch.channels_last)
            yield places, model.encode(images)
            if progress:
                progress(places.stop, len(data))


Epochs = Callable[[int], Iterator[Batch]]


def _frozen_batches(model: ProtoPNet, data: InputSet, stage: Stage, run: tuple[Fabric, int]) -> Epochs:
    fabric, seed = run
    model.eval()
    field = model.backbone.receptive_field(*data.images.shape[2:])
    features, allowed, lesions = [], [], []
    for variant in range(stage.variants):
        images, breast, lesion = _augmented(data, seed + 1000 * variant, plain=variant == 0)
        with torch.no_grad():
            for part in images.split(16):
                features.append(model.backbone(part.to(fabric.device).contiguous(memory_format=torch.channels_last)))
        cells = cells_of(breast, lesion, field)
        allowed.append(cells.allowed)
        lesions.append(cells.lesion)
    cached, may_win, in_lesion = torch.cat(features), torch.cat(allowed), torch.cat(lesions)

    def epoch(number: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed + number)
        variant = torch.randint(stage.variants, (len(data),), generator=generator)
        for chosen in torch.randperm(len(data), generator=generator).split(stage.batch):
            place = variant[chosen] * len(data) + chosen
            yield Batch(
                cached[place],
                may_win[place].to(fabric.device),
                in_lesion[place].to(fabric.device),
                data.labels[chosen].to(fabric.device),
            )

    return epoch


def _joint_batches(model: ProtoPNet, data: InputSet, stage: Stage, run: tuple[Fabric, int]) -> Epochs:
    fabric, seed = run
    field = model.backbone.receptive_field(*data.images.shape[2:])
    model.eval()  # BatchNorm statistics stay those of the pretrained network

    def epoch(number: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed + number)
        for step, chosen in enumerate(torch.randperm(len(data), generator=generator).split(stage.batch)):
            images, breast, lesion = _augmented(data.select(chosen.tolist()), seed + 7919 * number + step, plain=False)
            cells = cells_of(breast, lesion, field)
            yield Batch(
                images.to(fabric.device).contiguous(memory_format=torch.channels_last),
                cells.allowed.to(fabric.device),
                cells.lesion.to(fabric.device),
                data.labels[chosen].to(fabric.device),
            )

    return epoch


def _augmented(data: InputSet, seed: int, plain: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Images (V, 1, Y, X), breast and lesion planes (V, Y, X), changed by chance unless plain."""
    if plain:
        return data.images, data.breast, data.lesion
    pipeline = augmentation(seed)
    items = [
        pipeline({"image": data.images[i], "breast": data.breast[i][None], "lesion": data.lesion[i][None]})
        for i in range(len(data))
    ]
    planes = (torch.stack([item[key][0] for item in items]) > 0.5 for key in ("breast", "lesion"))
    breast, lesion = (plane.to(torch.uint8) for plane in planes)
    return torch.stack([item["image"] for item in items]), breast, lesion


def _optimizer(model: ProtoPNet, stage: Stage) -> torch.optim.Optimizer:
    groups: dict[str, list[Tensor]] = {
        "backbone": list(model.backbone.parameters()),
        "add_on": list(model.add_on.parameters()),
        "prototypes": [model.prototypes],
    }
    for name, parameters in groups.items():
        for parameter in parameters:
            parameter.requires_grad_(name in stage.learning_rates)
    # Weight decay as published: on the convolutions, not on the prototypes.
    return torch.optim.Adam(
        [
            {"params": groups[name], "lr": rate, "weight_decay": 0.0 if name == "prototypes" else 1e-3}
            for name, rate in stage.learning_rates.items()
        ]
    )


def _schedule(done: float) -> float:
    """Cosine from 1 to 0.05 over the share of the stage that is done."""
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def _class_weights(labels: Tensor, class_count: int) -> Tensor:
    """Inverse class frequency, with mean 1 over images.

    Raises:
        TrainingError: a class has no image.
    """
    counts = torch.bincount(labels, minlength=class_count)
    if (counts == 0).any():
        raise TrainingError(f"classes: got {counts.tolist()} training images, expected at least one of each class")
    return len(labels) / (class_count * counts.float())
