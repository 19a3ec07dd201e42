"""A training run, read as its stages: descent, projection, last layer; then the choices made on validation exams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from medproto.bundle import BundleManifest, PrototypeEntry, save_bundle
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.evaluation.calibration import fit_calibration
from medproto.evaluation.classification import auroc, choose_operating_point
from medproto.likeness import LikenessModel, fit_likeness
from medproto.model.protopnet import ProtoPNet, build_model
from medproto.predict import software
from medproto.training.checkpoint import Checkpoint
from medproto.training.data_record import count_data
from medproto.training.descent import NOWHERE, Watch, descend, kept_epoch
from medproto.training.features import FrozenFeatures
from medproto.training.inputs import PLAINLY, InputSet, Loading, load_inputs
from medproto.training.last_layer import Solution
from medproto.training.launch import repeatable, start_fabric
from medproto.training.legs import Leg, legs
from medproto.training.memory import memory_suffices
from medproto.training.neighbours import with_neighbours
from medproto.training.processes import rank
from medproto.training.projection import Projection
from medproto.training.refining import Images, exam_auroc, settle, thin_out
from medproto.training.refining import Reporter as Reporter  # who calls `fit` needs it
from medproto.training.settings import Stage, TrainSettings
from medproto.training.similarities import Similarities, margins, similarities
from medproto.training.sources import cut_prototypes
from medproto.training.start import start_prototypes

_NO_MEMORY = "projection and last layer: the memory does not suffice, expected fewer images or smaller `inputs`"


@dataclass(frozen=True)
class Fitted:
    """A network after stages 1 to 3, what it was fitted from, and the protocol of the fit."""

    model: ProtoPNet
    projection: Projection
    solution: Solution
    training: Similarities
    protocol: dict[str, object]


@dataclass(frozen=True)
class Record:
    """What a run has beside its training images: validation exams, where an earlier process got to, and who keeps how
    far it is after every epoch."""

    validation: InputSet | None = None
    begin: Checkpoint | None = None
    keep: Callable[[Leg, Checkpoint], None] | None = None


@dataclass(frozen=True)
class _Work:
    settings: TrainSettings
    fabric: Fabric
    model: ProtoPNet
    images: Images
    report: Reporter


def train(settings: TrainSettings, source: tuple[Manifest, InputSet], target: Path, report: Reporter) -> str:
    """Train on a manifest's train split, make every choice on its val split, write the bundle; returns the bundle's id.

    Raises:
        TrainingError, ConfigError, ManifestError: one sentence on what is wrong; no bundle is left behind.
    """
    training, validation = source[1].split("train"), source[1].split("val")
    check_validation(settings, validation)
    return finish(settings, source, fit(settings, training, report, Record(validation)), target)


def read_inputs(settings: TrainSettings, manifest: Manifest, report: Reporter, loading: Loading = PLAINLY) -> InputSet:
    """The manifest's images as model inputs, labelled with the run's classes."""
    labels = [settings.class_of(row.label) for row in manifest.rows]
    loading = replace(loading, progress=report("reading images"))
    return load_inputs(manifest, labels, (settings.inputs, settings.ingest), loading)


def fit(settings: TrainSettings, data: InputSet, report: Reporter, record: Record | None = None) -> Fitted:
    """Stages 1, 2 and 3 on training images, as often as the settings say, then pruning and merging.

    Raises:
        TrainingError: a class has no image, the loss is not finite, the memory does not suffice, or a stage has
            patience and there are no validation exams.
    """
    record = record or Record()
    _check_training(settings, data, record)
    with repeatable(settings.deterministic):
        return _fit(settings, data, report, record)


def _fit(settings: TrainSettings, data: InputSet, report: Reporter, record: Record) -> Fitted:
    fabric = start_fabric(settings.precision)
    model = build_model(settings.network(), settings.seed)
    model.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = Images(data, FrozenFeatures(fabric.device), record.validation)
    work = _Work(settings, fabric, model, images, report)
    if record.begin is None:
        start_prototypes(model, data, settings.seed, images.features)
    else:  # a cycle may have ended with fewer prototypes than the network began with
        model.keep(torch.arange(len(record.begin.reached.network["prototypes"]), device=fabric.device))

    so_far = record.begin or Checkpoint(1, NOWHERE, {}, ())
    for leg in legs(settings)[so_far.leg - 1 :]:
        so_far = _descend(work, leg, so_far, record)  # stage 1
        with memory_suffices(_NO_MEMORY):
            if leg.ends_cycle and leg.cycle < settings.cycles:
                settled = settle(settings, model, images, report)
                so_far = replace(so_far, cycles=(*so_far.cycles, settled.protocol))
                _restart_last_layer(model)
    with memory_suffices(_NO_MEMORY):
        settled = settle(settings, model, images, report)  # stages 2 and 3
        settled = thin_out(settings, model, images, settled)
    protocol = _protocol(settings, so_far) | settled.protocol
    return Fitted(model, settled.projection, settled.solution, settled.training, protocol)


def _descend(work: _Work, leg: Leg, so_far: Checkpoint, record: Record) -> Checkpoint:
    """One leg of the descent from there on; where the next one begins."""
    settings, images, stage = work.settings, work.images, leg.stage
    keep = record.keep
    watch = Watch(
        progress=work.report(f"stage 1, {leg.title}"),
        begin=so_far.reached,
        hear=(lambda reached: keep(leg, replace(so_far, leg=leg.number, reached=reached))) if keep else None,
        measure=None if stage.patience is None else _measure(work, stage, record.validation),
    )
    run = ((work.fabric, images.features), settings.seed + leg.number, watch)
    history = descend(work.model, images.training, stage, settings.costs, run)
    return Checkpoint(leg.number + 1, NOWHERE, so_far.stages | {leg.title: history}, so_far.cycles)


def _measure(work: _Work, stage: Stage, validation: InputSet | None) -> Callable[[], float]:
    """AUROC on validation exams, from their best similarities and the last layer at +1 / -0.5."""
    assert validation is not None  # `_check_training` saw to it
    device = work.fabric.device
    place = device if "backbone" in stage.learning_rates else FrozenFeatures(device)
    return lambda: exam_auroc(work.settings, work.model, validation, similarities(work.model, validation, place))


def _restart_last_layer(model: ProtoPNet) -> None:
    model.last_layer.data = torch.where(model.own_class, 1.0, -0.5).to(model.last_layer)


def _protocol(settings: TrainSettings, done: Checkpoint) -> dict[str, object]:
    """What the descent and the cycles before the last one came to."""
    protocol: dict[str, object] = {"stages": dict(done.stages)}
    patient = [leg.title for leg in legs(settings) if leg.stage.patience is not None]
    if patient:
        protocol["kept_epochs"] = {title: kept_epoch(done.stages[title]) for title in patient}
    if done.cycles:
        protocol["earlier_cycles"] = list(done.cycles)
    return protocol


def finish(
    settings: TrainSettings,
    source: tuple[Manifest, InputSet],
    fitted: Fitted,
    target: Path,
    show: Callable[[Sequence[PrototypeEntry], Mapping[str, bytes]], None] | None = None,
) -> str:
    """Choose operating point, calibration and likeness threshold on validation exams, and write the bundle.

    Args:
        show: called with the prototypes and their pictures before the bundle is written.

    Returns:
        The bundle's id; nothing in a process that is not the run's first, which alone writes.
    """
    draft, likeness, pictures = _draft(settings, source, fitted)
    if rank():
        return ""
    training = (source[0], source[1].split("train"), fitted.training)
    draft, near = with_neighbours(draft, fitted.model, training)
    if show:
        show(draft.prototypes, pictures)
    return save_bundle(target, draft, fitted.model, likeness, pictures | near)


def _draft(
    settings: TrainSettings, source: tuple[Manifest, InputSet], fitted: Fitted
) -> tuple[BundleManifest, LikenessModel, dict[str, bytes]]:
    """All of a bundle but its files and the network: manifest, likeness model, pictures of the prototypes."""
    manifest, data = source
    training, validation = data.split("train"), data.split("val")
    device = fitted.model.prototypes.device
    positive = settings.positive
    held_out = similarities(fitted.model, validation, device)
    margin = margins(held_out.bags(validation)[0], fitted.model.last_layer.detach().cpu(), positive)
    is_positive = validation.bag_labels().numpy() == positive
    likeness = fit_likeness(fitted.training.pooled, held_out.pooled, validation.bags)
    entries, pictures = cut_prototypes(fitted.model, fitted.projection, training, manifest, settings)
    draft = BundleManifest(
        name=settings.name,
        model=settings.network(),
        inputs=settings.inputs,
        ingest=settings.ingest,
        prototypes=entries,
        operating_point=choose_operating_point(margin, is_positive, settings.sensitivity),
        calibration=fit_calibration(margin, is_positive),
        likeness_threshold=likeness.threshold,
        synthetic=any(image.synthetic for image in training.sources),
        data_name=manifest.rows[0].source or manifest.path.stem,
        data_licence=_licence(manifest),
        data_digest=manifest.digest,
        data=count_data(manifest, data, tuple(settings.classes)),
        metrics={"validation_auroc": auroc(margin, is_positive), "validation_exams": float(len(margin))},
        training={"settings": settings.model_dump(mode="json"), "left_out": list(data.left_out)} | fitted.protocol,
        software=software(),
        files={},
    )
    return draft, likeness, pictures


def _licence(manifest: Manifest) -> str:
    licences = sorted({row.licence for row in manifest.rows if row.licence})
    return "; ".join(licences) or "not stated"


def check_split(manifest: Manifest) -> None:
    """A manifest that is trained on needs a train and a val split.

    Raises:
        TrainingError: one of them is missing.
    """
    for name in ("train", "val"):
        if not any(row.split == name for row in manifest.rows):
            raise TrainingError(f"split: got no row in {name!r}, expected some in the manifest's split column")


def check_validation(settings: TrainSettings, validation: InputSet) -> None:
    """The choices at the end of a run need validation exams with and without the positive class.

    Raises:
        TrainingError: there are none of one kind.
    """
    labels = validation.bag_labels()
    positives, total = int((labels == settings.positive).sum()), len(labels)
    if not 0 < positives < total:
        name = settings.positive_class
        raise TrainingError(
            f"validation: got {positives} exams of {name!r} and {total - positives} others, "
            "expected at least one of each"
        )


def _check_training(settings: TrainSettings, data: InputSet, record: Record) -> None:
    counts = torch.bincount(data.labels, minlength=len(settings.classes)).tolist()
    for name, count in zip(settings.classes, counts, strict=True):
        if not count:
            raise TrainingError(f"classes: got no training image of {name!r}, expected at least one of each class")
    if record.validation is None and any(stage.patience is not None for stage in settings.stages):
        raise TrainingError("patience: got one without validation exams, expected exams to measure the AUROC on")
