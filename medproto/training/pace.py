"""How the descent walks: its optimizer, and its learning rates as arithmetic."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medproto.model.protopnet import ProtoPNet
from medproto.training.batches import layers_applied
from medproto.training.settings import Stage

#: StepLR of the published code: every five epochs the rate falls to a tenth.
STEP_EPOCHS, STEP_FACTOR = 5, 0.1


def optimizer_of(model: ProtoPNet, stage: Stage) -> torch.optim.Optimizer:
    """The stage's optimizer; groups without a learning rate are frozen, and the backbone's layers up to a stride."""
    model.backbone.requires_grad_(False)
    groups: dict[str, list[Tensor]] = {
        "backbone": list(model.backbone.parameters_after(layers_applied(model.backbone, stage))),
        "add_on": list(model.add_on.parameters()),
        "prototypes": [model.prototypes],
    }
    for name, parameters in groups.items():
        for parameter in parameters:
            parameter.requires_grad_(name in stage.learning_rates)
    # Weight decay as published: on the convolutions, not on the prototypes.
    chosen = [
        {"params": groups[name], "lr": rate, "weight_decay": 0.0 if name == "prototypes" else 1e-3}
        for name, rate in stage.learning_rates.items()
    ]
    return torch.optim.Adam(chosen) if stage.optimizer == "adam" else torch.optim.SGD(chosen, momentum=stage.momentum)


def pace(stage: Stage, done: float) -> float:
    """Share of the learning rates at this share of the stage, from 0 (begun) to 1 (over).

    cosine: from 1 to 0.05; step: a tenth after every five epochs, as published; constant: 1.
    """
    if stage.schedule == "cosine":
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))
    if stage.schedule == "step":
        # a step that begins an epoch must not fall short of it by rounding
        epoch = math.floor(done * stage.epochs + 1e-9)
        return float(STEP_FACTOR ** (epoch // STEP_EPOCHS))
    return 1.0
