"""Whether a match comes from the box that is shown for it: blank the box, score again, and compare with random boxes.

A box is blanked by its blurred surround, so that nothing is left of what it held and no edge is drawn. The drop of the
similarity, at the scored cell and after the maximum is taken again, is told as a share of the drop when the whole
breast is blanked to its mean grey; random boxes of the same area in the breast show what any box would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medproto.attribution import InputBox, Place, area_of, boxes, gradients, region, square
from medproto.blurring import mean_grey, surround
from medproto.explain import ScoredViews
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import distance_maps
from medproto.records import Blanking, Box, BoxKind
from medproto.transforms import Geometry

#: The kind of box that is shown first: of the three the one that takes most, as `medproto evaluate --out` tells.
DEFAULT_BOX: Final[BoxKind] = "patch"
#: Blanked inputs that go through the network at once.
BATCH = 8


@dataclass(frozen=True)
class Check:
    """How matches are checked."""

    random_boxes: int = 20


#: What scored exams get.
CHECKED: Final = Check()


@dataclass(frozen=True)
class Origin:
    """Where an input came from: its geometry, the part of the original it shows, and the digest of its pixels."""

    geometry: Geometry
    crop: Box
    pixels_sha256: str

    @property
    def limits(self) -> InputBox:
        """The part of the input that shows the original, without the filling beside it."""
        crop = self.crop
        corners = self.geometry.to_input(crop.top, crop.left), self.geometry.to_input(crop.bottom, crop.right)
        (top, bottom), (left, right) = (sorted(edges) for edges in zip(*corners, strict=True))
        return InputBox(top, left, bottom, right)

    def box(self, box: InputBox) -> Box:
        """The box in original pixels."""
        return self.geometry.box_to_original(box.top, box.left, box.bottom, box.right)


@dataclass(frozen=True)
class Seen:
    """What the network saw of an exam, and what it made of that: images (V, 1, Y, X), breast (V, Y, X)."""

    model: ProtoPNet
    images: Tensor
    breast: Tensor
    origins: tuple[Origin, ...]
    scored: ScoredViews


#: A view and the box of it that is blanked, or None for the whole breast.
_Job = tuple[int, InputBox | None]
#: Drops of the similarity, or shares of them: at the scored cell, and anywhere; shape (..., 2).
_Drops = NDArray[np.float64]


def check_places(seen: Seen, places: Sequence[Place], check: Check = CHECKED) -> list[tuple[Blanking, ...]]:
    """What blanking does to each match: one entry for each kind of box, `DEFAULT_BOX` first.

    Args:
        places: the matches, the strongest first.

    Returns:
        One tuple for each place; empty where blanking the whole breast does not lower the similarity.
    """
    whole = _whole_drops(seen, places)
    judged = np.flatnonzero((whole > 0).all(axis=1)).tolist()
    found: list[tuple[Blanking, ...]] = [()] * len(places)
    if not judged:
        return found
    places, whole = [places[k] for k in judged], whole[judged]
    own = _candidates(seen, places)
    others = [
        _random_boxes(seen, place.view, each[DEFAULT_BOX].area_px, check)
        for place, each in zip(places, own, strict=True)
    ]
    wanted = [
        [(place.view, box) for box in (*mine.values(), *random)]
        for place, mine, random in zip(places, own, others, strict=True)
    ]
    # Matches of one view and area share their random boxes: each goes through the network once.
    number = {job: j for j, job in enumerate(dict.fromkeys(job for each in wanted for job in each))}
    drops = _drops(seen, places, list(number))
    for k, (place, mine) in enumerate(zip(places, own, strict=True)):
        shares = drops[[number[job] for job in wanted[k]], k] / whole[k]
        origin = seen.origins[place.view]
        entries = [
            _entry(kind, origin.box(box), share, shares[len(mine) :])
            for (kind, box), share in zip(mine.items(), shares, strict=False)
        ]
        found[judged[k]] = tuple(sorted(entries, key=lambda entry: entry.kind != DEFAULT_BOX))
    return found


def blank(image: Tensor, breast: Tensor, box: InputBox) -> Tensor:
    """The image with a box of its breast replaced by its blurred surround in the breast.

    Pixels that the box covers in part are replaced in part. A box without a surround becomes the breast's mean grey.

    Args:
        image: shape (Y, X), in [0, 1].
        breast: shape (Y, X), truth values.
    """
    rows, columns = (torch.arange(length, dtype=torch.double) + 0.5 for length in image.shape)
    down, across = _covered(rows, box.top, box.bottom), _covered(columns, box.left, box.right)
    inside = torch.outer(down, across)
    high, wide = torch.nonzero(down).flatten(), torch.nonzero(across).flatten()
    part = slice(int(high[0]), int(high[-1]) + 1), slice(int(wide[0]), int(wide[-1]) + 1)
    fill = surround(image, breast, inside > 0, part, box.area_px)
    share = inside[part] * (breast[part] > 0)
    blanked = image.clone()
    blanked[part] = (image[part].double() * (1 - share) + fill * share).to(image.dtype)
    return blanked


def _covered(centres: Tensor, low: float, high: float) -> Tensor:
    """The share of each pixel along an axis that lies between two edges."""
    return (torch.clamp(centres + 0.5, max=high) - torch.clamp(centres - 0.5, min=low)).clamp(min=0)


def _blanked(seen: Seen, job: _Job) -> Tensor:
    """Shape (1, Y, X)."""
    view, box = job
    image, breast = seen.images[view, 0], seen.breast[view]
    if box is None:
        return torch.where(breast > 0, mean_grey(image, breast), image).unsqueeze(0)
    return blank(image, breast, box).unsqueeze(0)


def _rescored(seen: Seen, places: Sequence[Place], jobs: Sequence[_Job]) -> tuple[Tensor, Tensor]:
    """Similarity of each job's view to each place's prototype: at the place's cell, and the best of the view; float64,
    shape (J, K) each."""
    prototypes = seen.model.prototypes[[place.prototype for place in places]]
    cells = torch.tensor([place.cell[0] * seen.scored.field.columns.cells + place.cell[1] for place in places])
    at_cell, best = [], []
    with torch.inference_mode():
        for start in range(0, len(jobs), BATCH):
            some = jobs[start : start + BATCH]
            images = torch.stack([_blanked(seen, job) for job in some]).contiguous(memory_format=torch.channels_last)
            maps = seen.model.similarity_of(distance_maps(seen.model.encode(images), prototypes)).flatten(2).double()
            allowed = seen.scored.allowed[[view for view, _ in some]].flatten(1).unsqueeze(1)
            at_cell.append(maps[:, torch.arange(len(places)), cells])
            best.append(maps.masked_fill(~allowed, -torch.inf).amax(dim=2))
    return torch.cat(at_cell), torch.cat(best)


def _before(seen: Seen, places: Sequence[Place]) -> Tensor:
    """Best similarity of each view to each place's prototype as it was scored, float64, shape (V, K)."""
    maps = seen.scored.maps[:, [place.prototype for place in places]]
    return maps.masked_fill(~seen.scored.allowed.unsqueeze(1), -torch.inf).flatten(2).amax(dim=2).double()


