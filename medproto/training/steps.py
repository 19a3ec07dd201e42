"""One step of the descent: costs, gradients, and the move along them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.errors import TrainingError
from medproto.model.protopnet import ProtoPNet
from medproto.training.batches import Batch
from medproto.training.costs import cost_terms, latent_of, terms_of
from medproto.training.pace import pace
from medproto.training.settings import Costs, Stage


@dataclass(frozen=True)
class Step:
    """What every step of a stage takes."""

    fabric: Fabric
    optimizer: torch.optim.Optimizer
    stage: Stage
    costs: Costs
    class_weights: Tensor


def take(step: Step, model: ProtoPNet, parts: list[Batch], when: tuple[int, float]) -> dict[str, float]:
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


def _add_gradients(step: Step, model: ProtoPNet, parts: list[Batch]) -> dict[str, float]:
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
        latent = torch.cat([latent_of(model, part) for part in parts])
    latent.requires_grad_()
    allowed, lesion = torch.cat([part.allowed for part in parts]), torch.cat([part.lesion for part in parts])
    whole = Batch(latent, allowed, lesion, torch.cat([part.labels for part in parts]), len(model.backbone.layers))
    terms = terms_of(model, latent, whole, step.costs, step.class_weights)
    step.fabric.backward(terms["total"])
    if latent.grad is not None and not {"backbone", "add_on"}.isdisjoint(step.stage.learning_rates):
        gradients = latent.grad.split([len(part.labels) for part in parts])
        for part, gradient in zip(parts, gradients, strict=True):
            step.fabric.backward(latent_of(model, part), gradient)
    return {name: float(value.detach()) for name, value in terms.items()}
