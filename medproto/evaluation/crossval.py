"""Patient-level cross-validation on regions of mini-MIAS: the prototype network beside its baselines.

1. No patient is in two parts of a fold, and each patient is tested exactly once.
2. A fold's scores come from models that saw its training patients alone. The network is fitted on part of them and
   takes its operating point from the others; the baselines are fitted on all of them, with a penalty from inner folds.
3. All scores are log-odds and are pooled over the folds as they are, neither standardised nor ranked. A method whose
   scale drifts from fold to fold loses by that; the mean of the folds' own AUROC, beside it, does not see the drift.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medproto.datasets import splits
from medproto.datasets.archives.mini_mias import import_mini_mias
from medproto.datasets.manifest import Manifest, ManifestRow, Split, read_manifest, write_manifest
from medproto.datasets.regions import region_manifest
from medproto.evaluation.baselines import Cases, Matrix, intensity_and_size, last_stages, linear_scores
from medproto.evaluation.classification import (
    Interval,
    Vector,
    auroc,
    auroc_interval,
    choose_operating_point,
    share_interval,
)
from medproto.training.inputs import PLAINLY, InputSet, Loading
from medproto.training.run import Fitted, Reporter, finish, fit, read_inputs
from medproto.training.settings import TrainSettings
from medproto.training.similarities import margins, similarities

FOLDS = 5
#: Share of a fold's training patients on whom the operating point, calibration and likeness threshold are chosen.
VALIDATION = 0.2
NETWORK, PROBE, PLAIN = "prototype network", "linear probe, frozen backbone", "intensity and size alone"


@dataclass(frozen=True)
class Regions:
    """Regions of the films: their manifest, and the same as model inputs."""

    manifest: Manifest
    data: InputSet


@dataclass(frozen=True)
class Method:
    """One method's results on unseen patients: AUROC pooled over folds and of each fold, and the seconds it took."""

    name: str
    auroc: Interval
    folds: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class CrossValidation:
    """Results of all methods on the same folds.

    `prototypes` and `distinct` count the network's prototypes, and their different source patches, per fold;
    sensitivity and specificity are the network's at the operating points that its folds chose on validation patients.
    """

    name: str
    seed: int
    manifest_digest: str
    regions: int
    positives: int
    patients: int
    methods: tuple[Method, ...]
    prototypes: tuple[int, ...]
    distinct: tuple[int, ...]
    sensitivity: Interval
    specificity: Interval
    seconds: float
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _FoldResult:
    scores: Vector
    flagged: NDArray[np.bool_]
    prototypes: int
    distinct: int


def crossval(
    settings: TrainSettings, source: Path, work: Path, report: Reporter, loading: Loading = PLAINLY
) -> CrossValidation:
    """Import mini-MIAS, cut its regions, and cross-validate the network and its baselines on them.

    Args:
        source: the published archive or its folder.
        work: folder for films and manifests, outside of the repository; made where it does not exist.

    Raises:
        InputError, TrainingError, ConfigError: one sentence on what is wrong.
    """
    began = time.monotonic()
    result = cross_validate(settings, read_regions(settings, source, work, report, loading), report)
    return replace(result, seconds=time.monotonic() - began)


def held_out_bundle(
    settings: TrainSettings, source: Path, work: Path, report: Reporter, loading: Loading = PLAINLY
) -> tuple[Path, tuple[ManifestRow, ...]]:
    """Train a bundle on all patients but those of the last fold; their regions are what it may be shown on.

    Returns:
        The bundle's folder, and the held-out rows of `work/held-out.csv`, with absolute paths.
    """
    return train_held_out(settings, read_regions(settings, source, work, report, loading), work, report)


