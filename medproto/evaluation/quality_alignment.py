"""Whether a prototype saw what its patch shows: change everything but the patch and see what becomes of the similarity
(Sacha et al. 2024, "Interpretability benchmark for evaluating spatial misalignment of prototypical parts
explanations").

A patch that holds what the prototype responds to keeps its similarity when the rest of the breast is changed, even by
an adversary. The rest is changed by projected gradient descent on the similarity at the patch's cell, no pixel by more
than `LIMIT`; for comparison the patch alone is changed in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medproto.evaluation.classification import Interval
from medproto.evaluation.intervals import Places, by_patient
from medproto.evaluation.quality_stability import same_place
from medproto.model.protopnet import ProtoPNet
from medproto.training.inputs import InputSet, Progress

#: How far a pixel may be moved, in share of the grey range, and in how many steps.
LIMIT, STEPS = 0.02, 5
#: Images whose gradients are held at once.
BATCH = 8


@dataclass(frozen=True)
class Peaks:
    """One prototype for each of V images: its index (V,), the flat cell (V,) and box (V, 4) of its best patch, and the
    cells that may win (V, H, W)."""

    prototype: Tensor
    cell: Tensor
    box: Tensor
    allowed: Tensor

    def at(self, places: slice) -> Peaks:
        """Those of some of the images."""
        return Peaks(self.prototype[places], self.cell[places], self.box[places], self.allowed[places])


@dataclass(frozen=True)
class Misalignment:
    """Of the strongest prototype of each image: by which share the summed similarity at the patch falls when all but
    the patch is changed, the same when the patch alone is changed, and in which share of the images another patch wins
    after the former; with intervals by patient. A faithful patch has 0, much, and 0."""

    images: int
    drop_by_outside: Interval | None
    drop_by_inside: Interval | None
    moved_by_outside: Interval | None


def misalignment(model: ProtoPNet, data: InputSet, peaks: Peaks, progress: Progress | None = None) -> Misalignment:
    """Change the images outside and inside the patches, in the breast alone.

    Args:
        progress: called with images done and all images.
    """
    model.eval()
    rows = []
    for start in range(0, len(data), BATCH):
        places = slice(start, min(start + BATCH, len(data)))
        views, some = data.images[places], peaks.at(places)
        patch = inside_boxes(some.box, (data.images.shape[2], data.images.shape[3]))
        here = (data.breast[places] > 0).unsqueeze(1)
        maps = [_maps(model, shown, some).detach() for shown in (views, *_attacked(model, views, some, (patch, here)))]
        plain, without, within = (_at_peak(found, some).double() for found in maps)
        rows.append(torch.stack([plain.abs(), plain - without, plain - within, _moved(maps[1], some).double()]))
        if progress:
            progress(places.stop, len(data))
    found = torch.cat(rows, dim=1).numpy()

    def shares(places: Places) -> list[float]:
        before, outside, inside, moved = found[:, places].sum(axis=1)
        return [outside / before, inside / before, moved / len(places)]

    return Misalignment(len(data), *by_patient(shares, data.patients()))


def inside_boxes(boxes: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Masks (V, 1, Y, X) of boxes (V, 4)."""
    row, column = torch.arange(size_px[0]).view(1, -1, 1), torch.arange(size_px[1]).view(1, 1, -1)
    top, left, bottom, right = (edge.view(-1, 1, 1) for edge in boxes.unbind(1))
    return ((row >= top) & (row < bottom) & (column >= left) & (column < right)).unsqueeze(1)


def weakened(model: ProtoPNet, images: Tensor, peaks: Peaks, where: Tensor) -> Tensor:
    """The images, changed where a mask (V, 1, Y, X) allows it so that the similarity at the peaks falls."""
    changed = images
    for _ in range(STEPS):
        changed = changed.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(_at_peak(_maps(model, changed, peaks), peaks).sum(), changed)
        # Steps that add up to twice the limit reach it everywhere, and can still turn round.
        step = changed.detach() - 2 * LIMIT / STEPS * slope.sign() * where
        changed = torch.minimum(torch.maximum(step, images - LIMIT), images + LIMIT).clamp(0, 1)
    return changed


def _attacked(model: ProtoPNet, images: Tensor, peaks: Peaks, masks: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Changed outside the patch, and inside."""
    patch, breast = masks
    return weakened(model, images, peaks, breast & ~patch), weakened(model, images, peaks, breast & patch)


def _maps(model: ProtoPNet, images: Tensor, peaks: Peaks) -> Tensor:
    """Similarity maps (V, H * W) of the peaks' prototypes."""
    maps = model.similarity_maps(model.encode(images)).flatten(2)
    return maps[torch.arange(len(images)), peaks.prototype]


def _at_peak(maps: Tensor, peaks: Peaks) -> Tensor:
    return maps.gather(1, peaks.cell.unsqueeze(1)).squeeze(1)


def _moved(maps: Tensor, peaks: Peaks) -> Tensor:
    """Whether each peak lies elsewhere now, shape (V,)."""
    now = maps.masked_fill(~peaks.allowed.flatten(1), -torch.inf).argmax(dim=1)
    return torch.from_numpy(~same_place(peaks.cell.numpy(), now.numpy(), peaks.allowed.shape[2]))
