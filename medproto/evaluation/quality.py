"""How good a bundle's prototypes are on given images, as figures; each measure is defined in its own module.

Images of an unseen split show whether prototypes keep their meaning there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from medproto.bundle import Bundle
from medproto.evaluation import quality_coherence as coherence_of
from medproto.evaluation.quality_alignment import Misalignment, Peaks, misalignment
from medproto.evaluation.quality_coherence import NO_FINDING, Coherence, Findings, Truth, Whole
from medproto.evaluation.quality_curves import Curves, measure_curves
from medproto.evaluation.quality_stability import (
    PERTURBATIONS,
    Stability,
    consistency,
    mean_over_prototypes,
    same_place,
)
from medproto.model.cells import breast_cells
from medproto.model.receptive_field import ReceptiveField
from medproto.training.inputs import InputSet, Progress
from medproto.training.similarities import Similarities, similarities

#: Images that measures which change images are taken on, spread evenly over those given.
MOST_CHANGED = 200
#: The same for the measures that change each image many times.
MOST_TRIED = 32


@dataclass(frozen=True)
class Quality:
    """Prototype quality; what needs annotations is None where no image has any.

    `changed` is how many images were changed, and `stability` holds a figure for each change. `curves` is None where no
    image is of the positive class, or where blurring such images does not lower their margins.
    """

    images: int
    coherence: Coherence | None
    consistency: float | None
    changed: int
    stability: dict[str, Stability]
    misalignment: Misalignment
    curves: Curves | None


@dataclass(frozen=True)
class _Placed:
    """Where the prototypes found their best patch: flat cells (V, P), boxes (V, P, 4), whether these hold a finding,
    and whether the image is of the prototype's class, (V, P)."""

    cells: Whole
    boxes: Whole
    holds: Truth
    own: Truth


def measure_quality(bundle: Bundle, data: InputSet, progress: Progress | None = None) -> Quality:
    """Measure the prototypes of a bundle on images, with their annotations where they have some.

    Args:
        progress: called with images done and all that have to go through the network.
    """
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    some = data.select(_spread(len(data), MOST_CHANGED))
    total = len(data) + len(some) * (1 + len(PERTURBATIONS))
    findings = coherence_of.find_findings(data.lesion.numpy())
    scored = similarities(bundle.model, data, torch.device("cpu"), progress=_part(progress, 0, total))
    placed = _place(bundle, data, scored, (findings, field))
    category, names = _categories(data, findings)
    stability = _stability(bundle, some, field, _part(progress, len(data), total))
    return Quality(
        images=len(data),
        coherence=_coherence(bundle, data, (scored, placed), (findings, category, names)) if names else None,
        consistency=consistency(placed.holds, category, placed.own),
        changed=len(some),
        stability=stability,
        misalignment=_misalignment(bundle, data, scored, placed),
        curves=_curves(bundle, data, scored),
    )


def _place(bundle: Bundle, data: InputSet, scored: Similarities, there: tuple[Findings, ReceptiveField]) -> _Placed:
    findings, field = there
    cells = scored.cells.numpy()
    boxes = coherence_of.patch_boxes(cells, field, (data.images.shape[2], data.images.shape[3]))
    own = (data.labels.unsqueeze(1) == bundle.model.prototype_class.unsqueeze(0)).numpy()
    return _Placed(cells, boxes, coherence_of.holds_finding(boxes, findings), own)


def _categories(data: InputSet, findings: Findings) -> tuple[Whole, tuple[str, ...]]:
    """Category of each image's finding, `NO_FINDING` where none is annotated, shape (V,), and the categories'
    names: the kind of finding where the manifest tells it, else the label."""
    annotated = sorted(set(findings.image.tolist()))
    told = {image: data.sources[image].row.finding or data.sources[image].row.label for image in annotated}
    names = tuple(sorted(set(told.values())))
    category = np.full(len(data), NO_FINDING)
    category[annotated] = [names.index(told[image]) for image in annotated]
    return category, names


