"""Whether prototypes mean something to a reader: PEF-Coh (Pathak et al. 2024, "Prototype-based interpretable breast
cancer prediction models: analysis and challenges", section 3).

A prototype is judged by its k nearest patches, one to an image, and by the categories of the findings that these hold.
The paper asks of a patch that the finding's centre lies in it; its patches are larger than most findings. Ours may be
smaller, so a patch holds a finding too where the patch's own centre lies in it. The paper takes the patches of the
training images; here they are those of whatever images are given, so that the figures hold for unseen ones.

Boxes are (top, left, bottom, right) in input pixels, half-open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medproto.evaluation.classification import Interval
from medproto.evaluation.intervals import mean_by_patient
from medproto.model.receptive_field import ReceptiveField

#: Nearest patches by which a prototype is judged.
NEAREST = 10
#: Patches of an image, the strongest first, that localization may choose from; None for all.
DEPTHS: Mapping[str, int | None] = {"top-1": 1, "top-10": 10, "all": None}
#: In place of a category where a patch holds no finding.
NO_FINDING = -1

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Findings:
    """R annotated findings: image (R,) that shows each, its box (R, 4), and V images' mask (V, Y, X)."""

    image: Whole
    box: Whole
    mask: Truth


@dataclass(frozen=True)
class Overlap:
    """Mean intersection over union and Dice similarity coefficient of the annotated findings."""

    iou: Interval
    dsc: Interval


@dataclass(frozen=True)
class Counted:
    """A share of things that are all known, so that it has no interval."""

    share: float
    count: int
    of: int


@dataclass(frozen=True)
class Coherence:
    """The six measures of PEF-Coh, with intervals by patient; None where no prototype is relevant.

    Args:
        findings: annotated ones, on images of so many `patients`.
        distinct: prototypes whose training patch is no other prototype's.
    """

    findings: int
    patients: int
    categories: tuple[str, ...]
    prototypes: int
    relevance: Interval | None
    relevance_of_positive_class: Interval | None
    specialization: Interval | None
    uniqueness: Interval | None
    coverage: Interval | None
    class_specificity: Interval | None
    localization: dict[str, Overlap]
    distinct: Counted


def find_findings(lesion: NDArray[np.uint8]) -> Findings:
    """The connected regions of lesion masks (V, Y, X); what touches at a corner alone is two findings."""
    images, boxes = list[int](), list[tuple[int, int, int, int]]()
    for image, plane in enumerate(lesion):
        labels, _ = ndimage.label(plane > 0)
        for rows, columns in ndimage.find_objects(labels):
            images.append(image)
            boxes.append((rows.start, columns.start, rows.stop, columns.stop))
    return Findings(np.array(images, dtype=np.int64), np.array(boxes, dtype=np.int64).reshape(-1, 4), lesion > 0)


def patch_boxes(cells: Whole, field: ReceptiveField, size_px: tuple[int, int]) -> Whole:
    """The jump x jump squares of flat cells (...,), cut at the input's border, shape (..., 4)."""
    places = np.divmod(cells, field.columns.cells)
    edges = []
    for place, axis, length in zip(places, (field.rows, field.columns), size_px, strict=True):
        low = np.rint(axis.start_px + place * axis.jump_px - axis.jump_px / 2).astype(np.int64)
        edges.append((np.clip(low, 0, length), np.clip(low + axis.jump_px, 0, length)))
    (top, bottom), (left, right) = edges
    return np.stack([top, left, bottom, right], axis=-1)


