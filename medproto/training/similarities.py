"""Similarities of whole sets of images, computed as scoring computes them: maps, allowed cells, maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medproto.likeness import pool
from medproto.model.cells import breast_cells
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import bag_maximum
from medproto.training import processes
from medproto.training.features import Place, feature_batches
from medproto.training.inputs import InputSet, Progress
from medproto.training.projection import Projected

#: The source patch and the cells around it are left out of the similarity that a prototype is fitted on.
NEIGHBOURHOOD = 1


@dataclass(frozen=True)
class Similarities:
    """Per image: best similarity (V, P), its flat cell (V, P), and pooled backbone features (V, B)."""

    images: Tensor
    cells: Tensor
    pooled: Tensor

    def bags(self, data: InputSet) -> tuple[Tensor, Tensor]:
        """Best similarity of each exam (N, P), and the image that holds it (N, P)."""
        return bag_maximum(self.images, data.bags, int(data.bags.max()) + 1)


def similarities(
    model: ProtoPNet,
    data: InputSet,
    device: Place,
    leave_out: Sequence[Projected] = (),
    progress: Progress | None = None,
) -> Similarities:
    """Similarity of every image to every prototype; of several processes each encodes its share of the images.

    Args:
        leave_out: the prototypes' sources in `data`: each prototype's own patch cannot win in its own image, so that a
            fit on these values does not reward memory.
    """
    field = model.backbone.receptive_field(*data.images.shape[2:])
    share = processes.own_share(len(data))
    allowed = breast_cells(data.breast[share], field)
    best, cells, pooled = [], [], []
    model.eval()
    for places, features in feature_batches(model.backbone, data.images[share], device):
        with torch.no_grad():
            maps = model.similarity_maps(model.latent(features)).cpu()
        maps = maps.masked_fill(~allowed[places].unsqueeze(1), -torch.inf)
        for prototype, source in enumerate(leave_out):
            row = source.image - share.start - places.start
            if 0 <= row < len(maps):
                _hide(maps[row, prototype], source)
        value, cell = maps.flatten(2).max(dim=2)
        best.append(value)
        cells.append(cell)
        pooled.append(pool(features.cpu(), allowed[places]))
        if progress:
            progress(places.stop, len(allowed))
    whole = torch.cat(best)
    # An image in which nothing but the source patch could win says nothing about its prototype.
    found = (whole.masked_fill(whole.isneginf(), 0.0), torch.cat(cells), torch.cat(pooled))
    return Similarities(*(processes.gathered(part, len(data)) for part in found))


def margins(similarity: Tensor, last_layer: Tensor, positive: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Margin of each row of similarities (N, P): the positive class's logit minus the mean of the others."""
    logits = similarity.double() @ last_layer.double().T
    others = torch.arange(logits.shape[1]) != positive
    return (logits[:, positive] - logits[:, others].mean(dim=1)).numpy()


def _hide(plane: Tensor, source: Projected) -> None:
    rows = slice(max(source.row - NEIGHBOURHOOD, 0), source.row + NEIGHBOURHOOD + 1)
    columns = slice(max(source.column - NEIGHBOURHOOD, 0), source.column + NEIGHBOURHOOD + 1)
    plane[rows, columns] = -torch.inf
