"""Exams: grouping, refusals beside admitted images, pseudonyms."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest
from pydicom.config import disable_value_validation
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from medproto.errors import EmptyExam, InputError
from medproto.ingest.exam import find_candidates, group_exams, read_exam
from medproto.records import Box
from tests.ingest.factory import PATIENT_ID, STUDY_UID, Recipe, breast_values, write, write_dicom

SIDES = (("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO"))
SYNTAXES = {"a.dcm": DeflatedExplicitVRLittleEndian, "b.dcm": ExplicitVRLittleEndian}


def pseudonymise(patient: str, kind: str, value: str) -> str:
    """Stands in for the identity table."""
    return f"{kind}-{hashlib.sha256(f'{patient}/{value}'.encode()).hexdigest()[:16]}"


def full_exam(folder: Path, patient: str = PATIENT_ID, study: str = STUDY_UID) -> list[Path]:
    """Four views of one patient, each with pixels of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, (side, view) in enumerate(SIDES):
        values = breast_values(brightest=3500 - place)
        elements = {"ImageLaterality": side, "ViewPosition": view, "PatientID": patient, "StudyInstanceUID": study}
        paths.append(write_dicom(folder / f"{side}{view}.dcm", Recipe(values, elements=elements)))
    return paths


def test_four_views_are_one_exam_under_pseudonyms(tmp_path: Path) -> None:
    exam = read_exam(full_exam(tmp_path), pseudonymise)
    assert [image.mammogram.title for image in exam.images] == ["R CC", "R MLO", "L CC", "L MLO"]
    assert exam.exam_id == pseudonymise(PATIENT_ID, "exam", STUDY_UID)
    assert exam.patient_id == pseudonymise(PATIENT_ID, "patient", PATIENT_ID)
    assert len({image.image_id for image in exam.images}) == 4
    assert exam.findings == exam.refused == ()
    assert PATIENT_ID not in repr(exam)
    assert STUDY_UID not in repr(exam)


def day_of(folder: Path, patient: str, *dates: str | None) -> int | None:
    """The study's day, as told by images of these dates."""
    folder.mkdir()
    values = [breast_values(brightest=3500 - place) for place in range(len(dates))]
    told = [{"PatientID": patient} | ({} if date is None else {"StudyDate": date}) for date in dates]
    with disable_value_validation():  # what is no date has to come into a file first
        recipes = [Recipe(one, elements=elements) for one, elements in zip(values, told, strict=True)]
        paths = [write_dicom(folder / f"{place}.dcm", recipe) for place, recipe in enumerate(recipes)]
    return read_exam(paths, pseudonymise).study_day


def test_days_between_studies_of_a_patient_are_kept_and_their_dates_are_not(tmp_path: Path) -> None:
    dates = ("20210228", "20210301", "2021.03.02", "20240301")
    days = [day_of(tmp_path / f"{place}", "one", written) for place, written in enumerate(dates)]
    known = [day for day in days if day is not None]
    assert [day - known[0] for day in known] == [0, 1, 2, 1097]
    assert known[0] != date(2021, 2, 28).toordinal()
    other = day_of(tmp_path / "other", "two", "20210228")
    assert other is not None
    assert other != known[0]
    assert day_of(tmp_path / "several", "one", "20210302", None, "20210301") == known[1]


@pytest.mark.parametrize("written", [None, "", "2021022", "20210229", "00000000", "2021-02-28", "2021.0228", "today"])
def test_what_is_no_date_tells_no_day(tmp_path: Path, written: str | None) -> None:
    assert day_of(tmp_path / "exam", "one", written) is None


def test_what_cannot_be_scored_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    good, raw = write(tmp_path / "a.dcm"), write(tmp_path / "b.dcm", PresentationIntentType="FOR PROCESSING")
    text, cut = tmp_path / "PLANTED.txt", tmp_path / "cut.dcm"
    text.write_text("not an image")
    cut.write_bytes(good.read_bytes()[:-100])
    exam = read_exam([good, raw, text, cut, tmp_path / "absent.dcm"], pseudonymise)
    assert len(exam.images) == 1
    assert [one.findings[0].code for one in exam.refused] == ["FOR_PROCESSING", "NOT_DICOM", "TRUNCATED", "UNREADABLE"]
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    assert exam.refused[1].file_sha256 == digest
    assert exam.refused[1].image_id == f"file-{digest[:12]}"
    assert exam.refused[0].image_id.startswith("image-")


