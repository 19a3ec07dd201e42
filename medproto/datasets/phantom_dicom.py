"""The phantom as DICOM: valid Digital Mammography X-Ray Image - For Presentation, and SYNTHETIC in plain sight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medproto.datasets.dicom_file import derived_uid, new_mammogram, save_mammogram, set_pixels, set_view
from medproto.datasets.phantom_anatomy import SPACING_MM, Field, View
from medproto.records import Laterality

MANUFACTURER = "medproto phantom SYNTHETIC"
COMMENT = "SYNTHETIC phantom image: no patient, not for diagnosis"


@dataclass(frozen=True)
class Style:
    """What differs between vendors: window, coding scheme and wording.

    Args:
        model: model name.
        centre: window centre in stored values.
        width: window width in stored values.
        scheme: coding scheme of view and anatomy, `SCT` (current) or `SRT` (retired, still common).
        series: series description, with `{side}` and `{view}`.
    """

    model: str
    centre: float
    width: float
    scheme: str
    series: str


STYLES = (
    Style("Phantom style 1", 2047.5, 4096, "SCT", "{side} {view} SYNTHETIC"),
    Style("Phantom style 2", 1800.5, 3000, "SRT", "MAMMO {side}{view} SYNTHETIC"),
    Style("Phantom style 3", 2300.5, 3500, "SCT", "SYNTHETIC {view} {side}, processed"),
)

# PS3.3 C.7.6.1.1.1: towards the right edge of the picture, then towards its lower edge.
_ORIENTATION = {("R", "CC"): ["P", "L"], ("L", "CC"): ["A", "R"], ("R", "MLO"): ["P", "FL"], ("L", "MLO"): ["A", "FR"]}


@dataclass(frozen=True)
class Header:
    """What the header of one image says beyond what all have in common.

    Args:
        key: text from which all UIDs are derived, the same for all images of the exam.
        patient: patient id.
        study_date: day of the exam.
        age_years: age of the patient.
        style: vendor style.
        side: breast.
        view: view position.
        number: instance number, from 1.
    """

    key: str
    patient: str
    study_date: date
    age_years: int
    style: Style
    side: Laterality
    view: View
    number: int


def stored_values(picture: Field, style: Style) -> NDArray[np.uint16]:
    """Stored values, 12 bits, that the style's window (LINEAR) renders as the picture; shape (Y, X)."""
    # PS3.3 C.11.2.1.2.1: y = (x - (c - 0.5)) / (w - 1) + 0.5
    values = (np.clip(picture, 0, 1) - np.float32(0.5)) * np.float32(style.width - 1) + np.float32(style.centre - 0.5)
    return np.asarray(np.clip(np.rint(values), 0, 4095), dtype=np.uint16)


def write_dicom(path: Path, header: Header, pixels: NDArray[np.uint16]) -> None:
    """Write one image, the same bytes for the same arguments."""
    ds = new_mammogram()
    _identify(ds, header)
    _acquire(ds, header)
    set_view(ds, header.view, header.style.scheme)
    set_pixels(ds, pixels, 12, (header.style.centre, header.style.width))
    save_mammogram(path, ds)


def _identify(ds: Dataset, header: Header) -> None:
    ds.SOPInstanceUID = derived_uid(header.key, "image", str(header.number))
    ds.StudyInstanceUID = derived_uid(header.key, "study")
    ds.SeriesInstanceUID = derived_uid(header.key, "series", str(header.number))
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = header.study_date.strftime("%Y%m%d")
    ds.StudyTime = "080000"
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"08{header.number:02d}00"
    ds.StudyDescription = "SYNTHETIC screening mammography"
    ds.SeriesDescription = header.style.series.format(side=header.side, view=header.view)
    ds.ImageComments = COMMENT
    ds.PatientName = "SYNTHETIC^PHANTOM"
    ds.PatientID = header.patient
    ds.PatientAge = f"{header.age_years:03d}Y"
    ds.SeriesNumber = ds.InstanceNumber = header.number
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = header.style.model
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"


def _acquire(ds: Dataset, header: Header) -> None:
    ds.ImageType = ["DERIVED", "PRIMARY", "", "SYNTHETIC"]
    ds.ImageLaterality = header.side
    ds.PatientOrientation = _ORIENTATION[header.side, header.view]
    ds.PositionerPrimaryAngle = 0 if header.view == "CC" else 45
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.DetectorType = "DIRECT"
    ds.FieldOfViewShape = "RECTANGLE"
    ds.ImagerPixelSpacing = ds.PixelSpacing = [SPACING_MM, SPACING_MM]
    ds.KVP = 29
    ds.ExposureInuAs = 90000
