"""How much more blanking the box of the strongest match takes than blanking random boxes of the same area: the check
that scored exams get (`medproto.blanking`), over many exams of the positive class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medproto.attribution import Place
from medproto.blanking import CHECKED, Origin, Seen, check_places
from medproto.bundle import Bundle
from medproto.errors import TrainingError
from medproto.evaluation.classification import Interval
from medproto.evaluation.intervals import Places, by_patient, clustered_share
from medproto.explain import score_images
from medproto.records import Blanking, BoxKind
from medproto.training.inputs import InputSet, Progress

#: Exams that are checked, spread evenly over those of the positive class.
MOST_CHECKED = 100


@dataclass(frozen=True)
class BoxGain:
    """One kind of box, over exams; shares of the drop when the whole breast is blanked, intervals by patient.

    Args:
        at_cell: mean drop at the scored cell, and `random_at_cell` that of random boxes of the same area.
        gain: mean of the first minus the second, exam by exam; `gain_anywhere` after the maximum over cells and views.
        better: share of exams whose box does better than random (`Blanking.no_better_than_random` does not hold).
    """

    kind: BoxKind
    at_cell: Interval
    random_at_cell: Interval
    gain: Interval
    gain_anywhere: Interval
    better: Interval


@dataclass(frozen=True)
class BlankingGain:
    """The strongest match of each of so many exams of the positive class.

    Args:
        exams: exams that were checked.
        random_boxes: random boxes that each box is compared with.
        without_share: further exams, in which blanking the whole breast does not lower the similarity.
        boxes: a figure for each kind of box, the one shown first in front.
    """

    exams: int
    random_boxes: int
    without_share: int
    boxes: tuple[BoxGain, ...]


def measure_blanking(
    bundle: Bundle, data: InputSet, most: int = MOST_CHECKED, progress: Progress | None = None
) -> BlankingGain:
    """Check the strongest match of at most so many exams of the positive class.

    Args:
        progress: called with exams done and all that are checked.

    Raises:
        TrainingError: there is no exam of the positive class, or none in which blanking the breast lowers the
            similarity.
    """
    positive = torch.nonzero(data.bag_labels() == bundle.positive).flatten().tolist()
    if not positive:
        raise TrainingError("blanking: got no exam of the positive class, expected some")
    chosen = sorted({positive[int(i)] for i in np.linspace(0, len(positive) - 1, min(len(positive), most)).round()})
    names = data.bag_patients()
    found, patients = list[tuple[Blanking, ...]](), list[str]()
    for done, bag in enumerate(chosen, start=1):
        checked = _strongest(bundle, data.select(torch.nonzero(data.bags == bag).flatten().tolist()))
        if checked:
            found.append(checked)
            patients.append(names[bag])
        if progress:
            progress(done, len(chosen))
    if not found:
        raise TrainingError("blanking: got no exam whose similarity falls when the breast is blanked, expected some")
    boxes = tuple(_gain(entries, patients) for entries in zip(*found, strict=True))
    return BlankingGain(len(found), CHECKED.random_boxes, len(chosen) - len(found), boxes)


def _strongest(bundle: Bundle, exam: InputSet) -> tuple[Blanking, ...]:
    """What blanking does to the match that contributes most to the exam's margin."""
    scored = score_images(bundle.model, exam.images, exam.breast)
    best, view, cell = scored.best(range(len(exam)))
    prototype = int((bundle.margin_weights * best.double()).argmax())
    place = Place(prototype, int(view[prototype]), divmod(int(cell[prototype]), scored.field.columns.cells))
    origins = tuple(Origin(source.geometry, source.crop, source.pixels_sha256) for source in exam.sources)
    return check_places(Seen(bundle.model, exam.images, exam.breast, origins, scored), [place])[0]


def _gain(entries: Sequence[Blanking], patients: Sequence[str]) -> BoxGain:
    """The figures of one kind of box."""
    shares = np.array([[e.at_cell, e.random_at_cell, e.gain, e.anywhere - e.random_anywhere] for e in entries])

    def means(places: Places) -> list[float]:
        averaged: list[float] = shares[places].mean(axis=0).tolist()
        return averaged

    # A mean is defined in every draw.
    at_cell, random_at_cell, gain, gain_anywhere = (found for found in by_patient(means, patients) if found)
    better = clustered_share(np.array([not entry.no_better_than_random for entry in entries]), patients)
    return BoxGain(entries[0].kind, at_cell, random_at_cell, gain, gain_anywhere, better)
