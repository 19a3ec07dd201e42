"""The prototype network as published: the recipe of Chen et al. 2019 on the layers that move here.

Cross-entropy + 0.8 cluster - 0.08 separation + 1e-4 L1; Adam at 1e-4 for the backbone and 3e-3 for add-on layers and
prototypes, a tenth every five epochs; projection after half of the joint epochs and at the end, each followed by twenty
epochs of the last layer, here on kept similarities, which saves time and spares it the drift of BatchNorm. Prototypes
begin in [0, 1)^D. The batch is ours, 80 were published.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.published.network import PlainProtoPNet, project, similarity, training_costs
from benchmarks.results.shared import Lower, epochs_of, fresh, in_batches
from medproto.model.backbones import Backbone
from medproto.training.settings import TrainSettings

CLUSTER, SEPARATION = 0.8, 0.08
BACKBONE_RATE, RATE, DECAY = 1e-4, 3e-3, 1e-3
LAST_LAYER_EPOCHS = 20


class Upper(nn.Module):
    """The layers of a backbone above those that stay as they are."""

    def __init__(self, backbone: Backbone, applied: int) -> None:
        super().__init__()
        self.layers = backbone.layers[applied:]

    def forward(self, values: Tensor) -> Tensor:
        """Features (V, B, H, W)."""
        features: Tensor = self.layers(values)
        return features


def train_published(
    settings: TrainSettings, below: Lower, seed: int
) -> tuple[PlainProtoPNet, NDArray[np.int64], float]:
    """Train as long as ours; returns the network, its prototypes' places (P, 3), and seconds per joint epoch."""
    backbone, classes = fresh(settings, seed).backbone, len(settings.classes)
    first, joint = epochs_of(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        channels = (backbone.channels, settings.model.latent_channels)
        counts = (classes * settings.model.prototypes_per_class, classes)
        network = PlainProtoPNet(Upper(backbone, below.applied), channels, counts)
    _descend(network, below, range(first), _groups(network, moving=False))
    training = list(zip(below.plain.split(64), below.labels.split(64), strict=True))
    places = np.empty((0, 3), dtype=np.int64)
    seconds = 0.0
    for epochs in (range(joint // 2), range(joint // 2, joint)):
        seconds += _descend(network, below, epochs, _groups(network, moving=True))
        network.eval()
        places = project(network, training)
        _fit_last_layer(network, below)
    network.eval()
    return network, places, seconds / joint


def margins_of(network: PlainProtoPNet, below: Lower, positive: int) -> tuple[Tensor, Tensor]:
    """Margin of each test image (V,), and its similarities (V, P)."""
    found = []
    with torch.no_grad():
        for _, values in in_batches(below.test):
            found.append(similarity(network.distances(values)))
        logits = network.last_layer(torch.cat(found))
    others = torch.arange(logits.shape[1]) != positive
    return logits[:, positive] - logits[:, others].mean(dim=1), torch.cat(found)


def _groups(network: PlainProtoPNet, *, moving: bool) -> torch.optim.Optimizer:
    network.requires_grad_(False)
    parts = [(network.add_on.parameters(), RATE, DECAY), ([network.prototype_vectors], RATE, 0.0)]
    if moving:
        parts.append((network.features.parameters(), BACKBONE_RATE, DECAY))
    groups = []
    for parameters, rate, decay in parts:
        chosen = list(parameters)
        for parameter in chosen:
            parameter.requires_grad_(True)
        groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return torch.optim.Adam(groups)


def _descend(network: PlainProtoPNet, below: Lower, epochs: range, optimizer: torch.optim.Optimizer) -> float:
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.1)
    began = time.perf_counter()
    network.train()
    for epoch in epochs:
        for images, labels in _pairs(below, epoch):
            costs = training_costs(network, (images, labels), class_specific=True)
            foreign = 1 - network.prototype_class_identity.T
            total = costs["cross entropy"] + CLUSTER * costs["cluster"] - SEPARATION * costs["separation"]
            total = total + 1e-4 * (network.last_layer.weight * foreign).norm(p=1)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        schedule.step()
    return time.perf_counter() - began


def _fit_last_layer(network: PlainProtoPNet, below: Lower) -> None:
    with torch.no_grad():
        found = torch.cat([similarity(network.distances(values)) for _, values in in_batches(below.plain)])
    network.last_layer.requires_grad_(True)
    optimizer = torch.optim.Adam(network.last_layer.parameters(), lr=1e-4)
    foreign = 1 - network.prototype_class_identity.T
    for _ in range(LAST_LAYER_EPOCHS):
        for chosen in torch.arange(len(found)).split(32):
            cost = functional.cross_entropy(network.last_layer(found[chosen]), below.labels[chosen])
            cost = cost + 1e-4 * (network.last_layer.weight * foreign).norm(p=1)
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()


def _pairs(below: Lower, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in below.epochs(epoch):
        yield batch.values, batch.labels