def holds_finding(boxes: Whole, findings: Findings) -> Truth:
    """Whether each image's patches (V, ..., 4) hold one of its findings: the centre of one lies in the other."""
    row = np.minimum((boxes[..., 0] + boxes[..., 2]) // 2, findings.mask.shape[1] - 1)
    column = np.minimum((boxes[..., 1] + boxes[..., 3]) // 2, findings.mask.shape[2] - 1)
    view = np.arange(len(boxes)).reshape(-1, *[1] * (boxes.ndim - 2))
    held: Truth = findings.mask[view, row, column]
    for image, box in zip(findings.image, findings.box, strict=True):
        centre = (box[:2] + box[2:]) // 2
        patch = boxes[image]
        held[image] |= ((patch[..., :2] <= centre) & (centre < patch[..., 2:])).all(axis=-1)
    return held


def nearest_categories(similarity: Real, categories: Whole, count: int = NEAREST) -> Whole:
    """Categories of the nearest patches of each prototype, the nearest first.

    Args:
        similarity: of each image's best patch to each prototype, shape (V, P).
        categories: of the finding in that patch, `NO_FINDING` where it holds none, shape (V, P).

    Returns:
        Shape (k, P), k = min(count, V).
    """
    order = np.argsort(-similarity, axis=0, kind="stable")[:count]
    return np.take_along_axis(categories, order, axis=0)


def nearest_drawn(order: Whole, categories: Whole, times: Whole, count: int = NEAREST) -> Whole:
    """As `nearest_categories` where each image is there several times or not at all.

    Args:
        order: images by falling similarity to each prototype, shape (V, P).
        times: how often each image is there, shape (V,).
    """
    so_far = times[order].cumsum(axis=0)
    places = np.stack([(so_far > rank).argmax(axis=0) for rank in range(min(count, int(times.sum())))])
    return np.take_along_axis(categories, np.take_along_axis(order, places, axis=0), axis=0)


def relevant(nearest: Whole) -> Truth:
    """Whether one of the nearest patches (k, P) of each prototype holds a finding, shape (P,); relevance is the share
    of these prototypes."""
    return np.asarray((nearest != NO_FINDING).any(axis=0))


def purities(nearest: Whole) -> tuple[Whole, Real]:
    """The category that most of a prototype's nearest patches (k, P) hold, the first on a tie and `NO_FINDING` where
    none holds one, and the share of its patches that do, shapes (P,)."""
    kinds = np.arange(max(int(nearest.max(initial=0)) + 1, 1))
    counts = (nearest[None] == kinds[:, None, None]).sum(axis=1)
    best = counts.argmax(axis=0)
    share = counts.max(axis=0) / len(nearest)
    return np.where(share > 0, best, NO_FINDING), share


def specialization(nearest: Whole) -> float | None:
    """Mean purity of the relevant prototypes: the share of nearest patches that hold the prototype's category."""
    chosen = relevant(nearest)
    return float(purities(nearest)[1][chosen].mean()) if chosen.any() else None


def uniqueness(nearest: Whole) -> float | None:
    """Different categories among the relevant prototypes, per relevant prototype; with fewer categories than prototypes
    it cannot reach 1."""
    category = purities(nearest)[0][relevant(nearest)]
    return len(np.unique(category)) / len(category) if len(category) else None


def coverage(nearest: Whole, categories: int) -> float:
    """Share of the categories in the data that some relevant prototype stands for."""
    return len(np.unique(purities(nearest)[0][relevant(nearest)])) / categories


def class_specificity(nearest: Whole, last_layer: Real, counts: Whole) -> float | None:
    """Share of the relevant prototypes that weigh most on the class to which most images of their category belong.

    Args:
        last_layer: weights, shape (C, P).
        counts: images of each category (rows) and class, shape (K, C); a category whose first two classes tie agrees
            with no prototype.
    """
    chosen = relevant(nearest)
    if not chosen.any():
        return None
    of_category = counts[purities(nearest)[0][chosen]]
    tied = (of_category == of_category.max(axis=1, keepdims=True)).sum(axis=1) > 1
    agrees = (last_layer.argmax(axis=0)[chosen] == of_category.argmax(axis=1)) & ~tied
    return float(agrees.mean())


def overlaps(finding: Whole, patches: Whole) -> tuple[Real, Real]:
    """Intersection over union and Dice similarity coefficient of one box (4,) with others (N, 4), shapes (N,)."""
    low, high = np.maximum(finding[:2], patches[:, :2]), np.minimum(finding[2:], patches[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    total = np.prod(finding[2:] - finding[:2]) + np.prod(patches[:, 2:] - patches[:, :2], axis=1)
    return shared / (total - shared), 2 * shared / total


def best_overlaps(findings: Findings, boxes: Whole, contribution: Real) -> dict[str, Real]:
    """How well the patches with the largest contribution cover each finding: the best intersection over union and the
    best Dice coefficient among the first 1, the first 10 and all, shape (R, 2) each.

    Args:
        boxes: every prototype's best patch in each image, shape (V, P, 4).
        contribution: similarity times weight on the image's own class, shape (V, P).
    """
    found = {name: list[tuple[float, float]]() for name in DEPTHS}
    for image, box in zip(findings.image, findings.box, strict=True):
        order = np.argsort(-contribution[image], kind="stable")
        iou, dsc = overlaps(box, boxes[image][order])
        for name, depth in DEPTHS.items():
            found[name].append((float(iou[:depth].max()), float(dsc[:depth].max())))
    return {name: np.array(values) for name, values in found.items()}


def localization(best: Mapping[str, Real], patients: Sequence[str]) -> dict[str, Overlap]:
    """Means of `best_overlaps` over the findings, whose patients are given, with intervals by patient."""
    means = {name: [mean_by_patient(column, patients) for column in values.T] for name, values in best.items()}
    return {name: Overlap(iou, dsc) for name, (iou, dsc) in means.items()}
