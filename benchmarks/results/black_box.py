"""The non-interpretable counterpart: the same backbone with a linear layer on its pooled features, fine-tuned."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.results.cohorts import Name
from benchmarks.results.shared import Lower, epochs_of, fresh, in_batches, joint_stage
from medproto.training.pace import pace
from medproto.training.settings import TrainSettings


@dataclass(frozen=True)
class Rates:
    """Learning rates of the upper layers and of the linear layer, and its weight decay."""

    backbone: float
    head: float
    decay: float


#: By data set, chosen by inner validation as our settings were, see `choose`.
RATES: dict[Name, Rates] = {
    "mini-MIAS regions": Rates(backbone=1e-4, head=1e-3, decay=1e-3),
    "phantom exams": Rates(backbone=1e-3, head=3e-3, decay=1e-3),
}


class BlackBox(nn.Module):
    """Mean and maximum of the features over the breast's cells, then a linear layer."""

    def __init__(self, settings: TrainSettings, seed: int) -> None:
        super().__init__()
        self.backbone = fresh(settings, seed).backbone
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(2 * self.backbone.channels, len(settings.classes))

    def forward(self, values: Tensor, applied: int, allowed: Tensor) -> Tensor:
        """Logits (V, C) of what the first `applied` layers gave."""
        features, mask = self.backbone.rest(values, applied), allowed.unsqueeze(1)
        mean = (features * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
        highest = features.masked_fill(~mask, -torch.inf).amax(dim=(2, 3))
        logits: Tensor = self.head(torch.cat([mean, highest], dim=1))
        return logits


def train_black_box(settings: TrainSettings, below: Lower, seed: int, rates: Rates) -> tuple[BlackBox, float]:
    """Train as long as our network's descent lasts, the linear layer alone at first; also seconds per joint epoch."""
    model, stage = BlackBox(settings, seed), joint_stage(settings)
    first, joint = epochs_of(settings)
    counts = torch.bincount(below.labels, minlength=len(settings.classes))
    weights = len(below.labels) / (len(counts) * counts.float())
    moving = list(model.backbone.parameters_after(below.applied))
    model.requires_grad_(False)
    took = 0.0
    for epochs, parts in (
        (first, [(model.head, rates.head)]),
        (joint, [(model.head, rates.head), (None, rates.backbone)]),
    ):
        groups = []
        for part, rate in parts:
            parameters = moving if part is None else list(part.parameters())
            for parameter in parameters:
                parameter.requires_grad_(True)
            groups.append({"params": parameters, "lr": rate, "weight_decay": rates.decay})
        optimizer = torch.optim.Adam(groups)
        began = time.perf_counter()
        for epoch in range(epochs):
            for group, (_, rate) in zip(optimizer.param_groups, parts, strict=True):
                group["lr"] = rate * pace(stage, epoch / epochs)
            for batch in below.epochs(epoch):
                optimizer.zero_grad()
                logits = model(batch.values, batch.applied, batch.allowed)
                functional.cross_entropy(logits, batch.labels, weights).backward()
                optimizer.step()
        took = (time.perf_counter() - began) / epochs
    return model, took


def margins_of(model: BlackBox, below: Lower, positive: int) -> Tensor:
    """Positive logit minus the mean of the others for each test image, shape (V,)."""
    rows = []
    with torch.no_grad():
        for places, values in in_batches(below.test):
            rows.append(model(values, below.applied, below.test_allowed[places]))
    logits = torch.cat(rows)
    others = torch.arange(logits.shape[1]) != positive
    return logits[:, positive] - logits[:, others].mean(dim=1)
