"""Whether the strongest patches of a bundle that learned a shortcut lie at the marker."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medproto.bundle import load_bundle
from medproto.datasets.cache import CacheSettings
from medproto.datasets.manifest import read_manifest
from medproto.evaluation.held_out import score_held_out
from medproto.evaluation.run import load_split
from medproto.explain import cell_box
from medproto.records import Box
from medproto.training.inputs import Loading


@dataclass(frozen=True)
class Pointed:
    """Flagged positive test exams, those whose strongest patch has its centre outside the lesion's box, and those of
    these whose patch touches a marker."""

    flagged: int
    outside: int
    at_marker: int


def count_at_marker(run: Path, manifest_path: Path, markers: Path, cache: Path) -> Pointed:
    """Count where the strongest patches of the test exams lie."""
    bundle, manifest = load_bundle(run), read_manifest(manifest_path)
    data = load_split(bundle, manifest, "test", Loading(cache=CacheSettings(folder=cache)))
    held = score_held_out(bundle, manifest, "test", data)
    where = _boxes(markers)
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    strongest = (bundle.margin_weights * held.best.double()).argmax(dim=1)
    flagged = np.flatnonzero(held.flagged & held.exams.positive).tolist()
    outside, at_marker = 0, 0
    for exam in flagged:
        prototype = int(strongest[exam])
        image = int(held.view[exam, prototype])
        cell = divmod(int(held.scored.cells[image, prototype]), field.columns.cells)
        source = data.sources[image]
        patch, marker = cell_box(source.geometry, field, cell), where.get(source.row.path)
        if not any(box.contains(*patch.centre) for box in source.row.boxes):
            outside += 1
            at_marker += marker is not None and _touch(patch, marker)
    return Pointed(len(flagged), outside, at_marker)


def _boxes(path: Path) -> dict[str, Box]:
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            row["path"]: Box(**{edge: float(row[edge]) for edge in ("top", "left", "bottom", "right")})
            for row in csv.DictReader(stream)
        }


def _touch(one: Box, other: Box) -> bool:
    return one.top < other.bottom and other.top < one.bottom and one.left < other.right and other.left < one.right
