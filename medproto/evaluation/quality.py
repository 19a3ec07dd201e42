"""How good a bundle's prototypes are on given images, as figures; each measure is defined in its own module.

Images of an unseen split show whether prototypes keep their meaning there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from pydantic import TypeAdapter

from medproto.bundle import Bundle
from medproto.evaluation import quality_coherence as coherence_of
from medproto.evaluation.classification import Interval
from medproto.evaluation.intervals import Places, by_patient
from medproto.evaluation.kept import PLAINLY, Working
from medproto.evaluation.quality_alignment import Misalignment, Peaks, misalignment
from medproto.evaluation.quality_coherence import NO_FINDING, Coherence, Counted, Findings, Truth, Whole
from medproto.evaluation.quality_curves import STEPS as CURVE_STEPS
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

STABILITY = TypeAdapter(dict[str, Stability])
MISALIGNMENT = TypeAdapter(Misalignment)
CURVES: TypeAdapter[Curves | None] = TypeAdapter(Curves | None)
#: Images that measures which change images are taken on, spread evenly over those given.
MOST_CHANGED = 200
#: The same for the measures that change each image many times.
MOST_TRIED = 32


@dataclass(frozen=True)
class Quality:
    """Prototype quality, with intervals by patient; what needs annotations is None where no image has any.

    `changed` is how many images were changed, and `stability` holds a figure for each change. `curves` is None where no
    image is of the positive class, or where blurring such images does not lower their margins.
    """

    images: int
    patients: int
    coherence: Coherence | None
    consistency: Interval | None
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


def measure_quality(bundle: Bundle, data: InputSet, scored: Similarities, working: Working = PLAINLY) -> Quality:
    """Measure the prototypes of a bundle on images, with their annotations where they have some.

    Args:
        scored: the images' similarities.
    """
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    some = data.select(_spread(len(data), MOST_CHANGED))
    findings = coherence_of.find_findings(data.lesion.numpy())
    placed = _place(bundle, data, scored, (findings, field))
    category, names = _categories(data, findings)
    steps = (len(some) * (1 + len(PERTURBATIONS)), len(_spread(len(data), MOST_TRIED)), CURVE_STEPS)
    first, second, third = (_part(working.progress, sum(steps[:i]), sum(steps)) for i in range(3))
    once, found = working.kept.once, (scored, placed)
    quality = Quality(
        images=len(data),
        patients=len(set(data.patients())),
        coherence=_coherence(bundle, data, found, (findings, category, names)) if names else None,
        consistency=_consistency(data, placed, category),
        changed=len(some),
        stability=once("stability", STABILITY, lambda: _stability(bundle, some, field, first)),
        misalignment=once("misalignment", MISALIGNMENT, lambda: _misalignment(bundle, data, found, second)),
        curves=once("curves", CURVES, lambda: _curves(bundle, data, scored, third)),
    )
    if working.progress:
        working.progress(sum(steps), sum(steps))
    return quality


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
    patients, patches = data.patients(), Counter(entry.source.patch for entry in bundle.manifest.prototypes)
    of_findings, total = [patients[image] for image in findings.image.tolist()], len(bundle.manifest.prototypes)
    contribution = scored.images.double() * bundle.model.last_layer.detach().double()[data.labels]
    best = coherence_of.best_overlaps(findings, placed.boxes, contribution.numpy())
    single = sum(count == 1 for count in patches.values())
    measured = _of_nearest(bundle, data, found, (category, names))
    relevance, of_positive, special, unique, covered, specific = by_patient(measured, patients)
    return Coherence(
        findings=len(findings.image),
        patients=len(set(of_findings)),
        categories=names,
        prototypes=total,
        relevance=relevance,
        relevance_of_positive_class=of_positive,
        specialization=special,
        uniqueness=unique,
        coverage=covered,
        class_specificity=specific,
        localization=coherence_of.localization(best, of_findings),
        distinct=Counted(single / total, single, total),
    )


def _of_nearest(
    bundle: Bundle, data: InputSet, found: tuple[Similarities, _Placed], shown: tuple[Whole, tuple[str, ...]]
) -> Callable[[Places], list[float]]:
    """What the nearest patches say, of any images of the set: the measures of `Coherence` from relevance to class
    specificity."""
    (scored, placed), (category, names) = found, shown
    weights = bundle.model.last_layer.detach().double().numpy()
    counts = np.zeros((len(names), len(weights)), dtype=np.int64)
    annotated = category != NO_FINDING
    np.add.at(counts, (category[annotated], data.labels.numpy()[annotated]), 1)
    order = np.argsort(-scored.images.double().numpy(), axis=0, kind="stable")
    held = np.where(placed.holds, category[:, None], NO_FINDING)
    positive = (bundle.model.prototype_class == bundle.positive).numpy()

    def measured(places: Places) -> list[float]:
        nearest = coherence_of.nearest_drawn(order, held, np.bincount(places, minlength=len(data)))
        relevant = coherence_of.relevant(nearest)
        return [
            float(relevant.mean()),
            float(relevant[positive].mean()) if positive.any() else np.nan,
            _number(coherence_of.specialization(nearest)),
            _number(coherence_of.uniqueness(nearest)),
            coherence_of.coverage(nearest, len(names)),
            _number(coherence_of.class_specificity(nearest, weights, counts)),
        ]

    return measured


def _consistency(data: InputSet, placed: _Placed, category: Whole) -> Interval | None:
    def measured(places: Places) -> list[float]:
        return [_number(consistency(placed.holds[places], category[places], placed.own[places]))]

    return by_patient(measured, data.patients())[0]


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
        same = plain.holds == changed.holds
        both = by_patient(partial(_shares, ((kept, plain.own), (same, annotated))), data.patients())
        found[name] = Stability(len(data), int(annotated.any(axis=1).sum()), *both)
    return found


def _shares(kept: tuple[tuple[Truth, Truth], ...], places: Places) -> list[float]:
    """Mean over prototypes of each share: what was kept, and where it counts, (V, P)."""
    return [_number(mean_over_prototypes(found[places], counted[places])) for found, counted in kept]


def _misalignment(
    bundle: Bundle, data: InputSet, found: tuple[Similarities, _Placed], progress: Progress | None
) -> Misalignment:
    """Of each tried image's strongest prototype, counted towards the image's own class."""
    scored, placed = found
    tried = _spread(len(data), MOST_TRIED)
    some = data.select(tried)
    prototype = (scored.images[tried] * bundle.model.last_layer.detach()[some.labels]).argmax(dim=1)
    boxes = torch.from_numpy(placed.boxes[tried, prototype.numpy()])
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    peaks = Peaks(prototype, scored.cells[tried, prototype], boxes, breast_cells(some.breast, field))
    return misalignment(bundle.model, some, peaks, progress)


def _curves(bundle: Bundle, data: InputSet, scored: Similarities, progress: Progress | None) -> Curves | None:
    positive = torch.nonzero(data.labels == bundle.positive).flatten()
    if not len(positive):
        return None
    tried = positive[_spread(len(positive), MOST_TRIED)]
    some = data.select(tried.tolist())
    peaks = (scored.cells[tried].numpy(), scored.images[tried].double().numpy())
    return measure_curves(bundle, some, peaks, progress)


def _number(found: float | None) -> float:
    """NaN for what is not defined, as draws want it."""
    return np.nan if found is None else found


def _spread(count: int, most: int) -> list[int]:
    """At most so many places, spread evenly over all."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most)).round()})


def _part(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of a part as progress of the whole."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
