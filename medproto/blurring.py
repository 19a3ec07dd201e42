"""Taking a part of an image away: what lies around it, blurred, in its place.

There is one fill, a normalised convolution with a Gaussian (Knutsson and Westin 1993): what is hidden and what is not
breast weigh nothing in it. The Gaussian is as wide as a quarter of the hidden part's side, so that the surround next to
it counts most, and none of its detail. Of a lesion that the part cuts it leaves less than a fill that meets the part's
rim pixel by pixel.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

#: Standard deviation of the Gaussian, as a share of the side of a square as large as the hidden part.
BLUR_SHARE = 0.25
#: A surround that weighs less is none.
_NOTHING = 1e-30
#: Pixels that touch at a corner are of one part.
_TOUCHING = np.ones((3, 3), dtype=np.int64)

Rectangle = tuple[slice, slice]


def surround(image: Tensor, breast: Tensor, hidden: Tensor, part: Rectangle, area_px: float) -> Tensor:
    """The blurred surround of what is hidden, float64, shape of `part`; the breast's mean grey where there is none.

    Args:
        image: shape (Y, X).
        breast: what counts as surround, shape (Y, X), truth values.
        hidden: what does not, shape (Y, X), bool.
        part: rows and columns that are wanted.
        area_px: area of what is filled.
    """
    sigma = math.sqrt(area_px) * BLUR_SHARE
    down, across = (torch.arange(length, dtype=torch.double) + 0.5 for length in image.shape)
    known = breast.double() * ~hidden
    blur_rows = torch.exp(-((down[part[0]].unsqueeze(1) - down) ** 2) / (2 * sigma**2))
    blur_columns = torch.exp(-((across[part[1]].unsqueeze(1) - across) ** 2) / (2 * sigma**2))
    mass = blur_rows @ known @ blur_columns.T
    values = blur_rows @ (known * image.double()) @ blur_columns.T
    return torch.where(mass > _NOTHING, values / mass.clamp(min=_NOTHING), mean_grey(image, breast).double())


def mean_grey(image: Tensor, breast: Tensor) -> Tensor:
    """Mean of the image in its breast; zero where there is none."""
    here = breast > 0
    return (image * here).sum() / here.sum().clamp(min=1)


def blurred_surround(images: Tensor, where: Tensor, breast: Tensor) -> Tensor:
    """The images with masked parts of the breast replaced by their blurred surround, each as wide as that part asks.

    Args:
        images: shape (N, 1, Y, X), float.
        where: what is replaced, shape (N, 1, Y, X), bool.
        breast: what may be replaced and what counts as surround, shape (N, 1, Y, X), bool.

    Returns:
        Shape (N, 1, Y, X); pixels outside the mask or the breast are untouched.
    """
    filled = images.clone()
    for image, before, mask, tissue in zip(filled, images, where, breast, strict=True):
        parts, _ = ndimage.label(mask[0].numpy(), _TOUCHING)
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
            part = rows, columns
            own = torch.from_numpy(parts[part] == number)
            fill = surround(before[0], tissue[0], mask[0], part, float(own.sum()))
            image[0][part] = torch.where(own & tissue[0][part], fill.to(image.dtype), image[0][part])
    return filled
