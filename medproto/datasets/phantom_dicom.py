"""The phantom as DICOM: valid Digital Mammography X-Ray Image - For Presentation, and SYNTHETIC in plain sight."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

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

_VIEW_CODES = {
    ("CC", "SCT"): ("399162004", "cranio-caudal"),
    ("CC", "SRT"): ("R-10242", "cranio-caudal"),
    ("MLO", "SCT"): ("399368009", "medio-lateral oblique"),
    ("MLO", "SRT"): ("R-10226", "medio-lateral oblique"),
}
_BREAST_CODES = {"SCT": ("76752008", "Breast"), "SRT": ("T-04000", "Breast")}
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


def derived_uid(*parts: str) -> str:
    """UID from text, the same for the same text: 2.25 and 128 bits of SHA-256 (PS3.5 B.2), at most 44 characters."""
    return f"2.25.{int.from_bytes(hashlib.sha256('/'.join(parts).encode()).digest()[:16], 'big')}"


def stored_values(picture: Field, style: Style) -> NDArray[np.uint16]:
    """Stored values, 12 bits, that the style's window (LINEAR) renders as the picture; shape (Y, X)."""
    # PS3.3 C.11.2.1.2.1: y = (x - (c - 0.5)) / (w - 1) + 0.5
    values = (np.clip(picture, 0, 1) - np.float32(0.5)) * np.float32(style.width - 1) + np.float32(style.centre - 0.5)
    return np.clip(np.rint(values), 0, 4095).astype(np.uint16)


def write_dicom(path: Path, header: Header, pixels: NDArray[np.uint16]) -> None:
    """Write one image, the same bytes for the same arguments."""
    ds = Dataset()
    _general(ds, header)
    _acquisition(ds, header)
    _image(ds, header.style, pixels)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    ds.save_as(path, enforce_file_format=True)


def _general(ds: Dataset, header: Header) -> None:
    day = header.study_date.strftime("%Y%m%d")
    time = f"{8 + header.number // 60:02d}{header.number % 60:02d}00"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = derived_uid(header.key, "image", str(header.number))
    ds.StudyInstanceUID = derived_uid(header.key, "study")
    ds.SeriesInstanceUID = derived_uid(header.key, "series", str(header.number))
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = day
    ds.StudyTime = "080000"
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = time
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "SYNTHETIC screening mammography"
    ds.SeriesDescription = header.style.series.format(side=header.side, view=header.view)
    ds.ImageComments = COMMENT
    ds.PatientName = "SYNTHETIC^PHANTOM"
    ds.PatientID = header.patient
    ds.PatientBirthDate = ""
    ds.PatientSex = "F"
    ds.PatientAge = f"{header.age_years:03d}Y"
    ds.StudyID = "1"
    ds.SeriesNumber = header.number
    ds.InstanceNumber = header.number
    ds.Modality = "MG"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = header.style.model
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"


def _acquisition(ds: Dataset, header: Header) -> None:
    scheme = header.style.scheme
    view = _code(*_VIEW_CODES[header.view, scheme], scheme)
    view.ViewModifierCodeSequence = Sequence()
    ds.ImageType = ["DERIVED", "PRIMARY", "", "SYNTHETIC"]
    ds.BodyPartExamined = "BREAST"
    ds.AnatomicRegionSequence = Sequence([_code(*_BREAST_CODES[scheme], scheme)])
    ds.ImageLaterality = header.side
    ds.ViewPosition = header.view
    ds.ViewCodeSequence = Sequence([view])
    ds.PatientOrientation = _ORIENTATION[header.side, header.view]
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = 0 if header.view == "CC" else 45
    ds.OrganExposed = "BREAST"
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.AcquisitionContextSequence = Sequence()
    ds.DetectorType = "DIRECT"
    ds.FieldOfViewShape = "RECTANGLE"
    ds.ImagerPixelSpacing = [SPACING_MM, SPACING_MM]
    ds.PixelSpacing = [SPACING_MM, SPACING_MM]
    ds.KVP = 29
    ds.ExposureInuAs = 90000


def _image(ds: Dataset, style: Style, pixels: NDArray[np.uint16]) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.WindowCenter, ds.WindowWidth = style.centre, style.width
    ds.WindowCenterWidthExplanation = "NORMAL"
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "YES"
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()


def _code(value: str, meaning: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