def _whole_drops(seen: Seen, places: Sequence[Place]) -> _Drops:
    """Drops when all that the breast shows is blanked: that view's for the cell, all views' for anywhere; (K, 2)."""
    at_cell, best = _rescored(seen, places, [(view, None) for view in range(len(seen.images))])
    scored = _before(seen, places).amax(dim=0)
    own = at_cell[[place.view for place in places], torch.arange(len(places))]
    return torch.stack([scored - own, scored - best.amax(dim=0)], dim=1).numpy()


def _drops(seen: Seen, places: Sequence[Place], jobs: Sequence[_Job]) -> _Drops:
    """Drops when one box of one view is blanked, shape (J, K, 2)."""
    at_cell, best = _rescored(seen, places, jobs)
    before = _before(seen, places)
    views = torch.tensor([view for view, _ in jobs])
    others = before.unsqueeze(0).repeat(len(jobs), 1, 1)
    others[torch.arange(len(jobs)), views] = best
    scored = before.amax(dim=0)
    return torch.stack([scored - at_cell, scored - others.amax(dim=1)], dim=2).numpy()


def _candidates(seen: Seen, places: Sequence[Place]) -> list[dict[BoxKind, InputBox]]:
    """The boxes of each match. Those of one view have one area, that of its first match, which is the strongest: so its
    random boxes serve them all, and the check takes half as long."""
    field, scored = seen.scored.field, seen.scored
    area_px = dict[int, float]()
    weights = gradients(seen.model, seen.images, places)
    size_px = (seen.images.shape[2], seen.images.shape[3])
    found = []
    for place, weight in zip(places, weights, strict=True):
        similarity, allowed = scored.maps[place.view, place.prototype].numpy(), scored.allowed[place.view].numpy()
        limits = seen.origins[place.view].limits
        rectangle = region(similarity, allowed, field, size_px)
        centre = field.rows.centre_px(place.cell[0]), field.columns.centre_px(place.cell[1])
        frame = (area_px.setdefault(place.view, area_of(rectangle, field, limits)), limits)
        found.append(boxes(rectangle, weight * (seen.breast[place.view] > 0), centre, frame))
    return found


def _random_boxes(seen: Seen, view: int, area_px: float, check: Check) -> list[InputBox]:
    """Squares of that area around random points of a view's breast: the same points for the same pixels, always."""
    origin = seen.origins[view]
    generator = np.random.default_rng(int(origin.pixels_sha256[:16], 16))
    inside = torch.nonzero(seen.breast[view] > 0)
    drawn = inside[generator.integers(len(inside), size=check.random_boxes)].tolist()
    return [square((row + 0.5, column + 0.5), area_px, origin.limits) for row, column in drawn]


def _entry(kind: BoxKind, box: Box, own: _Drops, random: _Drops) -> Blanking:
    """The record of one box: its shares (2,) beside those of random boxes (n, 2)."""
    mean = random.mean(axis=0)
    return Blanking(
        kind=kind,
        box=box,
        at_cell=float(own[0]),
        anywhere=float(own[1]),
        random_at_cell=float(mean[0]),
        random_anywhere=float(mean[1]),
        boxes=len(random),
        as_strong=int((random[:, 0] >= own[0]).sum()),
    )
