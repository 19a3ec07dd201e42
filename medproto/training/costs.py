"""The costs of one batch: the paper's, and those that keep prototypes apart and in the lesion."""

from __future__ import annotations

import torch
from torch import Tensor

from medproto.model import losses
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import nearest_cells, training_maps
from medproto.training.batches import Batch
from medproto.training.settings import Costs


def terms_of(model: ProtoPNet, latent: Tensor, batch: Batch, costs: Costs, class_weights: Tensor) -> dict[str, Tensor]:
    """Every cost of one batch by name, and their weighted `total`, from its latent maps (V, D, H, W)."""
    # Unit vectors already where the similarity is the cosine; so their gradient is a turn alone.
    prototypes, classes = model.comparable(model.prototypes), model.prototype_class
    anywhere, _ = nearest_cells(latent, prototypes, batch.allowed)
    has_lesion = batch.lesion.flatten(1).any(dim=1)
    own_cells = torch.where(has_lesion.view(-1, 1, 1), batch.lesion, batch.allowed)
    inside, _ = nearest_cells(latent, prototypes, own_cells)
    own = (classes.unsqueeze(0) == batch.labels.unsqueeze(1)) & has_lesion.unsqueeze(1)
    logits = model.similarity_of(anywhere) @ model.last_layer.T
    terms = {
        "cross_entropy": losses.cross_entropy(logits, batch.labels, class_weights),
        "cluster": losses.cluster_cost(inside, batch.labels, classes),
        "anchor": losses.anchor_cost(inside, batch.labels, classes),
        "separation": losses.separation_cost(anywhere, batch.labels, classes),
        "margin": losses.margin_cost(anywhere, batch.labels, classes, costs.margin_width),
        "l1": losses.wrong_class_l1(model.last_layer, model.own_class),
        "diversity": losses.diversity_cost(prototypes, classes),
        "outside": losses.outside_cost(inside, anywhere, own.to(inside.dtype)),
        "cells": losses.cell_cost(
            model.similarity_of(training_maps(latent, prototypes)), classes, batch.labels, (batch.allowed, batch.lesion)
        ),
    }
    terms["total"] = (
        terms["cross_entropy"]
        + costs.cluster * terms["cluster"]
        - costs.separation * terms["separation"]
        + costs.margin * terms["margin"]
        + costs.l1 * terms["l1"]
        + costs.diversity * terms["diversity"]
        + costs.outside * terms["outside"]
        + costs.anchor * terms["anchor"]
        + costs.cells * terms["cells"]
    )
    return terms


def latent_of(model: ProtoPNet, batch: Batch) -> Tensor:
    """Latent maps (V, D, H, W) of a batch, from as far as its values have come already."""
    if batch.applied == 0:
        return model.encode(batch.values)
    return model.latent(model.backbone.rest(batch.values, batch.applied))
