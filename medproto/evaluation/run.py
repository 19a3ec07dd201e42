"""A bundle against a manifest: classification with intervals by patient, and whether its evidence lies in the
lesion."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medproto.bundle import Bundle
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.evaluation.classification import Interval, Vector, auroc_interval
from medproto.evaluation.held_out import HeldOut, score_held_out, units
from medproto.evaluation.intervals import clustered_share
from medproto.model.cells import breast_cells, centre_inside
from medproto.training.inputs import PLAINLY, InputSet, Loading, load_inputs
from medproto.training.settings import TrainSettings
from medproto.training.similarities import Similarities


@dataclass(frozen=True)
class Evaluation:
    """Results on one split; shares and AUROC with 95 % intervals by patient.

    `auroc` holds one figure per unit of scoring: image, breast, exam, and exams reduced to some of their views.
    `top1_in_lesion` is of positive exams, `annotated_exams` of them; `missed_exams` names those whose strongest patch
    lies elsewhere.
    """

    bundle_id: str
    manifest_digest: str
    split: str
    images: int
    exams: int
    patients: int
    positives: int
    auroc: dict[str, Interval]
    sensitivity: Interval
    specificity: Interval
    annotated_exams: int
    top1_in_lesion: Interval | None
    random_in_lesion: float | None
    missed_exams: tuple[str, ...]
    prototypes: int
    distinct_prototypes: int
    unlike_training: Interval
    left_out: tuple[str, ...]

    def plain(self) -> dict[str, object]:
        """The same as plain values, for JSON and the ledger."""
        return asdict(self)


@dataclass(frozen=True)
class Localised:
    """Annotated positive exams, by number, and of each, shape (N,): whether the strongest patch has its centre in the
    lesion, the share of random in-breast patches that have, and the strongest patch's image and flat cell."""

    exams: NDArray[np.intp]
    hits: NDArray[np.bool_]
    random: Vector
    images: NDArray[np.intp]
    cells: NDArray[np.intp]


def load_split(bundle: Bundle, manifest: Manifest, split: str, loading: Loading = PLAINLY) -> InputSet:
    """The images of one split as this bundle's inputs, labelled with its classes.

    Raises:
        TrainingError: the split is empty.
    """
    settings = TrainSettings.model_validate(bundle.manifest.training["settings"])
    # The bundle's JSON sorts the keys of `classes`: the order of the model decides, not that of the settings.
    order = [bundle.manifest.model.classes.index(name) for name in settings.classes]
    labels = [order[settings.class_of(row.label)] if row.split == split else None for row in manifest.rows]
    if not any(row.split == split for row in manifest.rows):
        raise TrainingError(f"split: got no row in {split!r}, expected some in the manifest's split column")
    return load_inputs(manifest, labels, (bundle.manifest.inputs, bundle.manifest.ingest), loading)


def evaluate(bundle: Bundle, manifest: Manifest, split: str, data: InputSet) -> Evaluation:
    """Evaluate a bundle on images it never saw.

    Raises:
        TrainingError: only one class is there, or a patient of the split is among the prototypes' images.
    """
    return summarise(score_held_out(bundle, manifest, split, data))


def summarise(held: HeldOut) -> Evaluation:
    """What every evaluation says of a scored split."""
    bundle, data = held.bundle, held.data
    positive, flagged, patients = held.exams.positive, held.flagged, np.asarray(held.exams.patients)
    found = localise(bundle, data, held.scored, (held.best, held.view))
    return Evaluation(
        bundle_id=bundle.bundle_id,
        manifest_digest=held.manifest_digest,
        split=held.split,
        images=len(data),
        exams=len(positive),
        patients=len(set(data.patients())),
        positives=int(positive.sum()),
        auroc={unit.name: auroc_interval(unit.margins, unit.positive, unit.patients) for unit in units(held)},
        sensitivity=clustered_share(flagged[positive], patients[positive].tolist()),
        specificity=clustered_share(~flagged[~positive], patients[~positive].tolist()),
        annotated_exams=len(found.hits),
        top1_in_lesion=clustered_share(found.hits, patients[found.exams].tolist()) if len(found.hits) else None,
        random_in_lesion=float(found.random.mean()) if len(found.hits) else None,
        missed_exams=tuple(held.exam_names[exam] for exam in found.exams[~found.hits].tolist()),
        prototypes=len(bundle.manifest.prototypes),
        distinct_prototypes=len({entry.source.patch for entry in bundle.manifest.prototypes}),
        unlike_training=clustered_share(held.distance > bundle.likeness.threshold, held.exams.patients),
        left_out=data.left_out,
    )


def localise(
    bundle: Bundle, data: InputSet, scored: Similarities, bags: tuple[torch.Tensor, torch.Tensor]
) -> Localised:
    """Where the strongest patch of each annotated positive exam lies.

    Args:
        bags: best similarity of each exam (N, P) and the image that holds it (N, P).
    """
    best, view = bags
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    centres = centre_inside(data.lesion, field)
    allowed = breast_cells(data.breast, field)
    strongest = (bundle.margin_weights * best.double()).argmax(dim=1)
    exams, hits, rates, places = list[int](), list[bool](), list[float](), list[tuple[int, int]]()
    for bag in torch.nonzero(data.bag_labels() == bundle.positive).flatten().tolist():
        members = torch.nonzero((data.bags == bag) & (data.labels == bundle.positive)).flatten()
        if not (data.lesion[members] > 0).any():
            continue
        prototype = int(strongest[bag])
        image = int(view[bag, prototype])
        is_positive = int(data.labels[image]) == bundle.positive
        exams.append(bag)
        cell = int(scored.cells[image, prototype])
        hits.append(is_positive and bool(centres[image].flatten()[cell]))
        places.append((image, cell))
        views = torch.nonzero(data.bags == bag).flatten()
        in_lesion = centres[members] & allowed[members]
        rates.append(float(in_lesion.sum()) / float(allowed[views].sum()))
    images, cells = np.array(places, dtype=np.intp).reshape(-1, 2).T
    return Localised(np.array(exams, dtype=np.intp), np.array(hits, dtype=bool), np.array(rates), images, cells)
