"""ProtoPNet: backbone, add-on layers, prototypes and a last layer without bias (Chen et al. 2019, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medproto.config import Settings
from medproto.model.backbones import Backbone, build_backbone
from medproto.model.similarity import (
    Similarity,
    bag_maximum,
    cosine_similarity,
    distance_maps,
    log_similarity,
    nearest_cells,
)


class ModelSettings(Settings):
    """What shapes a network; it travels with the weights."""

    backbone: Literal[
        "convnext_tiny",
        "densenet121",
        "efficientnet_lite0",
        "resnet18",
        "resnet34",
        "resnet50",
        "tiny",
        "vgg16",
        "vgg19",
    ] = "efficientnet_lite0"
    stride: Literal[8, 16, 32] = 16
    #: `imagenet`, `none`, or the path of a state-dict file.
    weights: str = "imagenet"
    #: Channels D of the latent space in which prototypes live.
    latent_channels: int = 64
    prototypes_per_class: int = 10
    #: `log` as published, in (0, 9.2104], or `cosine`, in [-1, 1].
    similarity: Similarity = "log"
    classes: tuple[str, ...] = ("normal", "malignant")
    positive_class: str = "malignant"


@dataclass(frozen=True)
class Output:
    """What one forward pass gives; N bags, V views, P prototypes, C classes.

    logits (N, C); similarities (N, P) of the bags; view (N, P) that won; and per view: distances (V, P) to the nearest
    cell, cells (V, P) flat indices of those.
    """

    logits: Tensor
    similarities: Tensor
    view: Tensor
    distances: Tensor
    cells: Tensor


class ProtoPNet(nn.Module):
    """A prototype network over bags of views.

    Where its similarity is the cosine, latent vectors and prototypes are unit vectors, wherever they come from.
    """

    prototype_class: Tensor

    def __init__(
        self,
        backbone: Backbone,
        latent_channels: int,
        prototype_class: Tensor,
        class_count: int,
        similarity: Similarity = "log",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.similarity = similarity
        self.add_on = nn.Sequential(
            nn.Conv2d(backbone.channels, latent_channels, 1),
            nn.ReLU(),
            nn.Conv2d(latent_channels, latent_channels, 1),
        )
        if similarity == "log":
            # Unit vectors are bounded as they are, and with positive channels alone no two would be opposite.
            self.add_on.append(nn.Sigmoid())
        start = torch.rand(len(prototype_class), latent_channels)
        self.prototypes = nn.Parameter(start if similarity == "log" else start - 0.5)
        self.settle_prototypes()
        self.register_buffer("prototype_class", prototype_class.long())
        own = nn.functional.one_hot(self.prototype_class, class_count).T.float()
        # Section 2.2: +1 towards the own class, -0.5 towards the others.
        self.last_layer = nn.Parameter(own - 0.5 * (1 - own), requires_grad=False)

    @property
    def own_class(self) -> Tensor:
        """Whether prototype p belongs to class c, shape (C, P)."""
        classes = torch.arange(self.last_layer.shape[0], device=self.prototype_class.device)
        return classes.unsqueeze(1) == self.prototype_class.unsqueeze(0)

    def latent(self, features: Tensor) -> Tensor:
        """Latent map (V, D, H, W) of backbone features (V, B, H, W)."""
        return self.comparable(self.add_on(features))

    def comparable(self, vectors: Tensor) -> Tensor:
        """Vectors along dimension 1 as their distances are measured: of length 1 where the similarity is the cosine."""
        if self.similarity == "log":
            return vectors
        return nn.functional.normalize(vectors.float(), dim=1)

    def settle_prototypes(self) -> None:
        """Make the prototypes comparable with latent vectors again after they were moved."""
        if self.similarity == "cosine":
            self.prototypes.data = self.comparable(self.prototypes.data)

    def similarity_of(self, distance: Tensor) -> Tensor:
        """Similarity of a latent cell to a prototype at that squared distance, in (0, 9.2104] or, cosine, [-1, 1]."""
        return log_similarity(distance) if self.similarity == "log" else cosine_similarity(distance)

    def encode(self, images: Tensor) -> Tensor:
        """Latent map (V, D, H, W) of images (V, 1, Y, X) in [0, 1]."""
        return self.latent(self.backbone(images))

    def classify(self, latent: Tensor, bags: Tensor, bag_count: int, allowed: Tensor | None = None) -> Output:
        """Score bags from their latent maps; cells where `allowed` (V, H, W) is False cannot win."""
        distances, cells = nearest_cells(latent, self.prototypes, allowed)
        similarities, view = bag_maximum(self.similarity_of(distances), bags, bag_count)
        return Output(similarities @ self.last_layer.T, similarities, view, distances, cells)

    def forward(self, images: Tensor, bags: Tensor | None = None, allowed: Tensor | None = None) -> Output:
        """Score images, each its own bag where no bags are given.

        Args:
            images: shape (V, 1, Y, X), in [0, 1].
            bags: shape (V,), consecutive from 0.
            allowed: shape (V, H, W), True where a cell may win.
        """
        if bags is None:
            bags = torch.arange(images.shape[0], device=images.device)
        return self.classify(self.encode(images), bags, int(bags.max()) + 1, allowed)

    def similarity_maps(self, latent: Tensor) -> Tensor:
        """Similarity of every cell to every prototype, shape (V, P, H, W)."""
        return self.similarity_of(distance_maps(latent, self.prototypes))

    def keep(self, chosen: Tensor) -> None:
        """Drop every prototype but the chosen ones (indices into P), with their last-layer weights."""
        self.prototypes = nn.Parameter(self.prototypes.detach()[chosen].clone())
        self.prototype_class = self.prototype_class[chosen].clone()
        self.last_layer = nn.Parameter(self.last_layer.detach()[:, chosen].clone(), requires_grad=False)


def build_model(settings: ModelSettings, seed: int) -> ProtoPNet:
    """A fresh network; its random numbers come from `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = build_backbone(settings.backbone, settings.stride, settings.weights)
        classes = torch.arange(len(settings.classes)).repeat_interleave(settings.prototypes_per_class)
        return _model_of(settings, backbone, classes)


def empty_model(settings: ModelSettings, prototype_class: Tensor) -> ProtoPNet:
    """A network of that shape whose weights are about to be loaded; it touches no weight file."""
    backbone = build_backbone(settings.backbone, settings.stride, "none", measured=False)
    return _model_of(settings, backbone, prototype_class)


def _model_of(settings: ModelSettings, backbone: Backbone, prototype_class: Tensor) -> ProtoPNet:
    classes = len(settings.classes)
    return ProtoPNet(backbone, settings.latent_channels, prototype_class, classes, settings.similarity)
