"""Whether the strongest patches of a bundle that learned a shortcut lie at the marker."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from medproto.bundle import load_bundle
from medproto.datasets.cache import CacheSettings
from medproto.datasets.manifest import read_manifest
from medproto.evaluation.held_out import score_held_out
from medproto.evaluation.run import load_split, localise
from medproto.explain import cell_box
from medproto.records import Box
from medproto.training.inputs import Loading


@dataclass(frozen=True)
class Pointed:
    """Flagged positive test exams, those whose strongest patch has its centre outside the lesion, and those of these
    whose patch touches a marker."""

    flagged: int
    outside: int
    at_marker: int


def count_at_marker(run: Path, manifest_path: Path, markers: Path, cache: Path) -> Pointed:
    """Count where the strongest patches of the test exams lie."""
    bundle, manifest = load_bundle(run), read_manifest(manifest_path)
    data = load_split(bundle, manifest, "test", Loading(cache=CacheSettings(folder=cache)))
    held = score_held_out(bundle, manifest, "test", data)
    field = bundle.model.backbone.receptive_field(*data.images.shape[2:])
    found = localise(bundle, data, held.scored, (held.best, held.view))
    where = _boxes(markers)
    flagged = held.flagged[found.exams]
    outside = flagged & ~found.hits
    at_marker = 0
    for image, cell in zip(found.images[outside].tolist(), found.cells[outside].tolist(), strict=True):
        source = data.sources[image]
        patch = cell_box(source.geometry, field, divmod(cell, field.columns.cells))
        marker = where.get(source.row.path)
        at_marker += marker is not None and _touch(patch, marker)
    return Pointed(int(flagged.sum()), int(outside.sum()), at_marker)


def _boxes(path: Path) -> dict[str, Box]:
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            row["path"]: Box(**{edge: float(row[edge]) for edge in ("top", "left", "bottom", "right")})
            for row in csv.DictReader(stream)
        }


def _touch(one: Box, other: Box) -> bool:
    return one.top < other.bottom and other.top < one.bottom and one.left < other.right and other.left < one.right
