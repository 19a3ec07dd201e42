"""Stage 1: descent on cross-entropy, cluster and separation cost, plus what keeps prototypes apart and in the lesion.

The last layer stays at +1 / -0.5 here (Chen et al. 2019, section 2.2). BatchNorm stays in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.errors import TrainingError
from medproto.model.protopnet import ProtoPNet
from medproto.training.batches import frozen_batches, joint_batches, layers_applied
from medproto.training.features import FrozenFeatures
from medproto.training.inputs import InputSet, Progress
from medproto.training.pace import optimizer_of
from medproto.training.settings import Costs, Stage
from medproto.training.steps import Step, take


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
    step = Step(fabric, optimizer, stage, costs, torch.ones_like(weights) if stage.balanced else weights)
    per_epoch = math.ceil(math.ceil(len(data) / stage.batch) / stage.accumulate)
    total, done, history = per_epoch * stage.epochs, 0, []
    with _memory_suffices(stage):
        if layers_applied(model.backbone, stage):
            make = frozen_batches(model, data, stage, (fabric, seed), features)
        else:
            features.forget()  # they will not be those of this backbone for long
            make = joint_batches(model, data, stage, (fabric, seed))
        for epoch in range(stage.epochs):
            sums: dict[str, float] = {}
            batches = make(epoch)
            while parts := list(islice(batches, stage.accumulate)):
                for name, value in take(step, model, parts, (epoch, done / total)).items():
                    sums[name] = sums.get(name, 0.0) + value / per_epoch
                done += 1
                if progress:
                    progress(done, total)
            history.append(sums)
    return history


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
