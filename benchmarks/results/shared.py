"""What all networks of the table share: the frozen lower layers, the copies of each image, and the order of a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.model.backbones import Backbone
from medproto.model.cells import breast_cells
from medproto.model.protopnet import ProtoPNet, build_model
from medproto.training.batches import Epochs, frozen_batches, layers_applied
from medproto.training.features import BATCH, FrozenFeatures, first_layers
from medproto.training.inputs import InputSet
from medproto.training.settings import Stage, TrainSettings

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Lower:
    """What the frozen lower layers give for the training images, batch by batch, and for the test images.

    epochs: batches (16 to 32 images) of the epoch with that number, as our own descent gets them.
    test: shape (V, B, H, W); allowed: cells of the breast at the cut, shape (V, H, W).
    """

    epochs: Epochs
    plain: Tensor
    labels: Tensor
    allowed: Tensor
    test: Tensor
    test_allowed: Tensor
    applied: int


def joint_stage(settings: TrainSettings) -> Stage:
    """The stage that moves the upper layers; its settings hold for every network of the table."""
    return next(stage for stage in settings.stages if "backbone" in stage.learning_rates)


def epochs_of(settings: TrainSettings) -> tuple[int, int]:
    """Epochs on the frozen backbone, and epochs of the upper layers."""
    joint = joint_stage(settings)
    return sum(stage.epochs for stage in settings.stages) - joint.epochs, joint.epochs


def fresh(settings: TrainSettings, seed: int) -> ProtoPNet:
    """A network of ours as it begins, of which others take the backbone."""
    model = build_model(settings.network(), seed).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def lower(settings: TrainSettings, parts: tuple[InputSet, InputSet], seed: int) -> Lower:
    """Everything below the layers that move, computed once for all networks of a fold."""
    training, unseen = parts
    model, stage = fresh(settings, seed), joint_stage(settings)
    applied = layers_applied(model.backbone, stage)
    fabric = Fabric(accelerator="cpu", devices=1)
    epochs = frozen_batches(model, training, stage, (fabric, seed), FrozenFeatures(CPU))
    field = model.backbone.receptive_field(*training.images.shape[2:])
    return Lower(
        epochs,
        _first(model.backbone, training.images, applied),
        training.labels,
        breast_cells(training.breast, field),
        _first(model.backbone, unseen.images, applied),
        breast_cells(unseen.breast, field),
        applied,
    )


def in_batches(values: Tensor, size: int = 64) -> Iterator[tuple[slice, Tensor]]:
    """Places and values, some at a time."""
    for start in range(0, len(values), size):
        yield slice(start, start + size), values[start : start + size]


def _first(backbone: Backbone, images: Tensor, applied: int) -> Tensor:
    return torch.cat([first_layers(backbone, some, applied, CPU) for some in images.split(BATCH)])
