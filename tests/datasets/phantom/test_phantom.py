"""The synthetic cohort: reproducible, valid, marked SYNTHETIC, and its annotations are true."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation
from scipy import ndimage

from medproto.datasets.dicom_encoding import LOSSLESS
from medproto.datasets.manifest import Manifest, read_manifest
from medproto.datasets.phantom.anatomy import Breast, Density, draw_anatomy, enlarge
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.datasets.phantom.findings import BENIGN, MALIGNANT
from medproto.datasets.phantom.patient import VIEWS, Patient, draw_view
from medproto.datasets.splits import severity
from medproto.errors import InputError
from medproto.ingest.reading import read_mammogram

SEED = 7
PATIENTS = 3


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(write_phantom(tmp_path_factory.mktemp("phantom"), Cohort(PATIENTS, SEED)))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_gives_the_same_bytes_with_two_workers(cohort: Manifest, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_phantom(tmp_path, Cohort(PATIENTS, SEED), lambda done, total: calls.append((done, total)), workers=2)
    assert digests(tmp_path) == digests(cohort.path.parent)
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_patient_is_the_same_in_a_cohort_of_any_size(cohort: Manifest, tmp_path: Path) -> None:
    write_phantom(tmp_path, Cohort(1, SEED))
    small, large = digests(tmp_path), digests(cohort.path.parent)
    del small["manifest.csv"]
    assert len(small) >= 4
    assert small.items() <= large.items()


def test_another_seed_gives_another_picture() -> None:
    pictures = [draw_view(Patient.draw(seed, 0), "R", "CC").picture for seed in (1, 2)]
    assert not np.array_equal(*pictures)


def test_headers_are_valid_and_say_synthetic(cohort: Manifest) -> None:
    uids = []
    for row in cohort.rows:
        ds = pydicom.dcmread(cohort.file(row))
        assert ds.SOPClassUID == DigitalMammographyXRayImageStorageForPresentation
        assert (ds.Modality, ds.PresentationIntentType) == ("MG", "FOR PRESENTATION")
        assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit) == (16, 12, 11)
        assert ds.file_meta.TransferSyntaxUID in LOSSLESS
        assert (ds.ImageLaterality, ds.ViewPosition) == (row.side, row.view)
        assert ds.ViewCodeSequence[0].CodeMeaning == {"CC": "cranio-caudal", "MLO": "medio-lateral oblique"}[row.view]
        assert ds.ImagerPixelSpacing == ds.PixelSpacing == [0.2, 0.2]
        assert ds.BurnedInAnnotation == "YES"
        assert all(
            "SYNTHETIC" in str(ds[name].value) for name in ("Manufacturer", "ImageComments", "SeriesDescription")
        )
        uids.append(ds.SOPInstanceUID)
        assert all(UID(uid).is_valid for uid in (ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID))
    assert len(set(uids)) == 4 * PATIENTS


def test_ingest_reads_every_image_with_its_side_view_and_chest_wall(cohort: Manifest) -> None:
    for row in cohort.rows:
        mammogram = read_mammogram(cohort.file(row))
        assert (mammogram.laterality, mammogram.view) == (row.side, row.view)
        assert mammogram.chest_wall == {"R": "right", "L": "left"}[row.side or ""]
        assert mammogram.synthetic
        assert {finding.code for finding in mammogram.findings} == {"BURNED_IN_TEXT"}


def test_masks_boxes_findings_and_labels_agree(cohort: Manifest) -> None:
    found = [row for row in cohort.rows if row.finding]
    assert found
    for row in cohort.rows:
        assert (row.finding is None, row.mask is None, row.boxes == ()) == ((row.label == "normal"),) * 3
    for row in found:
        assert row.label == ("malignant" if row.finding in MALIGNANT else "benign")
        path = cohort.mask(row)
        assert path is not None
        mask = np.asarray(Image.open(path))
        rows, columns = np.nonzero(mask)
        (box,) = row.boxes
        assert (box.top, box.left, box.bottom, box.right) == (rows[0], columns.min(), rows[-1] + 1, columns.max() + 1)
        breast = read_mammogram(cohort.file(row)).breast
        assert (mask & breast).sum() >= 0.9 * mask.sum()


def test_a_finding_is_seen_in_both_views_of_one_breast(cohort: Manifest) -> None:
    by_breast: dict[tuple[str, str | None], list[tuple[str | None, str]]] = {}
    for row in cohort.rows:
        by_breast.setdefault((row.exam, row.side), []).append((row.finding, row.label))
    assert all(len(views) == 2 and views[0] == views[1] for views in by_breast.values())


@pytest.mark.parametrize("kind", [*BENIGN, *MALIGNANT])
def test_a_finding_is_brighter_than_the_tissue_around_it(kind: str) -> None:
    patients = (Patient.draw(SEED, number) for number in range(60))
    patient, side = next((p, s) for p in patients for s, finding in p.findings.items() if finding.kind == kind)
    drawn = draw_view(patient, side, "CC")
    picture, mask = drawn.picture, drawn.mask
    assert mask is not None
    rows, columns = np.nonzero(mask)
    around = np.zeros_like(mask)
    around[max(0, rows[0] - 15) : rows[-1] + 15, max(0, columns.min() - 15) : columns.max() + 15] = True
    ring = around & ~mask & (picture > 0.1)
    share = 90 if kind in ("circumscribed mass", "spiculated mass") else 99
    assert np.percentile(picture[mask], share) > np.percentile(picture[ring], share) + 0.05


def test_classes_are_a_third_each_and_densities_do_not_depend_on_them() -> None:
    patients = [Patient.draw(0, number) for number in range(240)]
    worst = [max((f.label for f in p.findings.values()), default="normal", key=severity) for p in patients]
    assert Counter(worst) == {"normal": 80, "benign": 80, "malignant": 80}
    densities = Counter((label, p.breasts["R"].density) for label, p in zip(worst, patients, strict=True))
    assert densities == {
        (label, density): count
        for label in ("normal", "benign", "malignant")
        for density, count in (("A", 8), ("B", 32), ("C", 32), ("D", 8))
    }
    both = Counter(label for label, p in zip(worst, patients, strict=True) if len(p.findings) == 2)
    assert both["malignant"] > 10
    assert both["benign"] > 10


#: Share of the breast's area that is dense, mean and standard deviation over women by BI-RADS density, by thresholding
#: in CC views (Gierach et al., Cancer Epidemiol Biomarkers Prev 2014; 23:2338).
PUBLISHED_DENSE_AREA: dict[Density, tuple[float, float]] = {
    "A": (0.043, 0.043),
    "B": (0.193, 0.113),
    "C": (0.404, 0.148),
    "D": (0.623, 0.117),
}


def dense_share(breast: Breast, seed: int) -> float:
    """Share of a CC view's area, skin included, that is nearer to gland than to fat in brightness."""
    anatomy = draw_anatomy(np.random.default_rng(seed), breast, "CC")
    smooth = ndimage.gaussian_filter(anatomy.picture, 3)
    dense = (smooth > (breast.fat + breast.gland) / 2) & (enlarge(anatomy.skin_mm) > 0)
    return float(dense.sum() / (enlarge(anatomy.skin_mm) > 0).sum())


def test_dense_area_of_each_density_lies_within_a_standard_deviation_of_the_published_mean() -> None:
    means = []
    for density, (mean, deviation) in PUBLISHED_DENSE_AREA.items():
        breasts = (Breast.draw(np.random.default_rng([SEED, number]), density) for number in range(12))
        means.append(np.mean([dense_share(breast, 1000 + number) for number, breast in enumerate(breasts)]))
        assert abs(means[-1] - mean) < deviation, density
    assert means == sorted(means)


def test_markers_lie_in_air() -> None:
    patient = Patient.draw(SEED, 1)
    for side, view in VIEWS:
        picture = draw_view(patient, side, view).picture
        columns = slice(0, 140) if side == "R" else slice(-140, None)
        corner = picture[:66, columns]
        assert corner.max() > 0.8
        assert np.median(corner) < 0.05


@pytest.mark.parametrize(
    "cohort, reason",
    [
        ((0, 1), "patients: got 0, expected at least 1"),
        ((1, -1), "seed: got -1, expected 0 or more"),
        ((1, 1, False, 1.5), "priors: got 1.5, expected a share from 0 to 1"),
    ],
)
def test_a_cohort_that_cannot_be_is_refused(cohort: tuple[int, int, bool, float], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Cohort(*cohort)
