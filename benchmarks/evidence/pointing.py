"""Whether the strongest patches of a bundle that learned a shortcut lie at the marker."""

from __future__ import annotations

import csv
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


def count_at_marker(run: Path, manifest_path: Path, markers: Path, cache: Path) -> tuple[int, int]:
    """Flagged positive test exams whose strongest patch touches a marker, and all flagged positive test exams."""
    bundle, manifest = load_bundle(run), read_manifest(manifest_path)
    data = load_split(bundle, manifest, "test", Loading(cache=CacheSettings(folder=cache)))
    held = score_held_out(bundle, manifest, "test", data)
    where = _boxes(markers)
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    strongest = (bundle.margin_weights * held.best.double()).argmax(dim=1)
    flagged = np.flatnonzero(held.flagged & held.exams.positive).tolist()
    touching = 0
    for exam in flagged:
        prototype = int(strongest[exam])
        image = int(held.view[exam, prototype])
        cell = divmod(int(held.scored.cells[image, prototype]), field.columns.cells)
        source = data.sources[image]
        marker = where.get(source.row.path)
        touching += marker is not None and _touch(cell_box(source.geometry, field, cell), marker)
    return touching, len(flagged)


def _boxes(path: Path) -> dict[str, Box]:
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            row["path"]: Box(**{edge: float(row[edge]) for edge in ("top", "left", "bottom", "right")})
            for row in csv.DictReader(stream)
        }


def _touch(one: Box, other: Box) -> bool:
    return one.top < other.bottom and other.top < one.bottom and one.left < other.right and other.left < one.right
