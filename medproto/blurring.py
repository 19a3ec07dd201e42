"""Taking a part of an image away: what lies around it, blurred, in its place.

Filled by pulling and pushing (Gortler et al. 1996, "The lumigraph", section 3.5.1): the known pixels are averaged on
ever coarser grids, and each hole is filled from the finest grid that knows something there. The fill is smooth, meets
its surround, holds no detail, and needs no reach to be chosen: a large hole is filled from farther away.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def blurred_surround(images: Tensor, where: Tensor, breast: Tensor) -> Tensor:
    """The images with a masked part of the breast replaced by a smooth fill from the rest of the same breast.

    Args:
        images: shape (N, 1, Y, X), float.
        where: what is replaced, shape (N, 1, Y, X), bool.
        breast: what may be replaced and what counts as surround, shape (N, 1, Y, X), bool. A breast that is masked as a
            whole becomes its own mean.

    Returns:
        Shape (N, 1, Y, X); pixels outside the mask or the breast are untouched.
    """
    known = (breast & ~where).to(images.dtype)
    # Means of the known pixels, and their share, from the finest grid to a single cell.
    levels = [(images * known, known)]
    while max(levels[-1][1].shape[2:]) > 1:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    mean = (images * breast).sum(dim=(2, 3), keepdim=True) / breast.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    sums, share = levels[-1]
    fill = torch.where(share > 0, sums / share.clamp(min=1e-12), mean)
    for sums, share in reversed(levels[:-1]):
        coarser = interpolate(fill, size=sums.shape[2:], mode="bilinear", align_corners=False)
        fill = sums + (1 - share) * coarser
    return torch.where(where & breast, fill, images)


def _halved(plane: Tensor) -> Tensor:
    """Means of two by two pixels; of fewer at an odd edge."""
    return avg_pool2d(plane, 2, ceil_mode=True)
