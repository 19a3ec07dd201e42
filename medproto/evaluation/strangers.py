"""Exams that a bundle should not trust itself with, of other archives or of phantoms made otherwise: whether they are
marked as unlike the training data, and how often the decisions on them would be wrong.

Labels count where they are those of the bundle's classes; whatever the others, likeness needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import torch
from pydantic import TypeAdapter

from medproto.bundle import Bundle
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.evaluation.abstention import Abstention, Judged, abstention
from medproto.evaluation.classification import Interval, auroc_interval
from medproto.evaluation.held_out import HeldOut, Unit, exam_distances
from medproto.evaluation.intervals import Flags, clustered_share
from medproto.evaluation.kept import Kept
from medproto.training.inputs import InputSet, Loading, Progress, load_inputs
from medproto.training.settings import TrainSettings
from medproto.training.similarities import margins, similarities

#: The split that is taken where the manifest has it; else every row.
SPLIT: Final = "test"
ALL_ROWS = "all rows"
#: Exams whose images are in memory at once.
AT_ONCE = 100


@dataclass(frozen=True)
class Strangers:
    """Exams of one manifest, with intervals by patient.

    Args:
        rows: the split that was taken, or all rows.
        left_out: images that cannot be read or that the input gate refuses, `refused_exams` those without another.
        unlike: share of the exams that is marked as unlike the training data.
        told_apart: chance that one of them lies farther from the training data than an exam of the evaluated split.
        labelled: exams whose images all have labels of the bundle's classes, and how many of them are positive.
        auroc: of these; None where there are not both classes.
        decided: what deciding these would cost; None where there are none.
    """

    name: str
    manifest_digest: str
    rows: str
    images: int
    left_out: int
    exams: int
    refused_exams: int
    patients: int
    unlike: Interval
    told_apart: Interval
    labelled: int
    positives: int
    auroc: Interval | None
    decided: Abstention | None


KIND = TypeAdapter(Strangers)


@dataclass(frozen=True)
class _Seen:
    """Some exams, whether each has labels of the bundle's classes alone (N,), and how many images were read."""

    judged: Judged
    labelled: Flags
    images: int


def measure_strangers(held: HeldOut, name: str, manifest: Manifest, loading: Loading, kept: Kept) -> Strangers:
    """Judge the exams of a manifest as those of the evaluated split were judged.

    Raises:
        TrainingError: no image can be scored, or an image is one that a prototype was cut from.
    """
    key = f"strangers-{manifest.digest[:16]}"
    return replace(kept.once(key, KIND, lambda: _measured(held, manifest, loading)), name=name)


def _measured(held: HeldOut, manifest: Manifest, loading: Loading) -> Strangers:
    test = manifest.split(SPLIT)
    wanted = test or manifest.rows
    exams = list(dict.fromkeys(row.exam for row in wanted))
    seen = _joined(list(_scored(held.bundle, manifest, exams, loading)))
    found, likeness = seen.judged, held.bundle.likeness
    positive, patients = found.exams.positive[seen.labelled], found.exams.patients
    # A patient of this manifest is none of the split's, whatever the two pseudonyms say.
    apart = [*(f"here {patient}" for patient in patients), *(f"there {patient}" for patient in held.exams.patients)]
    strange = np.arange(len(apart)) < len(patients)
    known = _those(found, seen.labelled)
    return Strangers(
        name="",
        manifest_digest=manifest.digest,
        rows=SPLIT if test else ALL_ROWS,
        images=seen.images,
        left_out=len(wanted) - seen.images,
        exams=len(patients),
        refused_exams=len(exams) - len(patients),
        patients=len(set(patients)),
        unlike=clustered_share(found.distance > likeness.threshold, patients),
        told_apart=auroc_interval(np.concatenate([found.distance, held.distance]), strange, apart),
        labelled=len(positive),
        positives=int(positive.sum()),
        auroc=_auroc(known.exams),
        decided=abstention(known, likeness.threshold) if len(positive) else None,
    )


