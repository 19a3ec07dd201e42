"""What a training run came to, on one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medproto.bundle import BundleManifest
from medproto.training.descent import VALIDATION
from medproto.training.legs import legs
from medproto.training.settings import TrainSettings

#: Costs that the summary shows; the bundle's manifest holds all of them, epoch by epoch.
SHOWN = ("cross_entropy", "cluster", "separation", "total")


def summary(manifest: BundleManifest, seconds: Sequence[float] = ()) -> str:
    """Stages, prototypes, last layer and choices of the run that made a bundle, a line each.

    Args:
        seconds: of each epoch of the descent, where they are known.
    """
    protocol: dict[str, Any] = manifest.training
    settings = protocol["settings"]
    lines = [f"{manifest.name}, seed {settings['seed']}, {manifest.model.backbone} at stride {manifest.model.stride}"]
    for leg in legs(TrainSettings.model_validate(settings)):  # the protocol's own keys are sorted, not in order
        lines.append(f"stage 1, {leg.title}: {_stage(protocol, leg.title)}")
    for number, cycle in enumerate(protocol.get("earlier_cycles", ()), start=1):
        lines.append(f"cycle {number}, stage 2: {_moved(cycle['projection'])}")
        lines.append(f"cycle {number}, stage 3: {_solved(cycle['last_layer'])}")
    lines.append(f"stage 2: {_moved(protocol['projection'])}")
    lines += [f"{name}: {_thinned(protocol[name])}" for name in ("pruning", "merging") if name in protocol]
    lines.append(f"stage 3: {_solved(protocol['last_layer'])}; {_prototypes(manifest)}")
    point, metrics = manifest.operating_point, manifest.metrics
    chosen = f"at the operating point sensitivity {point.sensitivity:.3f}, specificity {point.specificity:.3f}"
    exams = f"{metrics['validation_exams']:.0f} exams"
    lines.append(f"validation: {exams}, AUROC {metrics['validation_auroc']:.3f}; {chosen}")
    if seconds:
        lines.append(f"descent: {sum(seconds):.0f} s in {len(seconds)} epochs")
    return "\n".join(lines)


def _stage(protocol: Mapping[str, Any], title: str) -> str:
    epochs = protocol["stages"][title]
    costs = ", ".join(f"{name.replace('_', ' ')} {epochs[0][name]:.3f} to {epochs[-1][name]:.3f}" for name in SHOWN)
    said = f"{len(epochs)} {'epoch' if len(epochs) == 1 else 'epochs'}, {costs}"
    kept = protocol.get("kept_epochs", {}).get(title)
    return f"{said}; kept epoch {kept}, validation AUROC {epochs[kept - 1][VALIDATION]:.3f}" if kept else said


def _moved(projection: Mapping[str, Any]) -> str:
    return f"prototypes moved by {max(projection['moved']):.3f} at most, {sum(projection['dropped_per_class'])} dropped"


def _solved(found: Mapping[str, Any]) -> str:
    best = min(found["curve"], key=lambda row: row["validation_loss"], default=None)
    way = f"L1 {best['l1']:g}, ridge {best['ridge']:g}" if best else "Adam as published"
    return f"{way}, objective {found['objective']:.4f}, KKT residual {found['kkt_residual']:.0e}"


def _thinned(report: Mapping[str, Any]) -> str:
    """What pruning or merging took away, and the objective and AUROC before and after."""
    before, after = report["before"], report["after"]
    cost = ", ".join(f"{name.replace('_', ' ')} {before[name]:.3f} to {after[name]:.3f}" for name in sorted(before))
    gone = sum(report["dropped_per_class"])
    return f"{gone} {'prototype' if gone == 1 else 'prototypes'} went; {cost}"


def _prototypes(manifest: BundleManifest) -> str:
    owners = [entry.prototype_class for entry in manifest.prototypes]
    return ", ".join(f"{owners.count(name)} prototypes of {name!r}" for name in manifest.model.classes)
