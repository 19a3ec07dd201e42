"""A training run, read as its stages: descent, projection, last layer; then the choices made on validation exams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from medproto.bundle import BundleManifest, save_bundle
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.evaluation.calibration import fit_calibration
from medproto.evaluation.classification import auroc, choose_operating_point
from medproto.likeness import fit_likeness
from medproto.model.protopnet import ProtoPNet, build_model
from medproto.predict import software
from medproto.training.descent import descend
from medproto.training.features import FrozenFeatures
from medproto.training.inputs import PLAINLY, InputSet, Loading, Progress, load_inputs
from medproto.training.last_layer import Problem, Solution, choose
from medproto.training.launch import start_fabric
from medproto.training.projection import Projection, project
from medproto.training.settings import TrainSettings
from medproto.training.similarities import Similarities, margins, similarities
from medproto.training.sources import cut_prototypes
from medproto.training.start import start_prototypes

#: Called with a title for the work that begins; returns the progress callback of that work.
Reporter = Callable[[str], Progress]


@dataclass(frozen=True)
class Fitted:
    """A network after stages 1 to 3, what it was fitted from, and the protocol of the fit."""

    model: ProtoPNet
    projection: Projection
    solution: Solution
    training: Similarities
    protocol: dict[str, object]


def train(settings: TrainSettings, source: tuple[Manifest, InputSet], target: Path, report: Reporter) -> str:
    """Train on a manifest's train split, make every choice on its val split, write the bundle; returns the bundle's id.

    Raises:
        TrainingError, ConfigError, ManifestError: one sentence on what is wrong; no bundle is left behind.
    """
    return finish(settings, source, fit(settings, source[1].split("train"), report), target)


def read_inputs(settings: TrainSettings, manifest: Manifest, report: Reporter, loading: Loading = PLAINLY) -> InputSet:
    """The manifest's images as model inputs, labelled with the run's classes."""
    labels = [settings.class_of(row.label) for row in manifest.rows]
    loading = replace(loading, progress=report("reading images"))
    return load_inputs(manifest, labels, (settings.inputs, settings.ingest), loading)


def fit(settings: TrainSettings, data: InputSet, report: Reporter) -> Fitted:
    """Stages 1, 2 and 3 on training images."""
    fabric = start_fabric(settings.precision)
    model = build_model(settings.network(), settings.seed)
    model.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = FrozenFeatures(fabric.device)
    start_prototypes(model, data, settings.seed, features)

    history = {}
    for number, stage in enumerate(settings.stages, start=1):  # stage 1
        run = ((fabric, features), settings.seed + number, report(f"stage 1, {stage.name}"))
        history[stage.name] = descend(model, data, stage, settings.costs, run)

    projection = project(model, data, features, report("stage 2, projection"))

    cached = similarities(model, data, features, projection.sources, report("stage 3, last layer"))
    bags, _ = cached.bags(data)
    own = model.own_class.cpu().numpy()
    problem = Problem(bags.double().numpy(), data.bag_labels().numpy(), own, l1=0.0, ridge=0.0)
    solution, curve = choose(problem, data.bag_patients(), settings.last_layer)
    model.last_layer.data = torch.from_numpy(solution.weights).to(model.last_layer)
    protocol = {
        "stages": history,
        "projection": {"dropped_per_class": list(projection.dropped), "moved": [s.moved for s in projection.sources]},
        "last_layer": {"objective": solution.objective, "kkt_residual": solution.kkt_residual, "curve": curve},
    }
    return Fitted(model, projection, solution, cached, protocol)


def finish(settings: TrainSettings, source: tuple[Manifest, InputSet], fitted: Fitted, target: Path) -> str:
    """Choose operating point, calibration and likeness threshold on validation exams, and write the bundle."""
    manifest, data = source
    training, validation = data.split("train"), data.split("val")
    device = fitted.model.prototypes.device
    positive = list(settings.classes).index(settings.positive_class)
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
        metrics={"validation_auroc": auroc(margin, is_positive), "validation_exams": float(len(margin))},
        training={"settings": settings.model_dump(mode="json"), "left_out": list(data.left_out)} | fitted.protocol,
        software=software(),
        files={},
    )
    return save_bundle(target, draft, fitted.model, likeness, pictures)


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
