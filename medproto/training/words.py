"""What a training run came to, on one screen."""

from __future__ import annotations

from typing import Any

from medproto.bundle import BundleManifest

#: Costs that the summary shows; the bundle's manifest holds all of them, epoch by epoch.
SHOWN = ("cross_entropy", "cluster", "separation", "total")


def summary(manifest: BundleManifest) -> str:
    """Stages, prototypes, last layer and choices of the run that made a bundle, a line each."""
    protocol: dict[str, Any] = manifest.training
    settings = protocol["settings"]
    lines = [f"{manifest.name}, seed {settings['seed']}, {manifest.model.backbone} at stride {manifest.model.stride}"]
    for stage in settings["stages"]:  # the protocol's own keys are sorted, not in order
        epochs = protocol["stages"][stage["name"]]
        costs = ", ".join(f"{name.replace('_', ' ')} {epochs[0][name]:.3f} to {epochs[-1][name]:.3f}" for name in SHOWN)
        lines.append(f"stage 1, {stage['name']}: {len(epochs)} {'epoch' if len(epochs) == 1 else 'epochs'}, {costs}")
    dropped, moved = protocol["projection"]["dropped_per_class"], protocol["projection"]["moved"]
    lines.append(f"stage 2: {_prototypes(manifest)}; moved by {max(moved):.3f} at most, {sum(dropped)} dropped")
    found = protocol["last_layer"]
    best = min(found["curve"], key=lambda row: row["validation_loss"], default=None)
    way = f"L1 {best['l1']:g}, ridge {best['ridge']:g}" if best else "Adam as published"
    lines.append(f"stage 3: {way}, objective {found['objective']:.4f}, KKT residual {found['kkt_residual']:.0e}")
    point, metrics = manifest.operating_point, manifest.metrics
    chosen = f"at the operating point sensitivity {point.sensitivity:.3f}, specificity {point.specificity:.3f}"
    exams = f"{metrics['validation_exams']:.0f} exams"
    lines.append(f"validation: {exams}, AUROC {metrics['validation_auroc']:.3f}; {chosen}")
    return "\n".join(lines)


def _prototypes(manifest: BundleManifest) -> str:
    owners = [entry.prototype_class for entry in manifest.prototypes]
    return ", ".join(f"{owners.count(name)} prototypes of {name!r}" for name in manifest.model.classes)
