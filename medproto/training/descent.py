"""Stage 1: descent on cross-entropy, cluster and separation cost, plus what keeps prototypes apart and in the lesion.

The last layer stays at +1 / -0.5 here (Chen et al. 2019, section 2.2). BatchNorm stays in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.errors import TrainingError
from medproto.model.protopnet import ProtoPNet
from medproto.training.batches import Epochs, frozen_batches, joint_batches, layers_applied
from medproto.training.features import FrozenFeatures
from medproto.training.inputs import InputSet, Progress
from medproto.training.memory import memory_suffices
from medproto.training.pace import optimizer_of
from medproto.training.settings import Costs, Stage
from medproto.training.steps import Step, take

#: Name of the AUROC on validation exams among the costs of an epoch.
VALIDATION = "validation_auroc"


@dataclass(frozen=True)
class Reached:
    """How far a stage got: the costs of its epochs, network and optimizer after the last one, the best one's network.

    `best` is None where no AUROC is measured.
    """

    history: tuple[dict[str, float], ...]
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor] | None


#: Where every stage begins that was not begun before.
NOWHERE = Reached((), {}, {}, None)


@dataclass(frozen=True)
class Watch:
    """Who follows a stage: a progress callback (steps done, total), where an earlier process got to, who hears of every
    epoch, and who measures the AUROC on validation exams after it."""

    progress: Progress | None = None
    begin: Reached = NOWHERE
    hear: Callable[[Reached], None] | None = None
    measure: Callable[[], float] | None = None


def descend(
    model: ProtoPNet,
    data: InputSet,
    stage: Stage,
    costs: Costs,
    run: tuple[Fabric | tuple[Fabric, FrozenFeatures], int, Watch | Progress | None],
) -> list[dict[str, float]]:
    """Run one stage of the descent in place; returns the mean of every cost per epoch.

    Args:
        run: device and precision, with the features that are kept there if any; the seed that owns this stage's
            chance; and who follows it, a mere progress callback (steps done, total) among others.

    Raises:
        TrainingError: the loss is not finite, a class has no image, or the memory does not suffice.
    """
    where, seed, follower = run
    fabric, features = where if isinstance(where, tuple) else (where, FrozenFeatures(where.device))
    watch = follower if isinstance(follower, Watch) else Watch(follower)
    optimizer = optimizer_of(model, stage)
    weights = _class_weights(data.labels, model.last_layer.shape[0]).to(fabric.device)
    step = Step(fabric, optimizer, stage, costs, torch.ones_like(weights) if stage.balanced else weights)
    reached = watch.begin
    if reached.history:
        model.load_state_dict(reached.network)
        optimizer.load_state_dict(reached.optimizer)
    with memory_suffices(
        f"stage {stage.name!r}: the memory does not suffice for batches of {stage.batch}, expected a smaller "
        "`batch` (with a larger `accumulate` the step stays the same) or fewer `variants`"
    ):
        make = _epochs(model, data, stage, (fabric, seed), features)
        while not is_over(stage, reached.history):
            reached = _one_more(step, model, (make, len(data)), reached, watch)
            if watch.hear:
                watch.hear(reached)
    if reached.best:
        model.load_state_dict(reached.best)
    return list(reached.history)


def is_over(stage: Stage, history: tuple[dict[str, float], ...]) -> bool:
    """Whether a stage ends after these epochs: all are done, or its patience is."""
    done = len(history)
    if stage.patience is None or done < stage.minimum_epochs:
        return done >= stage.epochs
    return done >= stage.epochs or done - kept_epoch(history) >= stage.patience


def kept_epoch(history: tuple[dict[str, float], ...] | list[dict[str, float]]) -> int:
    """Number of the epoch, from 1, whose network a stage ends with: the best AUROC's, the first one on a tie."""
    if not history or VALIDATION not in history[0]:
        return len(history)
    return 1 + max(range(len(history)), key=lambda epoch: (history[epoch][VALIDATION], -epoch))


def _epochs(
    model: ProtoPNet, data: InputSet, stage: Stage, run: tuple[Fabric, int], features: FrozenFeatures
) -> Epochs:
    if layers_applied(model.backbone, stage):
        return frozen_batches(model, data, stage, run, features)
    features.forget()  # they will not be those of this backbone for long
    return joint_batches(model, data, stage, run)


def _one_more(step: Step, model: ProtoPNet, source: tuple[Epochs, int], reached: Reached, watch: Watch) -> Reached:
    """One epoch of these batches of so many images, from there on."""
    make, images = source
    stage, epoch = step.stage, len(reached.history)
    per_epoch = math.ceil(math.ceil(images / stage.batch) / stage.accumulate)
    total, done = per_epoch * stage.epochs, per_epoch * epoch
    costs: dict[str, float] = {}
    batches = make(epoch)
    while parts := list(islice(batches, stage.accumulate)):
        for name, value in take(step, model, parts, (epoch, done / total)).items():
            costs[name] = costs.get(name, 0.0) + value / per_epoch
        done += 1
        if watch.progress:
            watch.progress(done, total)
    best = None
    if watch.measure:
        costs[VALIDATION] = watch.measure()
    history = (*reached.history, costs)
    if watch.measure:
        best = reached.best if kept_epoch(history) <= epoch else _copy(model)
    return Reached(history, model.state_dict(), step.optimizer.state_dict(), best)


def _copy(model: ProtoPNet) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _class_weights(labels: Tensor, class_count: int) -> Tensor:
    """Inverse class frequency, with mean 1 over images.

    Raises:
        TrainingError: a class has no image.
    """
    counts = torch.bincount(labels, minlength=class_count)
    if (counts == 0).any():
        raise TrainingError(f"classes: got {counts.tolist()} training images, expected at least one of each class")
    return len(labels) / (class_count * counts.float())
