"""Where prototypes begin: on spread-out latent cells of their class, so that the descent starts from real tissue."""

from __future__ import annotations

import torch
from torch import Tensor

from medproto.model.protopnet import ProtoPNet
from medproto.training.batches import cells_of
from medproto.training.features import Place, encode_all
from medproto.training.inputs import InputSet

#: Cells drawn per class, among which the spread-out ones are chosen.
POOL = 2000


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
    found: list[list[Tensor]] = [[] for _ in range(model.last_layer.shape[0])]
    for places, latent in encode_all(model, data, device):
        for i, image in enumerate(range(places.start, places.stop)):
            vectors = latent[i].cpu().flatten(1).T[candidates[image].flatten()]
            few = torch.randperm(len(vectors), generator=generator)[:8]
            found[int(data.labels[image])].append(vectors[few])
    rows = [
        _spread(torch.cat(vectors), int((model.prototype_class == label).sum()), generator)
        for label, vectors in enumerate(found)
    ]
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
