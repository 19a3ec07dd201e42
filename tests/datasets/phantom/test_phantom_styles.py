"""Vendor styles store differently what reads alike; plain ones render the same to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from medproto.datasets.dicom_encoding import LOSSLESS
from medproto.datasets.phantom.cohort import Cohort
from medproto.datasets.phantom.dicom import Header, write_dicom
from medproto.datasets.phantom.patient import Patient, draw_view
from medproto.datasets.phantom.styles import PADDED_COLUMNS, STYLES, VENDORS, Style
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram

PATIENT = Patient.draw(7, 1)
PICTURE = draw_view(PATIENT, "L", "CC").picture
#: Largest error that rounding to the fewest bits leaves, and that a sigmoid leaves near black and white.
ROUNDING = 0.003


def written(path: Path, style: Style, syntax: pydicom.uid.UID = LOSSLESS[0]) -> Mammogram:
    """The picture in that style, read again."""
    day, age = PATIENT.study_date, PATIENT.age_years
    write_dicom(path, Header("styles", PATIENT.name, day, age, style, syntax, "L", "CC", 1), PICTURE)
    return read_mammogram(path)


@pytest.mark.parametrize("style", VENDORS, ids=lambda style: style.model)
def test_every_vendor_style_shows_the_same_picture(tmp_path: Path, style: Style) -> None:
    mammogram = written(tmp_path / "a.dcm", style)
    inside = slice(0, -PADDED_COLUMNS if style.padding else None)
    assert np.abs(mammogram.pixels - PICTURE)[:, inside].max() < ROUNDING
    assert (mammogram.laterality, mammogram.view, mammogram.inverted) == ("L", "CC", style.monochrome1)
    assert mammogram.spacing_mm == pytest.approx((0.2, 0.2))
    assert {finding.code for finding in mammogram.findings} <= {"BURNED_IN_TEXT", "SEVERAL_VOI"}


@pytest.mark.parametrize("style", VENDORS, ids=lambda style: style.model)
def test_highdicom_shows_the_same_picture(tmp_path: Path, style: Style) -> None:
    ours = written(tmp_path / "a.dcm", style).pixels
    theirs = highdicom.imread(tmp_path / "a.dcm").get_frame(
        1, apply_voi_transform=True, apply_presentation_lut=True, voi_output_range=(0.0, 1.0)
    )
    # highdicom knows no padding, and windows the values as stored, which moves LINEAR's half value where slope is not 1
    inside = slice(0, -PADDED_COLUMNS if style.padding else None)
    assert np.abs(theirs - ours)[:, inside].max() < (1e-6 if style.slope == 1 else 1 / style.width)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.model)
def test_monochrome1_renders_the_same_to_the_last_bit(tmp_path: Path, style: Style) -> None:
    plain = written(tmp_path / "a.dcm", style)
    mirrored = written(tmp_path / "b.dcm", replace(style, monochrome1=True))
    assert mirrored.inverted
    assert not plain.inverted
    assert mirrored.pixels_sha256 == plain.pixels_sha256


def test_no_transfer_syntax_changes_the_picture(tmp_path: Path) -> None:
    digests = {written(tmp_path / "a.dcm", VENDORS[5], syntax).pixels_sha256 for syntax in LOSSLESS}
    assert len(digests) == 1


def test_padding_is_stored_beside_the_nipple_and_shown_dark(tmp_path: Path) -> None:
    (style,) = (one for one in VENDORS if one.padding)
    mammogram = written(tmp_path / "a.dcm", style)
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    assert (ds.PixelPaddingValue, ds.PixelPaddingRangeLimit) == style.padding
    assert np.all(ds.pixel_array[:, -PADDED_COLUMNS:] == ds.PixelPaddingValue)
    assert np.all(ds.pixel_array[:, :-PADDED_COLUMNS] > ds.PixelPaddingRangeLimit)
    assert np.all(mammogram.pixels[:, -PADDED_COLUMNS:] == mammogram.pixels.min())


def test_styles_between_them_store_in_every_way_that_archives_do() -> None:
    assert {style.function for style in VENDORS} == {"LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"}
    assert {style.bits for style in VENDORS} == {10, 12, 14, 16}
    for property_of in ("signed", "monochrome1"):
        assert {getattr(style, property_of) for style in VENDORS} == {False, True}
    assert {style.scheme for style in VENDORS} == {"SCT", "SRT"}
    assert {style.naming for style in VENDORS} == {"both", "codes", "text"}
    assert {way for style in VENDORS for way in style.spacing} == {"calibrated", "detector", "scanned"}
    assert any(style.slope != 1 and style.intercept for style in VENDORS)
    assert any(style.further for style in VENDORS)
    assert any(style.padding for style in VENDORS)


def test_eleven_patients_have_every_syntax_and_where_varied_every_style() -> None:
    varied = [exam for number in range(11) for exam in Cohort(11, 4, varied=True).exams(number)]
    assert {exam.syntax for exam in varied} == set(LOSSLESS)
    assert {exam.style.model for exam in varied} == {style.model for style in VENDORS}
    plain = [exam for number in range(40) for exam in Cohort(40, 4).exams(number)]
    assert {exam.style.model for exam in plain} == {style.model for style in STYLES}
    assert {exam.style.monochrome1 for exam in plain} == {False, True}


def test_variety_changes_how_a_picture_is_stored_and_not_the_picture() -> None:
    varied, plain = Patient.draw(7, 1, varied=True), Patient.draw(7, 1)
    assert varied.style != plain.style
    np.testing.assert_array_equal(draw_view(varied, "L", "CC").picture, draw_view(plain, "L", "CC").picture)
