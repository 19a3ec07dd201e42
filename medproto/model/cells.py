"""Masks as latent cells: which cells lie in the breast, which in a lesion.

A cell's patch is the jump x jump square around the centre of its receptive field.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medproto.model.receptive_field import Axis, ReceptiveField

#: A cell may win where at least this share of its patch lies in the breast.
BREAST_SHARE = 0.5
#: Masks that are summed up at once: the sums take several times the room of the masks.
BATCH = 64
#: A cell belongs to a lesion where at least this share of its patch does, its centre included.
LESION_SHARE = 0.25


def share_inside(planes: Tensor, field: ReceptiveField) -> Tensor:
    """Share of each cell's patch that lies in a mask.

    Args:
        planes: shape (V, Y, X), zero outside the mask.

    Returns:
        Shape (V, H, W), in [0, 1].
    """
    return torch.cat([_share_inside(some, field) for some in planes.split(BATCH)])


def _share_inside(planes: Tensor, field: ReceptiveField) -> Tensor:
    # A cumulative sum gives the sum over any square, cut at the input's border.
    total = torch.nn.functional.pad((planes > 0).float().cumsum(1).cumsum(2), (1, 0, 1, 0))
    top, bottom = _edges(field.rows, planes.shape[1])
    left, right = _edges(field.columns, planes.shape[2])
    below, above = total[:, bottom], total[:, top]
    inside = below[:, :, right] - above[:, :, right] - below[:, :, left] + above[:, :, left]
    return inside / (field.rows.jump_px * field.columns.jump_px)


def breast_cells(breast: Tensor, field: ReceptiveField) -> Tensor:
    """Cells that may win, shape (V, H, W): half of the patch lies in the breast; all, where no cell of an image
    does."""
    allowed = share_inside(breast, field) >= BREAST_SHARE
    return allowed | ~allowed.flatten(1).any(dim=1).view(-1, 1, 1)


def lesion_cells(lesion: Tensor, allowed: Tensor, field: ReceptiveField) -> Tensor:
    """Cells of the annotated lesion among the allowed ones, shape (V, H, W).

    The centre of the patch lies in the lesion, and enough of the patch. A lesion without such a cell keeps the one that
    holds most of it.
    """
    share = share_inside(lesion, field) * allowed
    best = share.flatten(1).amax(dim=1).view(-1, 1, 1)
    inside = (share >= LESION_SHARE) & centre_inside(lesion, field)
    return (share > 0) & (inside | ((share == best) & ~inside.flatten(1).any(dim=1).view(-1, 1, 1)))


def centre_inside(planes: Tensor, field: ReceptiveField) -> Tensor:
    """Cells whose centre lies in a mask, shape (V, H, W)."""
    rows = _centres(field.rows).long().clamp(max=planes.shape[1] - 1)
    columns = _centres(field.columns).long().clamp(max=planes.shape[2] - 1)
    return planes[:, rows][:, :, columns] > 0


def _centres(axis: Axis) -> Tensor:
    return axis.start_px + torch.arange(axis.cells) * axis.jump_px


def _edges(axis: Axis, length_px: int) -> tuple[Tensor, Tensor]:
    low = (_centres(axis) - axis.jump_px / 2).round().long()
    return low.clamp(0, length_px), (low + axis.jump_px).clamp(0, length_px)
