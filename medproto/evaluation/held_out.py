"""A split that a bundle never saw, scored once; every measure of an evaluation starts from it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medproto.bundle import Bundle
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.evaluation.classification import Vector
from medproto.evaluation.kept import PLAINLY, Working
from medproto.training.inputs import InputSet
from medproto.training.similarities import Similarities, margins, similarities


@dataclass(frozen=True)
class Unit:
    """N cases of one kind, such as exams: margins (N,), whether each is positive (N,), and the patient of each."""

    name: str
    margins: Vector
    positive: NDArray[np.bool_]
    patients: tuple[str, ...]


@dataclass(frozen=True)
class HeldOut:
    """What the bundle makes of the split.

    Args:
        scored: of each image.
        best: best similarity of each exam to each prototype, shape (N, P).
        view: the image that holds it, shape (N, P).
        exams: the exams as cases.
        distance: of each exam's farthest image to the training data, shape (N,).
    """

    bundle: Bundle
    data: InputSet
    split: str
    manifest_digest: str
    scored: Similarities
    best: Tensor
    view: Tensor
    exams: Unit
    distance: Vector

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Whether each exam is at or above the operating point, shape (N,)."""
        flagged: NDArray[np.bool_] = self.exams.margins >= self.bundle.manifest.operating_point.margin
        return flagged

    @property
    def exam_names(self) -> tuple[str, ...]:
        """Name of each exam in the manifest, N of them."""
        names = dict(zip(self.data.bags.tolist(), (source.row.exam for source in self.data.sources), strict=True))
        return tuple(names[exam] for exam in range(len(self.exams.margins)))


def score_held_out(
    bundle: Bundle, manifest: Manifest, split: str, data: InputSet, working: Working = PLAINLY
) -> HeldOut:
    """Score a split.

    Raises:
        TrainingError: only one class is there, or a patient of the split is among the prototypes' images.
    """
    sources = {entry.source.image_id for entry in bundle.manifest.prototypes}
    if {row.patient for row in manifest.rows if row.image in sources} & set(data.patients()):
        raise TrainingError(f"split {split!r}: got a patient whose patches are prototypes, expected unseen patients")
    positive = data.bag_labels().numpy() == bundle.positive
    if not positive.any() or positive.all():
        raise TrainingError(f"split {split!r}: got exams of one class only, expected both")
    scored = working.kept.scored_once(
        lambda: similarities(bundle.model, data, torch.device("cpu"), progress=working.progress)
    )
    best, view = scored.bags(data)
    margin = margins(best, bundle.model.last_layer, bundle.positive)
    exams = Unit("exam", margin, positive, tuple(data.bag_patients()))
    distance = exam_distances(bundle, data, scored)
    return HeldOut(bundle, data, split, manifest.digest, scored, best, view, exams, distance)


def exam_distances(bundle: Bundle, data: InputSet, scored: Similarities) -> Vector:
    """Distance of each exam's farthest image to the training data, shape (N,)."""
    distance = torch.zeros(int(data.bags.max()) + 1, dtype=torch.double)
    found: Vector = distance.scatter_reduce(0, data.bags, bundle.likeness.distances(scored.pooled), "amax").numpy()
    return found


def units(held: HeldOut) -> tuple[Unit, ...]:
    """Exams, exams reduced to one kind of view, breasts and images; what the split cannot tell apart is left out."""
    rows = [source.row for source in held.data.sources]
    found = [held.exams]
    groups = {
        "exam, CC views alone": [i for i, row in enumerate(rows) if row.view == "CC"],
        "exam, MLO views alone": [i for i, row in enumerate(rows) if row.view == "MLO"],
    }
    for name, members in groups.items():
        if members and len(members) < len(rows):
            found.append(unit_of(held, name, [(rows[i].exam, i) for i in members]))
    if all(row.side for row in rows):
        found.append(unit_of(held, "breast", [((row.exam, row.side), i) for i, row in enumerate(rows)]))
    if len(rows) > len(held.exams.margins):
        found.append(unit_of(held, "image", [(i, i) for i in range(len(rows))]))
    return tuple(found)


def unit_of(held: HeldOut, name: str, members: Sequence[tuple[Hashable, int]]) -> Unit:
    """Cases, each the bag of its images; a case's label is its most severe image.

    Args:
        members: the case of each image that counts, and the image's place.
    """
    cases: dict[Hashable, list[int]] = {}
    for case, image in members:
        cases.setdefault(case, []).append(image)
    data, bundle = held.data, held.bundle
    best = torch.stack([held.scored.images[images].amax(dim=0) for images in cases.values()])
    positive = np.array([int(data.labels[images].max()) == bundle.positive for images in cases.values()])
    patients = tuple(data.sources[images[0]].row.patient for images in cases.values())
    return Unit(name, margins(best, bundle.model.last_layer, bundle.positive), positive, patients)
