"""Stage 1: descent on cross-entropy, cluster and separation cost, plus what keeps prototypes apart and in the lesion.

The last layer stays at +1 / -0.5 here (Chen et al. 2019, section 2.2). BatchNorm stays in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.errors import TrainingError
from medproto.model import losses
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import log_similarity, nearest_cells, training_maps
from medproto.training.batches import Batch, Cells, cells_of, frozen_batches, joint_batches
from medproto.training.features import FrozenFeatures, Place, feature_batches
from medproto.training.inputs import InputSet, Progress
from medproto.training.pace import optimizer_of, pace
from medproto.training.settings import Costs, Stage

__all__ = ["Batch", "Cells", "cells_of", "cost_terms", "descend", "encode_all"]


def descend(
    model: ProtoPNet,
    data: InputSet,
    stage: Stage,
    costs: Costs,
    run: tuple[Fabric | tuple[Fabric, FrozenFeatures], int, Progress | None],
) -> list[dict[str, float]]:
    """Run one stage of the descent in place; returns the mean of every cost per epoch.

    Args:
        run: device and precision, with the features that are kept there if any; the seed that owns this stage's
            chance; and a progress callback (steps done, total).

    Raises:
        TrainingError: the loss is not finite, a class has no image, or the memory does not suffice.
    """
    where, seed, progress = run
    fabric, features = where if isinstance(where, tuple) else (where, FrozenFeatures(where.device))
    optimizer = optimizer_of(model, stage)
    weights = _class_weights(data.labels, model.last_layer.shape[0]).to(fabric.device)
    step = _Step(fabric, optimizer, stage, costs, torch.ones_like(weights) if stage.balanced else weights)
    per_epoch = math.ceil(math.ceil(len(data) / stage.batch) / stage.accumulate)
    total, done, history = per_epoch * stage.epochs, 0, []
    with _memory_suffices(stage):
        if "backbone" in stage.learning_rates:
            features.forget()  # they will not be those of this backbone for long
            make = joint_batches(model, data, stage, (fabric, seed))
        else:
            make = frozen_batches(model, data, stage, (fabric, seed), features)
        for epoch in range(stage.epochs):
            sums: dict[str, float] = {}
            batches = make(epoch)
            while parts := list(islice(batches, stage.accumulate)):
                for name, value in _take(step, model, parts, (epoch, done / total)).items():
                    sums[name] = sums.get(name, 0.0) + value / per_epoch
                done += 1
                if progress:
                    progress(done, total)
            history.append(sums)
    return history


@dataclass(frozen=True)
class _Step:
    """What every step of a stage takes."""

    fabric: Fabric
    optimizer: torch.optim.Optimizer
    stage: Stage
    costs: Costs
    class_weights: Tensor


def _take(step: _Step, model: ProtoPNet, parts: list[Batch], when: tuple[int, float]) -> dict[str, float]:
    """One step on these batches as if they were one, in that epoch, at that share of the stage; returns the costs."""
    epoch, done = when
    stage, optimizer = step.stage, step.optimizer
    for group, base in zip(optimizer.param_groups, stage.learning_rates.values(), strict=True):
        group["lr"] = base * pace(stage, done)
    optimizer.zero_grad()
    terms = _add_gradients(step, model, parts)
    if not math.isfinite(terms["total"]):
        raise TrainingError(f"stage {stage.name!r}, epoch {epoch + 1}: the loss is not finite, expected a number")
    if stage.clip_norm is not None:
        moving = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(moving, stage.clip_norm)
    optimizer.step()
    return terms


def cost_terms(model: ProtoPNet, batch: Batch, costs: Costs, class_weights: Tensor) -> dict[str, Tensor]:
    """Every cost of one batch by name, and their weighted `total`."""
    return _terms_of(model, _latent(model, batch), batch, costs, class_weights)


def _terms_of(model: ProtoPNet, latent: Tensor, batch: Batch, costs: Costs, class_weights: Tensor) -> dict[str, Tensor]:
    """As `cost_terms`, from the latent maps (V, D, H, W) of the batch."""
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
    model: ProtoPNet, data: InputSet, device: Place, progress: Progress | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Latent maps of all images in batches, in order, without gradients: (places, latent map on the device).

    Args:
        device: where to compute, or the frozen features kept there, which are computed if they are not known yet.
    """
    model.eval()
    for places, features in feature_batches(model.backbone, data.images, device):
        with torch.no_grad():
            latent = model.latent(features)
        yield places, latent
        if progress:
            progress(places.stop, len(data))


def _latent(model: ProtoPNet, batch: Batch) -> Tensor:
    frozen = batch.values.shape[1] != 1
    return model.latent(batch.values) if frozen else model.encode(batch.values)


def _add_gradients(step: _Step, model: ProtoPNet, parts: list[Batch]) -> dict[str, float]:
    """Gradients of one step at the parameters, and the costs.

    The costs of several batches are not the mean of their costs: a minimum over images, or a share of those with a
    lesion, is of all of them. So the latent maps of all are computed first, without what gradients need; the costs give
    the gradient at the maps; then batch by batch that gradient goes on into the network.
    """
    if len(parts) == 1:
        terms = cost_terms(model, parts[0], step.costs, step.class_weights)
        step.fabric.backward(terms["total"])
        return {name: float(value.detach()) for name, value in terms.items()}
    with torch.no_grad():
        latent = torch.cat([_latent(model, part) for part in parts])
    latent.requires_grad_()
    allowed, lesion = torch.cat([part.allowed for part in parts]), torch.cat([part.lesion for part in parts])
    whole = Batch(latent, allowed, lesion, torch.cat([part.labels for part in parts]))
    terms = _terms_of(model, latent, whole, step.costs, step.class_weights)
    step.fabric.backward(terms["total"])
    if latent.grad is not None and not {"backbone", "add_on"}.isdisjoint(step.stage.learning_rates):
        gradients = latent.grad.split([len(part.labels) for part in parts])
        for part, gradient in zip(parts, gradients, strict=True):
            step.fabric.backward(_latent(model, part), gradient)
    return {name: float(value.detach()) for name, value in terms.items()}


@contextmanager
def _memory_suffices(stage: Stage) -> Iterator[None]:
    """Turn torch's word on memory into ours; the processor's allocator has no error of its own."""
    try:
        yield
    except RuntimeError as err:
        if not (isinstance(err, torch.OutOfMemoryError) or "can't allocate memory" in str(err)):
            raise
        raise TrainingError(
            f"stage {stage.name!r}: the memory does not suffice for batches of {stage.batch}, expected a smaller "
            "`batch` (with a larger `accumulate` the step stays the same) or fewer `variants`"
        ) from err


def _class_weights(labels: Tensor, class_count: int) -> Tensor:
    """Inverse class frequency, with mean 1 over images.

    Raises:
        TrainingError: a class has no image.
    """
    counts = torch.bincount(labels, minlength=class_count)
    if (counts == 0).any():
        raise TrainingError(f"classes: got {counts.tolist()} training images, expected at least one of each class")
    return len(labels) / (class_count * counts.float())