def _coherence(
    bundle: Bundle,
    data: InputSet,
    found: tuple[Similarities, _Placed],
    annotated: tuple[Findings, Whole, tuple[str, ...]],
) -> Coherence:
    (scored, placed), (findings, category, names) = found, annotated
    similarity = scored.images.double().numpy()
    weights = bundle.model.last_layer.detach().double().numpy()
    counts = np.zeros((len(names), len(weights)), dtype=np.int64)
    shown = category != NO_FINDING
    np.add.at(counts, (category[shown], data.labels.numpy()[shown]), 1)
    nearest = coherence_of.nearest_categories(similarity, np.where(placed.holds, category[:, None], NO_FINDING))
    relevant = coherence_of.relevant(nearest)
    positive = (bundle.model.prototype_class == bundle.positive).numpy()
    patches = Counter(entry.source.patch for entry in bundle.manifest.prototypes)
    return Coherence(
        findings=len(findings.image),
        categories=names,
        prototypes=len(relevant),
        relevance=float(relevant.mean()),
        relevance_of_positive_class=float(relevant[positive].mean()) if positive.any() else None,
        specialization=coherence_of.specialization(nearest),
        uniqueness=coherence_of.uniqueness(nearest),
        coverage=coherence_of.coverage(nearest, len(names)),
        class_specificity=coherence_of.class_specificity(nearest, weights, counts),
        localization=coherence_of.localization(findings, placed.boxes, similarity * weights[data.labels.numpy()]),
        distinct=sum(count == 1 for count in patches.values()) / len(relevant),
    )


def _stability(
    bundle: Bundle, data: InputSet, field: ReceptiveField, progress: Progress | None
) -> dict[str, Stability]:
    """The prototypes' places before and after each change."""
    total = len(data) * (1 + len(PERTURBATIONS))

    def place(changed: InputSet, before: int) -> _Placed:
        scored = similarities(bundle.model, changed, torch.device("cpu"), progress=_part(progress, before, total))
        return _place(bundle, changed, scored, (coherence_of.find_findings(changed.lesion.numpy()), field))

    plain = place(data, 0)
    annotated = plain.own & (data.lesion > 0).flatten(1).any(dim=1).numpy()[:, None]
    found = {}
    for number, (name, change) in enumerate(PERTURBATIONS.items(), start=1):
        changed = place(change(data), number * len(data))
        kept = same_place(plain.cells, changed.cells, field.columns.cells)
        found[name] = Stability(
            same_place=mean_over_prototypes(kept, plain.own),
            same_finding=mean_over_prototypes(plain.holds == changed.holds, annotated),
        )
    return found


def _misalignment(bundle: Bundle, data: InputSet, scored: Similarities, placed: _Placed) -> Misalignment:
    """Of each tried image's strongest prototype, counted towards the image's own class."""
    tried = _spread(len(data), MOST_TRIED)
    some = data.select(tried)
    prototype = (scored.images[tried] * bundle.model.last_layer.detach()[some.labels]).argmax(dim=1)
    boxes = torch.from_numpy(placed.boxes[tried, prototype.numpy()])
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    peaks = Peaks(prototype, scored.cells[tried, prototype], boxes, breast_cells(some.breast, field))
    return misalignment(bundle.model, some.images, some.breast, peaks)


def _curves(bundle: Bundle, data: InputSet, scored: Similarities) -> Curves | None:
    positive = torch.nonzero(data.labels == bundle.positive).flatten()
    if not len(positive):
        return None
    tried = positive[_spread(len(positive), MOST_TRIED)]
    some = data.select(tried.tolist())
    return measure_curves(bundle, some, scored.cells[tried].numpy(), scored.images[tried].double().numpy())


def _spread(count: int, most: int) -> list[int]:
    """At most so many places, spread evenly over all."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most)).round()})


def _part(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of a part as progress of the whole."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
