"""Training costs as pure functions, with the paper's signs and coefficients (Chen et al. 2019, equation 3).

Shapes: V images, P prototypes, C classes, D channels, H W cells. All costs are means over images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of logits (V, C) against labels (V,)."""
    return functional.cross_entropy(logits, labels, weight=class_weights)


def cluster_cost(distances: Tensor, labels: Tensor, prototype_class: Tensor) -> Tensor:
    """Distance of each image to the nearest prototype of its own class; distances (V, P) to the nearest cell."""
    other = prototype_class.unsqueeze(0) != labels.unsqueeze(1)
    return distances.masked_fill(other, torch.inf).amin(dim=1).mean()


def separation_cost(distances: Tensor, labels: Tensor, prototype_class: Tensor) -> Tensor:
    """Distance of each image to the nearest prototype of any other class; subtracted from the total."""
    own = prototype_class.unsqueeze(0) == labels.unsqueeze(1)
    return distances.masked_fill(own, torch.inf).amin(dim=1).mean()


def wrong_class_l1(last_layer: Tensor, own_class: Tensor) -> Tensor:
    """Sum of |W[c, p]| over prototypes of other classes; last_layer and own_class have shape (C, P)."""
    return last_layer.masked_select(~own_class).abs().sum()


def total_cost(classification: Tensor, cluster: Tensor, separation: Tensor, l1: Tensor) -> Tensor:
    """CE + 0.8 cluster - 0.08 separation + 1e-4 L1, the published coefficients."""
    return classification + 0.8 * cluster - 0.08 * separation + 1e-4 * l1


def diversity_cost(prototypes: Tensor, prototype_class: Tensor) -> Tensor:
    """Mean squared cosine between prototypes of one class after centring: against twins (Wang et al. 2021, TesNet)."""
    centred = functional.normalize(prototypes - prototypes.mean(dim=0, keepdim=True), dim=1)
    same = prototype_class.unsqueeze(0) == prototype_class.unsqueeze(1)
    pairs = same & ~torch.eye(len(prototypes), dtype=torch.bool, device=prototypes.device)
    return (centred @ centred.T).square().masked_select(pairs).sum() / pairs.sum().clamp(min=1)


def outside_cost(inside: Tensor, anywhere: Tensor, own: Tensor) -> Tensor:
    """How much closer own-class prototypes come outside the annotated lesion than inside it.

    After the fine-annotation idea of IAIA-BL (Barnett et al. 2021): evidence for a class belongs in its lesion.

    Args:
        inside: squared distance to the nearest cell of the lesion, shape (V, P).
        anywhere: squared distance to the nearest allowed cell, shape (V, P).
        own: shape (V, P), True for prototypes of the image's class, False everywhere for images without a lesion.
    """
    gap = torch.log1p(inside) - torch.log1p(anywhere)
    return (gap * own).sum() / own.sum().clamp(min=1)