def test_an_exam_without_a_usable_image_is_empty_and_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", Modality="CT")
    with pytest.raises(EmptyExam, match="its only image was refused") as empty:
        read_exam([path], pseudonymise)
    assert empty.value.refused[0].findings[0].code == "NOT_MAMMOGRAM"
    with pytest.raises(EmptyExam, match="no file"):
        read_exam([], pseudonymise)


def test_files_of_two_patients_or_studies_are_an_error_without_identifiers(tmp_path: Path) -> None:
    ours, other = write(tmp_path / "a.dcm"), write(tmp_path / "b.dcm", PatientID="PLANTED-OTHER")
    with pytest.raises(InputError, match=r"^The files of one exam: got 2 patients, expected 1\.$"):
        read_exam([ours, other], pseudonymise)
    later = write(tmp_path / "c.dcm", StudyInstanceUID=generate_uid())
    with pytest.raises(InputError, match=r"^The files of one exam: got 2 studies, expected 1\.$"):
        read_exam([ours, later], pseudonymise)


def test_cbis_ddsm_images_of_one_patient_are_one_exam(tmp_path: Path) -> None:
    paths = []
    for name, study in (("Mass-Test_P_00173_LEFT_CC", "1.2.3.1"), ("Mass-Test_P_00173_RIGHT_MLO", "1.2.3.2")):
        values = breast_values(brightest=3000 + len(paths))
        elements = {"PatientID": name, "StudyInstanceUID": study}
        paths.append(write_dicom(tmp_path / f"{study}.dcm", Recipe(values, elements=elements)))
    exam = read_exam(paths, pseudonymise)
    assert len(exam.images) == 2
    assert exam.patient_id == pseudonymise("P_00173", "patient", "P_00173")
    assert [one.paths for one in group_exams(tmp_path)] == [tuple(paths)]


def test_pixel_duplicates_and_missing_views_are_findings_of_the_exam(tmp_path: Path) -> None:
    exam = read_exam([write(tmp_path / "a.dcm"), write(tmp_path / "b.dcm", ViewPosition="CC")], pseudonymise)
    assert [(one.code, one.severity) for one in exam.findings] == [
        ("PIXEL_DUPLICATE", "warn"),
        ("MISSING_VIEWS", "note"),
    ]
    assert exam.findings[1].sentence == "The exam lacks standard views: L CC, L MLO."


def test_the_same_image_twice_is_scored_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    copy = tmp_path / "b.dcm"
    copy.write_bytes(path.read_bytes())
    exam = read_exam([path, copy], pseudonymise)
    assert len(exam.images) == 1
    assert exam.refused[0].findings[0].code == "SAME_INSTANCE"


def test_a_region_is_kept_with_every_image(tmp_path: Path) -> None:
    box = Box(top=10, left=10, bottom=60, right=60)
    assert read_exam([write(tmp_path / "a.dcm")], pseudonymise, region=box).images[0].region == box


def test_a_folder_is_grouped_by_exam_and_other_files_are_counted(tmp_path: Path) -> None:
    first, second = full_exam(tmp_path / "one"), full_exam(tmp_path / "two", patient="PLANTED-B", study="1.2.3")
    broken, bare = tmp_path / "broken.dcm", tmp_path / "IM0001"
    broken.write_bytes(b"nothing")
    bare.write_bytes(first[0].read_bytes())
    for name in ("cases.csv", ".hidden.dcm", "DICOMDIR", "notes.txt"):
        (tmp_path / name).write_text("text")
    candidates = find_candidates(tmp_path)
    assert candidates.skipped == 2
    groups = group_exams(tmp_path)
    assert sorted(len(one.paths) for one in groups) == [1, 4, 5]
    assert {path for one in groups for path in one.paths} == {*first, *second, broken, bare}
    assert not any("PLANTED" in one.key for one in groups)


def test_a_file_given_by_name_counts_whatever_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("text")
    assert [one.paths for one in group_exams([text, write(tmp_path / "a.dcm")])] == [(tmp_path / "a.dcm",), (text,)]


def test_an_empty_folder_says_that_it_holds_no_dicom_file(tmp_path: Path) -> None:
    with pytest.raises(EmptyExam, match="no DICOM file; 0 other files"):
        group_exams(tmp_path)
    (tmp_path / "cases.csv").write_text("a,b")
    with pytest.raises(EmptyExam, match="no DICOM file; 1 other file was passed over"):
        group_exams(tmp_path)


def test_the_identity_of_a_deflated_file_is_read_for_grouping(tmp_path: Path) -> None:
    paths = [write_dicom(tmp_path / name, Recipe(syntax=syntax)) for name, syntax in SYNTAXES.items()]
    assert [one.paths for one in group_exams(tmp_path)] == [tuple(paths)]
