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
from medproto.training.costs import latent_of, terms_of
from medproto.training.pace import pace
from medproto.training.processes import add_up, count, gathered, own, rank
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
    if "prototypes" in stage.learning_rates:
        model.settle_prototypes()
    return terms


def _add_gradients(step: Step, model: ProtoPNet, parts: list[Batch]) -> dict[str, float]:
    """Gradients of one step at the parameters, and the costs; both the same in all processes.

    The costs of several batches are not the mean of their costs: a minimum over images, or a share of those with a
    lesion, is of all of them. Nor are those of the processes' shares. So the latent maps of all come together first,
    without what gradients need where there are several batches; the costs give the gradient at the maps; then that of
    each batch, or of this process's share of it, goes on into the network, and the processes add up what came of it.
    """
    to_network = not {"backbone", "add_on"}.isdisjoint(step.stage.learning_rates)
    one_pass = to_network and len(parts) == 1
    with torch.set_grad_enabled(one_pass):
        shares = [_maps(step, model, part) for part in parts]
    counts = [len(part.labels) for part in parts]
    latent = torch.cat([gathered(share, count) for share, count in zip(shares, counts, strict=True)])
    latent.requires_grad_(to_network)
    terms = terms_of(model, latent, _together(model, parts, latent), step.costs, step.class_weights)
    step.fabric.backward(terms["total"])
    if to_network:
        assert latent.grad is not None  # every term but those of the prototypes alone is one of the maps
        for part, share, whole in zip(parts, shares, latent.grad.split(counts), strict=True):
            if len(gradient := own(whole)):
                step.fabric.backward(share if one_pass else _maps(step, model, part), gradient)
    _add_up_gradients(step, model)
    return {name: float(value.detach()) for name, value in terms.items()}


def _maps(step: Step, model: ProtoPNet, part: Batch) -> Tensor:
    """Latent maps of a batch from a pass in the run's precision, themselves at least float32, as all that follows."""
    with step.fabric.autocast():
        latent = latent_of(model, part)
    return latent.to(torch.promote_types(latent.dtype, torch.float32))


def _together(model: ProtoPNet, parts: list[Batch], latent: Tensor) -> Batch:
    """These batches as one; its values are the latent maps of all images."""
    allowed, lesion = torch.cat([part.allowed for part in parts]), torch.cat([part.lesion for part in parts])
    return Batch(latent, allowed, lesion, torch.cat([part.labels for part in parts]), len(model.backbone.layers))


def _add_up_gradients(step: Step, model: ProtoPNet) -> None:
    """Sum of the network's gradients over the processes; that at the prototypes is complete in each of them.

    What all take is the first one's, so that no rounding ever lets their prototypes drift apart.
    """
    if count() == 1:
        return
    moving = [parameter for group in step.optimizer.param_groups for parameter in group["params"]]
    for parameter in moving:
        # a process without an image in this step has none, and the others wait for its share all the same
        if parameter.grad is None or (parameter is model.prototypes and rank() > 0):
            parameter.grad = torch.zeros_like(parameter)
    summed = torch.cat([parameter.grad.flatten() for parameter in moving])
    add_up(summed)
    for parameter, gradient in zip(moving, summed.split([each.numel() for each in moving]), strict=True):
        parameter.grad = gradient.view_as(parameter)
