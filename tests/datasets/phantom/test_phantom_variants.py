"""Cohorts that differ from the plain one in one way: what changes, and that nothing else does."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from medproto.datasets.manifest import read_manifest
from medproto.datasets.phantom.anatomy import SPACING_MM
from medproto.datasets.phantom.cohort import MARKERS, Cohort, write_phantom
from medproto.datasets.phantom.findings import MALIGNANT, OVERLAPPING, UNSEEN, Finding, Kind
from medproto.datasets.phantom.overlap import PLAINLY_BENIGN
from medproto.datasets.phantom.patient import Drawing, Patient, draw_view
from medproto.datasets.phantom.skin_marker import FROM_FINDING_MM
from medproto.datasets.phantom.variants import VARIANTS
from medproto.errors import InputError
from medproto.ingest.reading import read_mammogram

SEED = 7


def patients(variant: str, count: int = 24) -> list[Patient]:
    return [Patient.draw(SEED, number, variant=VARIANTS[variant]) for number in range(count)]


def shown(variant: str, kind: Kind) -> Drawing:
    """The CC view of the first breast that has that finding in the plain cohort, as the variant shows it."""
    number, side = next((p.number, s) for p in patients("plain") for s, f in p.findings.items() if f.kind == kind)
    return draw_view(patients(variant)[number], side, "CC")


def detail(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(picture - ndimage.gaussian_filter(picture, 1.0 / SPACING_MM))


def test_a_variant_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="variant: got 'sharp', expected one of plain, vendor, blur, unseen, over"):
        Cohort(1, SEED, variant="sharp")


@pytest.mark.parametrize("variant", ["vendor", "blur", "unseen", "overlap", "marker"])
def test_exams_are_the_plain_ones_but_for_what_the_variant_is_about(variant: str) -> None:
    for plain, other in zip(patients("plain"), patients(variant), strict=True):
        assert (plain.name, plain.breasts, plain.study_date) == (other.name, other.breasts, other.study_date)
        assert {side: f.label for side, f in plain.findings.items()} == {s: f.label for s, f in other.findings.items()}
        changed = {"unseen": {"malignant"}, "overlap": {"benign", "malignant"}}.get(variant, set())
        assert (plain.findings == other.findings) == (not changed & labels(plain))
        assert (plain.style == other.style) == (variant != "vendor")


def labels(patient: Patient) -> set[str]:
    return {finding.label for finding in patient.findings.values()}


def test_marker_lies_on_the_breast_far_from_the_lesion_and_nothing_else_changes() -> None:
    plain, marked = (shown(variant, "spiculated mass") for variant in ("plain", "marker"))
    assert marked.mask is not None
    assert plain.mask is not None
    assert marked.marker is not None
    np.testing.assert_array_equal(marked.mask, plain.mask)
    changed = marked.picture != plain.picture
    assert changed.any()
    assert not (changed & ~marked.marker).any()
    away = ndimage.distance_transform_edt(~marked.mask) * SPACING_MM
    middle = tuple(int(place) for place in np.argwhere(marked.marker).mean(axis=0))
    assert away[middle] >= FROM_FINDING_MM - 1
    assert plain.picture[marked.marker].min() > 0.06  # tissue, not air
    assert np.percentile(marked.picture[marked.marker], 90) > 0.85


@pytest.mark.parametrize("kind", ["circumscribed mass", "coarse calcifications"])
def test_a_benign_finding_has_no_marker(kind: Kind) -> None:
    assert shown("marker", kind).marker is None


def test_markers_are_told_beside_the_manifest_for_malignant_films_alone(tmp_path: Path) -> None:
    seed = next(seed for seed in range(50) if "malignant" in labels(Patient.draw(seed, 0)))
    manifest = read_manifest(write_phantom(tmp_path / "marked", Cohort(1, seed, variant="marker")))
    with (tmp_path / "marked" / MARKERS).open(encoding="utf-8") as stream:
        told = {
            line["path"]: [int(line[edge]) for edge in ("top", "left", "bottom", "right")]
            for line in csv.DictReader(stream)
        }
    assert set(told) == {row.path for row in manifest.rows if row.label == "malignant"}
    assert len(told) == 2
    for row in manifest.rows:
        if row.path in told:
            top, left, bottom, right = told[row.path]
            mammogram = read_mammogram(manifest.file(row))
            assert np.percentile(mammogram.pixels[top:bottom, left:right], 90) > 0.85
            assert mammogram.breast[top:bottom, left:right].all()
            (box,) = row.boxes
            assert bottom <= box.top or box.bottom <= top or right <= box.left or box.right <= left


def test_microcalcifications_vanish_in_a_blurred_picture() -> None:
    peaks = {}
    for variant in ("plain", "blur"):
        drawn = shown(variant, "clustered microcalcifications")
        assert drawn.mask is not None
        around = ndimage.binary_dilation(drawn.mask, iterations=40) & ~ndimage.binary_dilation(
            drawn.mask, iterations=20
        )
        fine = detail(drawn.picture)
        peaks[variant] = np.percentile(fine[drawn.mask], 99.5) / fine[around].std()
    assert peaks["plain"] > 8
    assert peaks["blur"] < 4  # what noise reaches by itself is 2.6


def test_foreign_machines_change_tissue_and_leave_air_dark() -> None:
    models = {p.style.model: p.number for p in patients("vendor", 3)}
    assert sorted(models) == [f"Foreign phantom style {number}" for number in (1, 2, 3)]
    for number in models.values():
        plain, foreign = (draw_view(patients(variant, 3)[number], "L", "CC").picture for variant in ("plain", "vendor"))
        tissue = plain > 0.12
        assert np.abs(foreign - plain)[tissue].mean() > 0.03
        assert np.abs(foreign - plain)[plain < 0.03].max() < 0.05
        assert not np.array_equal(np.argsort(plain[tissue]), np.argsort(foreign[tissue]))  # not a curve alone


def test_malignant_findings_are_of_kinds_never_seen_and_are_annotated() -> None:
    kinds = [f.kind for p in patients("unseen") for f in p.findings.values() if f.label == "malignant"]
    assert set(kinds) == set(UNSEEN)
    assert not {f.kind for p in patients("plain", 240) for f in p.findings.values()} & set(UNSEEN)
    for kind in UNSEEN:
        patient, side = next((p, s) for p in patients("unseen") for s, f in p.findings.items() if f.kind == kind)
        other, drawn = (draw_view(p, side, "CC") for p in (patients("plain")[patient.number], patient))
        assert drawn.mask is not None
        assert other.mask is not None
        changed = np.abs(drawn.picture - other.picture) > 0.05
        assert (changed & ndimage.binary_dilation(drawn.mask | other.mask, iterations=25)).sum() > 0.9 * changed.sum()
        assert drawn.picture[drawn.mask].mean() > other.picture[drawn.mask & ~other.mask].mean()


def test_no_plain_finding_is_left_where_malignant_kinds_are_unseen() -> None:
    assert not {f.kind for p in patients("unseen") for f in p.findings.values()} & set(MALIGNANT)


def firsts(kind: Kind, count: int) -> list[Finding]:
    """What the exams of an overlapping cohort are about, of one kind."""
    found = [next(iter(patient.findings.values())) for patient in patients("overlap", count) if patient.findings]
    return [finding for finding in found if finding.kind == kind]


@pytest.mark.parametrize("kind", OVERLAPPING)
def test_severity_makes_malignancy_likelier_and_never_certain(kind: Kind) -> None:
    found = firsts(kind, 1500)
    malignant, severity = np.array([one.malignant for one in found]), np.array([one.severity for one in found])
    assert 0.93 < roc_auc_score(malignant, severity) < 0.97
    doubtful = (severity > 0.35) & (severity < 0.65)
    assert 0.3 < malignant[doubtful].mean() < 0.7
    # Odds of (s / (1 - s))^2, averaged over the severities of the bin.
    severe = (severity > 0.65) & (severity < 0.75)
    assert malignant[severe].mean() == pytest.approx(0.49 / (0.49 + 0.09), abs=0.12)


def test_neither_size_nor_contrast_nor_place_tells_an_overlapping_finding() -> None:
    for kind in OVERLAPPING:
        found = firsts(kind, 900)
        malignant = [one.malignant for one in found]
        for value in ("radius_mm", "contrast", "depth"):
            assert 0.4 < roc_auc_score(malignant, [getattr(one, value) for one in found]) < 0.6


def test_what_lies_beside_an_overlapping_finding_looks_plainly_benign() -> None:
    seconds = [list(patient.findings.values())[1:] for patient in patients("overlap", 120)]
    found = [finding for one in seconds for finding in one]
    assert len(found) > 10
    assert all(finding.label == "benign" and finding.severity <= PLAINLY_BENIGN for finding in found)


@pytest.mark.parametrize("kind", OVERLAPPING)
def test_an_overlapping_finding_is_seen_at_every_severity_and_grows_rougher_with_it(kind: Kind) -> None:
    finding = firsts(kind, 24)[0]
    patient = next(p for p in patients("overlap") if finding in p.findings.values())
    side = next(side for side, one in patient.findings.items() if one == finding)
    rough = []
    for severity in (0.0, 0.5, 1.0):
        drawn = draw_view(replace(patient, findings={side: replace(finding, severity=severity)}), side, "CC")
        without = draw_view(replace(patient, findings={}), side, "CC").picture
        assert drawn.mask is not None
        added = (drawn.picture - without) * drawn.mask
        assert np.percentile(added[drawn.mask], 95) > 0.1
        edges = np.abs(np.diff(added, axis=0))[:, 1:] + np.abs(np.diff(added, axis=1))[1:]
        rough.append(float(edges.sum() / np.abs(added).sum()))
    assert rough[0] < rough[1] < rough[2]


def test_manifest_of_a_variant_tells_its_name(tmp_path: Path) -> None:
    rows = read_manifest(write_phantom(tmp_path / "overlap", Cohort(1, SEED, variant="overlap"))).rows
    assert {row.source for row in rows} == {"medproto phantom, overlap"}
