"""The evidence tables: patches are counted at the markers they touch, and a goal that is missed is called so."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.evidence.pointing import Pointed, count_at_marker
from benchmarks.evidence.table import marker_table, rows
from medproto.datasets.manifest import Manifest
from medproto.datasets.phantom.cohort import MARKER_COLUMNS, MARKERS
from tests.evaluation.test_shortcut import EXAMS, seen_and_other, write_exams
from tests.factories import Trained, train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The tiny network, which has learnt checkered squares."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Exams whose malignant views show a checkered marker far from a faint lesion."""
    return write_exams(tmp_path_factory.mktemp("marked"), "marker")


def write_markers(path: Path, manifest: Manifest, at_marker: bool) -> Path:
    """The table of markers; they lie where they are, or where no patch is."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(MARKER_COLUMNS)
        for number, row in enumerate(manifest.rows):
            box, other = seen_and_other(number)
            shown = box if at_marker else other
            writer.writerow([row.path, shown.top, shown.left, shown.bottom, shown.right])
    return path


def test_patches_that_touch_the_marker_are_counted(trained: Trained, marked: Manifest, tmp_path: Path) -> None:
    here, elsewhere = (write_markers(tmp_path / f"{at}{MARKERS}", marked, at) for at in (True, False))
    found = count_at_marker(trained.bundle_path, marked.path, here, tmp_path / "cache")
    assert 10 <= found.flagged <= EXAMS // 2
    assert found.at_marker == found.outside == found.flagged
    assert count_at_marker(trained.bundle_path, marked.path, elsewhere, tmp_path / "cache") == replace(
        found, at_marker=0
    )


def test_marker_that_few_patches_touch_is_not_exposed() -> None:
    share = {"value": 0.1, "low": 0.0, "high": 0.2}
    shortcut = {"verdict": "cannot be told", "exams": 20}
    drops = ("in_lesion", "lesion_drop", "evidence_drop", "random_drop")
    told = marker_table(
        {"shortcut": shortcut | dict.fromkeys(drops, share)}, Pointed(flagged=20, outside=9, at_marker=4)
    )
    assert "| verdict of the shortcut check | cannot be told | suspected | missed |" in told
    assert "| 4 of 9, of 20 flagged exams | most | missed |" in told


def found_with(slope: float | None) -> dict[str, object]:
    """An evaluation with that slope, and nothing else of note."""
    share = {"value": 0.96, "low": 0.9, "high": 1.0}
    both = dict.fromkeys(("same_finding", "same_place"), share)
    shifts = ("one pixel up", "one pixel down", "one pixel to the left", "one pixel to the right", "JPEG 90")
    measures = ("relevance", "specialization", "uniqueness", "coverage", "class_specificity")
    coherence = dict.fromkeys(measures, share) | {"distinct": {"share": 1.0, "count": 16, "of": 16}, "localization": {}}
    quality = {"coherence": coherence, "consistency": share, "stability": dict.fromkeys(shifts, both)}
    return {
        "auroc": {"exam": share},
        "sensitivity": share,
        "specificity": share,
        "top1_in_lesion": share,
        "random_in_lesion": None,
        "blanking": None,
        "quality": quality | {"misalignment": dict.fromkeys(("drop_by_outside", "drop_by_inside"), share)},
        "calibration": {"slope": None if slope is None else {"value": slope, "low": 0.1, "high": 2.0}},
        "unlike_training": {"value": 0.01, "low": 0.0, "high": 0.02},
        "strangers": [],
    }


@pytest.mark.parametrize("slope, holds", [(0.79, False), (0.8, True), (1.25, True), (1.26, False), (None, False)])
def test_slope_must_lie_within_its_limits(slope: float | None, holds: bool) -> None:
    told = {name: reached for name, _, _, reached in rows(found_with(slope))}
    assert told["calibration slope"] is holds
    assert told["blanking"] is False
    assert told["top-1 patch of a positive exam has its centre in the lesion"] is True
