"""Masks as latent cells: which cells lie in the breast, which in a lesion.

A cell's patch is the jump x jump square around the centre of its receptive field.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medproto.model.receptive_field import Axis, ReceptiveField

#: A cell may win where at least this share of its patch lies in the breast.
BREAST_SHARE = 0.5
#: A cell belongs to a lesion where at least this share of its patch does.
LESION_SHARE = 0.4


def share_inside(planes: Tensor, field: ReceptiveField) -> Tensor:
    """Share of each cell's patch that lies in a mask.

    Args:
        planes: shape (V, Y, X), zero outside the mask.

    Returns:
        Shape (V, H, W), in [0, 1].
    """
    # A cumulative sum gives the sum over any square, cut at the input's border.
    total = torch.nn.functional.pad((planes > 0).float().cumsum(1).cumsum(2), (1, 0, 1, 0))
    top, bottom = _edges(field.rows, planes.shape[1])
    left, right = _edges(field.columns, planes.shape[2])
    below, above = total[:, bottom], total[:, top]
    inside = below[:, :, right] - above[:, :, right] - below[:, :, left] + above[:, :, left]
    return inside / (field.rows.jump_px * field.columns.jump_px)


def breast_cells(breast: Tensor, field: ReceptiveField) -> Tensor:
    """Cells that may win, shape (V, H, W): half of the patch lies in the breast; all, where no cell of an image does."""
    allowed = share_inside(breast, field) >= BREAST_SHARE
    return allowed | ~allowed.flatten(1).any(dim=1).view(-1, 1, 1)


def lesion_cells(lesion: Tensor, allowed: Tensor, field: ReceptiveField) -> Tensor:
    """Cells of the annotated lesion among the allowed ones, shape (V, H, W).

    A lesion that no cell holds by enough keeps the cell that holds most of it.
    """
    share = share_inside(lesion, field) * allowed
    best = share.flatten(1).amax(dim=1).view(-1, 1, 1)
    return (share > 0) & ((share >= LESION_SHARE) | (share == best))


def _edges(axis: Axis, length_px: int) -> tuple[Tensor, Tensor]:
    centres = axis.start_px + torch.arange(axis.cells) * axis.jump_px
    low = (centres - axis.jump_px / 2).round().long()
    return low.clamp(0, length_px), (low + axis.jump_px).clamp(0, length_px)
