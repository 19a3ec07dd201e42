"""The plain prototype layer of the paper's description: distances by convolutions, kept whole, then pooled."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medproto.model.similarity import log_similarity


def plain_distances(features: Tensor, prototypes: Tensor) -> Tensor:
    """Squared distances (V, P, H, W) by convolutions: of the squares with ones, of the features with the prototypes."""
    count, channels = prototypes.shape
    kernels = prototypes.view(count, channels, 1, 1)
    squares = functional.conv2d(features**2, torch.ones_like(kernels))
    cross = functional.conv2d(features, kernels)
    return torch.relu(squares - 2 * cross + (kernels**2).sum(dim=(1, 2, 3)).view(-1, 1, 1))


def plain_similarities(features: Tensor, prototypes: Tensor) -> Tensor:
    """Similarity (V, P) of each view's nearest cell, pooled from the whole maps."""
    distances = plain_distances(features, prototypes)
    return log_similarity(-functional.max_pool2d(-distances, distances.shape[2:])).flatten(1)