def read_regions(
    settings: TrainSettings, source: Path, work: Path, report: Reporter, loading: Loading = PLAINLY
) -> Regions:
    """Regions of the films of an archive, read once as model inputs."""
    films = read_manifest(import_mini_mias(source, work / "films", report("importing films")))
    path = region_manifest(films, work / "regions.csv", settings.seed, report("placing regions"))
    manifest = read_manifest(path)
    return Regions(manifest, read_inputs(settings, manifest, report, loading))


def cross_validate(settings: TrainSettings, regions: Regions, report: Reporter) -> CrossValidation:
    """The network and its baselines on the same seeded folds."""
    began, data = time.monotonic(), regions.data
    positive = data.bag_labels().numpy() == _positive(settings)
    folds = [split_fold(regions.manifest.rows, fold, settings.seed) for fold in range(FOLDS)]
    results = [_fit_fold(settings, with_splits(data, of), _titled(report, k)) for k, of in enumerate(folds, start=1)]
    places = [_bags_of(data, of, ("test",)) for of in folds]
    fitted = time.monotonic()
    network = Method(NETWORK, *_measure(data, positive, places, [r.scores for r in results]), fitted - began)
    plain = _linear(settings, data, folds, lambda: (PLAIN, intensity_and_size(data)))
    title = "baseline, frozen backbone"
    probe = _linear(settings, data, folds, lambda: (PROBE, last_stages(data, settings.model, report(title))))
    flagged = np.empty(len(positive), dtype=bool)
    for place, result in zip(places, results, strict=True):
        flagged[place] = result.flagged
    return CrossValidation(
        name=settings.name,
        seed=settings.seed,
        manifest_digest=regions.manifest.digest,
        regions=len(positive),
        positives=int(positive.sum()),
        patients=len(set(data.patients())),
        methods=(network, probe, plain),
        prototypes=tuple(result.prototypes for result in results),
        distinct=tuple(result.distinct for result in results),
        sensitivity=share_interval(int(flagged[positive].sum()), int(positive.sum())),
        specificity=share_interval(int((~flagged[~positive]).sum()), int((~positive).sum())),
        seconds=time.monotonic() - began,
        left_out=data.left_out,
    )


def train_held_out(
    settings: TrainSettings, regions: Regions, work: Path, report: Reporter
) -> tuple[Path, tuple[ManifestRow, ...]]:
    """As `held_out_bundle`, on regions that were read before."""
    of = split_fold(regions.manifest.rows, FOLDS - 1, settings.seed)
    rows = [row.model_copy(update={"split": of[row.patient]}) for row in regions.manifest.rows]
    # Beside the regions' manifest, since paths are relative to it.
    manifest = read_manifest(write_manifest(regions.manifest.path.parent / "held-out.csv", rows))
    data = with_splits(regions.data, of)
    target = work / "bundle"
    finish(settings, (manifest, data), fit(settings, data.split("train"), report), target)
    held_out = manifest.split("test")
    return target, tuple(row.model_copy(update={"path": str(manifest.file(row).resolve())}) for row in held_out)


def split_fold(rows: Sequence[ManifestRow], fold: int, seed: int) -> dict[str, Split]:
    """Split of every patient in one fold: test, and of the others most train and some val."""
    drawn = splits.split_fold(rows, (fold, FOLDS), VALIDATION, seed)
    return {row.patient: row.split for row in drawn if row.split is not None}


def with_splits(data: InputSet, of: Mapping[str, Split]) -> InputSet:
    """The same images, their rows with the split of their patient."""
    rows = (source.row.model_copy(update={"split": of[source.row.patient]}) for source in data.sources)
    return replace(
        data, sources=tuple(replace(source, row=row) for source, row in zip(data.sources, rows, strict=True))
    )


