"""Whether a prototype keeps to one kind of finding, and to its place when the image changes a little (Huang et al.
2023, "Evaluation and improvement of interpretability for self-explainable part-prototype networks", section 3).

The paper asks which parts of an object lie in a prototype's patch, over the images of the prototype's own class. Here
the parts are the findings: a patch holds one or none. Where nothing is annotated, its place alone can be told.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from medproto.evaluation.classification import Interval
from medproto.evaluation.quality_coherence import NO_FINDING, Truth, Whole
from medproto.training.inputs import InputSet

#: A prototype is consistent where its patch holds the finding in at least this share of the images that show its kind.
CONSISTENT_SHARE = 0.8
#: Patches are at the same place when they are at most so many cells apart along each axis.
SAME_PLACE_CELLS = 1
#: Standard deviation of the noise, in share of the grey range.
NOISE = 0.02
JPEG_QUALITY = 90

#: The same images, changed a little; breast and lesion move along.
Perturbation = Callable[[InputSet], InputSet]


@dataclass(frozen=True)
class Stability:
    """Shares averaged over prototypes, with intervals by patient: winning patch at the same place on images of the own
    class; and on the annotated ones of the `images`, patch holding a finding after the change just where it did before.
    None where there is no such image."""

    images: int
    annotated: int
    same_place: Interval | None
    same_finding: Interval | None


def consistency(holds: Truth, category: Whole, own: Truth) -> float | None:
    """Share of prototypes that are consistent, of those whose own class has an annotated image.

    Args:
        holds: whether the best patch of each image holds a finding, shape (V, P).
        category: what kind of finding each image shows, `NO_FINDING` where none is annotated, shape (V,).
        own: whether the image is of the prototype's class, shape (V, P).
    """
    shown = own & (category != NO_FINDING)[:, None]
    judged = shown.any(axis=0)
    if not judged.any():
        return None
    consistent = np.zeros(holds.shape[1], dtype=bool)
    for kind in np.unique(category[category != NO_FINDING]):
        of_kind = shown & (category == kind)[:, None]
        total = of_kind.sum(axis=0)
        consistent |= (total > 0) & ((holds & of_kind).sum(axis=0) >= CONSISTENT_SHARE * total)
    return float(consistent[judged].mean())


def same_place(before: Whole, after: Whole, columns: int) -> Truth:
    """Whether flat cells (V, P) of a map of that many columns lie together before and after a change."""
    apart = np.abs(np.stack(np.divmod(before, columns)) - np.stack(np.divmod(after, columns)))
    return np.asarray((apart <= SAME_PLACE_CELLS).all(axis=0))


def mean_over_prototypes(kept: Truth, counted: Truth) -> float | None:
    """Share of the counted images (V, P) in which something was kept (V, P), prototype by prototype, then averaged;
    prototypes without a counted image are left out."""
    total = counted.sum(axis=0)
    judged = total > 0
    if not judged.any():
        return None
    return float(((kept & counted).sum(axis=0)[judged] / total[judged]).mean())


def noisy(data: InputSet) -> InputSet:
    """With noise in the breast, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    noise = NOISE * torch.randn(data.images.shape, generator=generator)
    return replace(data, images=(data.images + noise * (data.breast > 0).unsqueeze(1)).clamp(0, 1))


def compressed(data: InputSet) -> InputSet:
    """Through 8 bits and JPEG."""
    return replace(data, images=torch.stack([_through_jpeg(image[0]) for image in data.images]).unsqueeze(1))


def brighter(data: InputSet) -> InputSet:
    """A tenth brighter."""
    return replace(data, images=(data.images * 1.1).clamp(0, 1))


def darker(data: InputSet) -> InputSet:
    """A tenth darker."""
    return replace(data, images=data.images * 0.9)


def moved_up(data: InputSet) -> InputSet:
    """Everything one pixel further up; the last row is doubled, the first is lost."""
    return _moved(data, -2, back=True)


def moved_down(data: InputSet) -> InputSet:
    """Everything one pixel further down; the first row is doubled, the last is lost."""
    return _moved(data, -2)


def moved_left(data: InputSet) -> InputSet:
    """Everything one pixel further to the left; the last column is doubled, the first is lost."""
    return _moved(data, -1, back=True)


def moved_right(data: InputSet) -> InputSet:
    """Everything one pixel further to the right; the first column is doubled, the last is lost."""
    return _moved(data, -1)


#: What a prototype should not mind.
PERTURBATIONS: Mapping[str, Perturbation] = {
    "noise": noisy,
    f"JPEG {JPEG_QUALITY}": compressed,
    "one pixel up": moved_up,
    "one pixel down": moved_down,
    "one pixel to the left": moved_left,
    "one pixel to the right": moved_right,
    "brighter": brighter,
    "darker": darker,
}


def _moved(data: InputSet, axis: int, back: bool = False) -> InputSet:
    """Along that axis by one, towards its start where it goes back; the line at the border left behind is doubled."""

    def moved(plane: Tensor) -> Tensor:
        length = plane.shape[axis]
        if back:
            return torch.cat([plane.narrow(axis, 1, length - 1), plane.narrow(axis, length - 1, 1)], dim=axis)
        return torch.cat([plane.narrow(axis, 0, 1), plane.narrow(axis, 0, length - 1)], dim=axis)

    images, breast, lesion = (moved(plane) for plane in (data.images, data.breast, data.lesion))
    return replace(data, images=images, breast=breast, lesion=lesion)


def _through_jpeg(image: Tensor) -> Tensor:
    stream = io.BytesIO()
    grey = (image * 255).round().to(torch.uint8).numpy()
    Image.fromarray(grey).save(stream, format="JPEG", quality=JPEG_QUALITY)
    with Image.open(stream) as picture:
        return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)
