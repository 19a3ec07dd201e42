"""Earlier exams: the same breasts one to three years before, findings smaller or not there yet, the same split."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from medproto.datasets.manifest import Manifest, ManifestRow, read_manifest
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.datasets.phantom.patient import Patient, draw_tissue
from medproto.datasets.splits import split_patients
from medproto.ingest.reading import read_mammogram

SEED = 7


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(write_phantom(tmp_path_factory.mktemp("priors"), Cohort(2, SEED, priors=1.0)))


def day(manifest: Manifest, exam: str) -> date:
    """Study date of the exam's first image."""
    header = pydicom.dcmread(manifest.file(manifest.exams()[exam][0]), stop_before_pixels=True)
    return date.fromisoformat(header.StudyDate)


def rows_of(exams: tuple[Patient, ...]) -> list[ManifestRow]:
    """A row for each exam, without its image."""
    return [
        ManifestRow(
            path=f"{exam.exam}.dcm",
            patient=exam.name,
            exam=exam.exam,
            image=exam.exam,
            label=max((finding.label for finding in exam.findings.values()), default="normal"),
        )
        for exam in exams
    ]


def coarse(patient: Patient) -> NDArray[np.float32]:
    """Her left breast from above, smoothed to millimetres."""
    return ndimage.gaussian_filter(draw_tissue(patient, "L", "CC").picture, 8)[::8, ::8]


def test_the_earlier_exam_is_one_to_three_years_older_and_of_the_same_patient(cohort: Manifest) -> None:
    for patient, rows in cohort.patients().items():
        assert [len(cohort.exams()[f"{patient}-{which}"]) for which in ("prior", "exam")] == [4, 4]
        apart = day(cohort, f"{patient}-exam") - day(cohort, f"{patient}-prior")
        assert timedelta(days=330) <= apart <= timedelta(days=3 * 366)
        ages = {row.exam: row.age_years for row in rows}
        assert round(apart.days / 365.25) == (ages[f"{patient}-exam"] or 0) - (ages[f"{patient}-prior"] or 0)
        headers = [pydicom.dcmread(cohort.file(row), stop_before_pixels=True) for row in rows]
        assert {header.PatientID for header in headers} == {patient}
        assert len({header.StudyInstanceUID for header in headers}) == 2
        assert len({header.SOPInstanceUID for header in headers}) == 8


def test_a_prior_changes_nothing_of_the_current_exam(cohort: Manifest, tmp_path: Path) -> None:
    alone = read_manifest(write_phantom(tmp_path, Cohort(1, SEED)))
    for row in alone.rows:
        assert alone.file(row).read_bytes() == (cohort.path.parent / row.path).read_bytes()
        assert row in cohort.rows


def test_the_share_of_priors_is_kept() -> None:
    exams = [len(Cohort(200, SEED, priors=0.4).exams(number)) for number in range(200)]
    assert 0.3 < exams.count(2) / 200 < 0.5


def test_both_exams_of_a_patient_are_in_one_split() -> None:
    rows = [row for number in range(30) for row in rows_of(Cohort(30, SEED, priors=0.5).exams(number))]
    assert 30 < len(rows) < 60
    split_of = {(row.patient, row.split) for row in split_patients(rows, {"train": 0.6, "val": 0.2, "test": 0.2}, 1)}
    assert len(split_of) == 30
    assert {split for _, split in split_of} == {"train", "val", "test"}


def test_half_of_the_findings_were_not_there_yet() -> None:
    patients = [Patient.draw(SEED, number) for number in range(120)]
    now = sum(len(patient.findings) for patient in patients)
    before = sum(len(patient.before().findings) for patient in patients)
    assert all(set(patient.before().findings) <= set(patient.findings) for patient in patients)
    assert 0.4 < before / now < 0.6


def test_the_other_findings_were_smaller_and_in_the_same_place() -> None:
    grown = [(p, side) for p in map(partial(Patient.draw, SEED), range(20)) for side in p.before().findings]
    assert len(grown) >= 6
    for now, side in grown[:6]:
        small, large = (draw_tissue(patient, side, "CC").mask for patient in (now.before(), now))
        assert small is not None
        assert large is not None
        assert 0 < small.sum() < 0.8 * large.sum()
        apart = np.subtract(ndimage.center_of_mass(small), ndimage.center_of_mass(large))
        assert np.hypot(*apart) < 60


def test_both_exams_show_the_same_breast_in_another_exposure() -> None:
    now = Patient.draw(SEED, 1)
    other = Patient.draw(SEED, 4)
    pictures = [coarse(patient) for patient in (now, now.before(), other)]
    assert not np.array_equal(pictures[0], pictures[1])
    alike = [np.corrcoef(pictures[0].ravel(), picture.ravel())[0, 1] for picture in pictures[1:]]
    assert alike[0] > 0.95
    assert alike[1] < alike[0] - 0.05


def test_earlier_exams_read_without_further_findings(cohort: Manifest) -> None:
    for row in cohort.rows:
        if row.exam.endswith("-prior"):
            mammogram = read_mammogram(cohort.file(row))
            assert (mammogram.laterality, mammogram.view) == (row.side, row.view)
            assert mammogram.chest_wall == {"R": "right", "L": "left"}[row.side or ""]
            assert {finding.code for finding in mammogram.findings} == {"BURNED_IN_TEXT"}