def format_table(result: CrossValidation) -> str:
    """The results as a Markdown table, with what they were measured on below it."""
    lines = ["| method | AUROC (95 % interval by patient) | mean of folds | folds | seconds |", "|---|---|---|---|---|"]
    for method in result.methods:
        folds = " ".join(f"{value:.2f}" for value in method.folds)
        lines.append(
            f"| {method.name} | {method.auroc} | {np.mean(method.folds):.3f} | {folds} | {method.seconds:.0f} |"
        )
    distinct = ", ".join(f"{d} of {p}" for d, p in zip(result.distinct, result.prototypes, strict=True))
    lines += [
        "",
        f"{result.regions} regions of {result.patients} patients, {result.positives} of them around a lesion; "
        f"{FOLDS} folds by patient, out-of-fold log-odds pooled as they are.",
        f"Distinct prototype patches per fold: {distinct}.",
        f"The network at its folds' operating points: sensitivity {result.sensitivity}, "
        f"specificity {result.specificity}.",
        f"{result.seconds:.0f} s in all.",
    ]
    if result.left_out:
        lines.append(f"Left out: {len(result.left_out)} regions; the first, {result.left_out[0]}.")
    return "\n".join(lines)


def _fit_fold(settings: TrainSettings, data: InputSet, report: Reporter) -> _FoldResult:
    training, validation, unseen = (data.split(name) for name in ("train", "val", "test"))
    fitted = fit(settings, training, report)
    chosen_on = _margins(settings, fitted, validation)
    is_positive = validation.bag_labels().numpy() == _positive(settings)
    point = choose_operating_point(chosen_on, is_positive, settings.sensitivity)
    scores = _margins(settings, fitted, unseen)
    sources = fitted.projection.sources
    patches = {
        (training.sources[s.image].pixels_sha256, str(training.sources[s.image].crop), s.row, s.column) for s in sources
    }
    return _FoldResult(scores, scores >= point.margin, len(sources), len(patches))


def _margins(settings: TrainSettings, fitted: Fitted, data: InputSet) -> Vector:
    scored = similarities(fitted.model, data, fitted.model.prototypes.device)
    weights = fitted.model.last_layer.detach().cpu()
    margin: Vector = margins(scored.bags(data)[0], weights, _positive(settings))
    return margin


def _linear(
    settings: TrainSettings,
    data: InputSet,
    folds: Sequence[Mapping[str, Split]],
    make: Callable[[], tuple[str, Matrix]],
) -> Method:
    """A linear method on the features that `make` computes for each image; a region is an exam of one image."""
    began = time.monotonic()
    name, of_images = make()
    order = torch.argsort(data.bags, stable=True).tolist()
    cases = Cases(of_images[order], data.bag_labels().numpy() == _positive(settings), data.bag_patients())
    places = [_bags_of(data, of, ("test",)) for of in folds]
    known = [_bags_of(data, of, ("train", "val")) for of in folds]
    scores = [
        linear_scores(cases.select(learnt), cases.select(unseen), settings.seed)
        for learnt, unseen in zip(known, places, strict=True)
    ]
    return Method(name, *_measure(data, cases.positive, places, scores), time.monotonic() - began)


def _measure(
    data: InputSet, positive: NDArray[np.bool_], places: Sequence[Sequence[int]], scores: Sequence[Vector]
) -> tuple[Interval, tuple[float, ...]]:
    """AUROC of the pooled scores with its interval, and of each fold."""
    pooled = np.empty(len(positive), dtype=np.float64)
    for place, values in zip(places, scores, strict=True):
        pooled[place] = values
    of_folds = tuple(auroc(values, positive[place]) for place, values in zip(places, scores, strict=True))
    return auroc_interval(pooled, positive, data.bag_patients()), of_folds


def _bags_of(data: InputSet, of: Mapping[str, Split], wanted: tuple[Split, ...]) -> list[int]:
    return [bag for bag, patient in enumerate(data.bag_patients()) if of[patient] in wanted]


def _positive(settings: TrainSettings) -> int:
    return list(settings.classes).index(settings.positive_class)


def _titled(report: Reporter, fold: int) -> Reporter:
    return lambda title: report(f"fold {fold} of {FOLDS}: {title}")
