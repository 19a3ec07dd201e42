"""How unlike the training data an image is: Mahalanobis distance of its pooled backbone features.

After Lee et al. 2018, with Ledoit-Wolf shrinkage and one class; the threshold is set on validation images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor

#: The threshold lies this many times above the distance that 99 of 100 validation exams keep.
HEADROOM = 1.25


@dataclass(frozen=True)
class LikenessModel:
    """Mean (B,) and precision (B, B) of pooled training features, float32, and the threshold on the distance."""

    mean: Tensor
    precision: Tensor
    threshold: float

    def distances(self, pooled: Tensor) -> Tensor:
        """Mahalanobis distance of pooled features (V, B); shape (V,)."""
        centred = (pooled - self.mean).double()
        return (centred @ self.precision.double() * centred).sum(dim=1).clamp(min=0).sqrt()


def pool(features: Tensor, allowed: Tensor) -> Tensor:
    """Mean and spread of backbone features (V, B, H, W) over the cells that may win; shape (V, 2B)."""
    weight = allowed.unsqueeze(1).to(features.dtype)
    count = weight.sum(dim=(2, 3)).clamp(min=1)
    mean = (features * weight).sum(dim=(2, 3)) / count
    spread = ((features - mean[..., None, None]).square() * weight).sum(dim=(2, 3)) / count
    return torch.cat([mean, spread.sqrt()], dim=1)


def fit_likeness(training: Tensor, validation: Tensor, bags: Tensor) -> LikenessModel:
    """Fit on pooled training features and set the threshold on validation exams.

    Args:
        training: shape (V, B).
        validation: shape (V', B).
        bags: shape (V',), exam of each validation image.
    """
    covariance, _ = ledoit_wolf(training.double().numpy())
    precision = torch.from_numpy(np.linalg.inv(covariance)).float()
    open_ended = LikenessModel(training.mean(dim=0).float(), precision, float("inf"))
    farthest = torch.zeros(int(bags.max()) + 1, dtype=torch.double)
    farthest = farthest.scatter_reduce(0, bags, open_ended.distances(validation), "amax")
    return LikenessModel(open_ended.mean, precision, HEADROOM * float(np.quantile(farthest.numpy(), 0.99)))
