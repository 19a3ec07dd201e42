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


def margin_cost(distances: Tensor, labels: Tensor, prototype_class: Tensor, margin: float) -> Tensor:
    """Hinge: by how much the nearest other-class prototype is not yet `margin` farther than the nearest own-class one.

    Unlike the separation cost, which grows without bound, an image whose classes are that far apart costs nothing.

    Args:
        distances: squared distances to the nearest cell, shape (V, P); every class needs a prototype.
        labels: shape (V,).
        prototype_class: shape (P,).
        margin: in squared distance, at least 0.
    """
    own = prototype_class.unsqueeze(0) == labels.unsqueeze(1)
    near = distances.masked_fill(~own, torch.inf).amin(dim=1)
    wrong = distances.masked_fill(own, torch.inf).amin(dim=1)
    return (near - wrong + margin).clamp(min=0).mean()


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


def anchor_cost(distances: Tensor, labels: Tensor, prototype_class: Tensor) -> Tensor:
    """Distance of each prototype to the nearest image of its class in the batch, mean over prototypes that have one.

    The counterpart of the cluster cost (Li et al. 2018, R1): without it a prototype that is nearest to no image drifts
    away from all patches, and projection then moves it far.
    """
    foreign = prototype_class.unsqueeze(0) != labels.unsqueeze(1)
    nearest = distances.masked_fill(foreign, torch.inf).amin(dim=0)
    return nearest[torch.isfinite(nearest)].mean()


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


#: Cells without a finding that are hardest to tell from one count; this many of each image.
HARD_CELLS = 8


def cell_cost(similarity: Tensor, prototype_class: Tensor, labels: Tensor, cells: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of single cells on the best similarity of each class: the fine annotation, told cell by cell.

    Cells of a lesion carry their image's class. The other breast cells carry class 0 where the image is of class 0 or
    its lesion is annotated; of these the hardest eight of each image count. Images of another class without an
    annotated lesion do not say where it is, so their cells are left out.

    Args:
        similarity: maps, shape (V, P, H, W).
        labels: shape (V,).
        cells: allowed and lesion cells, each (V, H, W) bool.
    """
    allowed, lesion = (mask.flatten(1) for mask in cells)
    classes = int(prototype_class.max()) + 1
    flat = similarity.flatten(2)
    best = torch.stack([flat[:, prototype_class == c].amax(dim=1) for c in range(classes)], dim=1)
    target = labels.unsqueeze(1).expand(-1, flat.shape[2])
    of_lesion = functional.cross_entropy(best, target, reduction="none")
    annotated = lesion.any(dim=1)
    per_lesion = (of_lesion * lesion).sum(dim=1) / lesion.sum(dim=1).clamp(min=1)
    found = per_lesion.sum() / annotated.sum().clamp(min=1)
    clear = allowed & ~lesion & (annotated | (labels == 0)).unsqueeze(1)
    of_clear = functional.cross_entropy(best, torch.zeros_like(target), reduction="none").masked_fill(~clear, 0.0)
    hardest = of_clear.topk(min(HARD_CELLS, flat.shape[2]), dim=1).values
    return found + hardest.mean()
