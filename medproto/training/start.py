"""Where prototypes begin: on spread-out latent cells of their class, so that the descent starts from real tissue."""

from __future__ import annotations

import torch
from torch import Tensor

from medproto.model.protopnet import ProtoPNet
from medproto.training import processes
from medproto.training.batches import cells_of
from medproto.training.features import Place, feature_batches
from medproto.training.inputs import InputSet

#: Cells drawn per class, among which the spread-out ones are chosen.
POOL = 2000
#: Cells drawn of each image.
EACH = 8


def start_prototypes(model: ProtoPNet, data: InputSet, seed: int, device: Place) -> None:
    """Set every prototype to a training cell of its class, inside the lesion where there is one, spread as in
    k-means++.

    Chen et al. draw them uniformly from [0, 1); far from every latent cell they start with vanishing gradients.
    """
    generator = torch.Generator().manual_seed(seed)
    field = model.backbone.receptive_field(*data.images.shape[2:])
    cells = cells_of(data.breast, data.lesion, field)
    annotated = (data.lesion > 0).flatten(1).any(dim=1).view(-1, 1, 1)
    candidates = torch.where(annotated, cells.lesion, cells.allowed)
    # Which cells of each image: drawn by every process for all images, so that all draw the same.
    picked = [torch.randperm(int(mask.sum()), generator=generator)[:EACH] for mask in candidates]
    share = range(len(data))[processes.own_share(len(data))]
    own = torch.zeros(len(share), EACH, model.prototypes.shape[1])
    model.eval()
    for places, features in feature_batches(model.backbone, processes.own(data.images), device):
        with torch.no_grad():
            latent = model.latent(features).cpu()
        for row, cells_of_one, image in zip(own[places], latent, share[places], strict=True):
            vectors = cells_of_one.flatten(1).T[candidates[image].flatten()]
            row[: len(picked[image])] = vectors[picked[image]]
    drawn = processes.gathered(own, len(data))
    rows = []
    for label in range(model.last_layer.shape[0]):
        of_class = [drawn[i, : len(few)] for i, few in enumerate(picked) if int(data.labels[i]) == label]
        rows.append(_spread(torch.cat(of_class), int((model.prototype_class == label).sum()), generator))
    model.prototypes.data.copy_(torch.cat(rows).to(model.prototypes.device))


def _spread(vectors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    vectors = vectors[torch.randperm(len(vectors), generator=generator)[:POOL]]
    chosen = [0]
    distance = (vectors - vectors[0]).square().sum(dim=1)
    while len(chosen) < count:
        weights = distance if float(distance.sum()) > 0 else torch.ones_like(distance)
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
        distance = torch.minimum(distance, (vectors - vectors[chosen[-1]]).square().sum(dim=1))
    return vectors[chosen]