def _scored(bundle: Bundle, manifest: Manifest, exams: Sequence[str], loading: Loading) -> Iterator[_Seen]:
    """Some exams after the other, so that their images need not be in memory together.

    Raises:
        TrainingError: none of all their images can be read.
    """
    group = {exam: place // AT_ONCE for place, exam in enumerate(exams)}
    parts = [group.get(row.exam) for row in manifest.rows]
    total, done = sum(part is not None for part in parts), 0
    first: TrainingError | None = None
    some = False
    settings = (bundle.manifest.inputs, bundle.manifest.ingest)
    for place in range(group[exams[-1]] + 1):
        labels = [0 if part == place else None for part in parts]
        progress = partial(_told, loading.progress, done, total) if loading.progress else None
        done += labels.count(0)
        try:
            data = load_inputs(manifest, labels, settings, replace(loading, progress=progress))
        except TrainingError as err:
            # None of these can be read, which counts as left out; an error where the same holds for all.
            first = first or err
            continue
        some = True
        yield _judge(bundle, data)
    if first and not some:
        raise first


def _judge(bundle: Bundle, data: InputSet) -> _Seen:
    sources = {entry.source.pixels_sha256 for entry in bundle.manifest.prototypes}
    if sources & {source.pixels_sha256 for source in data.sources}:
        raise TrainingError("strangers: got an image that a prototype was cut from, expected images it never saw")
    scored = similarities(bundle.model, data, torch.device("cpu"))
    best, _ = scored.bags(data)
    margin = margins(best, bundle.model.last_layer, bundle.positive)
    classes = TrainSettings.model_validate(bundle.manifest.training["settings"]).classes
    known = {label for labels in classes.values() for label in labels}
    bags, labels = data.bags.numpy(), [source.row.label for source in data.sources]
    strange, positive = np.zeros(len(margin), dtype=bool), np.zeros(len(margin), dtype=bool)
    np.logical_or.at(strange, bags, [label not in known for label in labels])
    np.logical_or.at(positive, bags, [label in classes[bundle.manifest.model.positive_class] for label in labels])
    return _Seen(
        Judged(
            Unit("exam", margin, positive, tuple(data.bag_patients())),
            margin >= bundle.manifest.operating_point.margin,
            exam_distances(bundle, data, scored),
            best.double().amax(dim=1).numpy(),
        ),
        ~strange,
        len(data),
    )


def _joined(parts: Sequence[_Seen]) -> _Seen:
    """All parts as one."""
    units = [part.judged.exams for part in parts]
    exams = Unit(
        "exam",
        np.concatenate([unit.margins for unit in units]),
        np.concatenate([unit.positive for unit in units]),
        tuple(patient for unit in units for patient in unit.patients),
    )
    flagged = np.concatenate([part.judged.flagged for part in parts])
    distance = np.concatenate([part.judged.distance for part in parts])
    resemblance = np.concatenate([part.judged.resemblance for part in parts])
    labelled = np.concatenate([part.labelled for part in parts])
    return _Seen(Judged(exams, flagged, distance, resemblance), labelled, sum(part.images for part in parts))


def _those(found: Judged, chosen: Flags) -> Judged:
    """Some of the exams."""
    patients = tuple(patient for patient, one in zip(found.exams.patients, chosen.tolist(), strict=True) if one)
    exams = Unit("exam", found.exams.margins[chosen], found.exams.positive[chosen], patients)
    return Judged(exams, found.flagged[chosen], found.distance[chosen], found.resemblance[chosen])


def _auroc(exams: Unit) -> Interval | None:
    """None where a class is missing, or where there are not two patients to draw from."""
    if not exams.positive.any() or exams.positive.all() or len(set(exams.patients)) < 2:
        return None
    return auroc_interval(exams.margins, exams.positive, exams.patients)


def _told(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    """Progress of a part as progress of the whole."""
    progress(before + done, total)
