"""The phantom as DICOM: valid Digital Mammography X-Ray Image - For Presentation, and SYNTHETIC in plain sight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from medproto.datasets.dicom_file import derived_uid, new_mammogram, save_mammogram, set_pixels, set_view
from medproto.datasets.phantom.anatomy import SPACING_MM, Field, View
from medproto.datasets.phantom.styles import Style, stored_values
from medproto.records import Laterality

MANUFACTURER = "medproto phantom SYNTHETIC"
COMMENT = "SYNTHETIC phantom image: no patient, not for diagnosis"
#: How much larger than the breast the detector shows it in a contact view: the support lies on it.
CONTACT_FACTOR = 1.06

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
        syntax: transfer syntax.
        side: breast.
        view: view position.
        number: instance number, from 1.
    """

    key: str
    patient: str
    study_date: date
    age_years: int
    style: Style
    syntax: UID
    side: Laterality
    view: View
    number: int


def write_dicom(path: Path, header: Header, picture: Field) -> None:
    """Write one image, the same bytes for the same arguments.

    Args:
        path: file to write.
        header: what the header says.
        picture: as displayed, in [0, 1], larger is brighter; shape (Y, X).
    """
    save_mammogram(path, phantom_dataset(header, picture), header.syntax)


def phantom_dataset(header: Header, picture: Field) -> Dataset:
    """The image before it is put into its transfer syntax; `picture` as in `write_dicom`."""
    ds = new_mammogram()
    _identify(ds, header)
    _acquire(ds, header)
    _name_view(ds, header)
    _place(ds, header.style)
    set_stored(ds, header.style, picture, pad_right=header.side == "L")
    return ds


def set_stored(ds: Dataset, style: Style, picture: Field, pad_right: bool) -> None:
    """State the pixels as the style stores them, and how they are to be shown."""
    values = stored_values(picture, style, pad_right)
    set_pixels(ds, values, style.bits, style.windows[0])
    ds.RescaleIntercept, ds.RescaleSlope = style.intercept, style.slope
    if style.monochrome1:
        ds.PhotometricInterpretation, ds.PresentationLUTShape = "MONOCHROME1", "INVERSE"
        ds.PixelIntensityRelationshipSign = 1
    if style.function == "LUT":
        ds.VOILUTSequence = Sequence([_table(style, name, entries) for name, entries in style.tables()])
    elif style.function != "LINEAR":
        ds.VOILUTFunction = style.function
    if style.further:
        ds.WindowCenter, ds.WindowWidth = ([pair[i] for pair in style.windows] for i in (0, 1))
        ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "SOFTER"][: len(style.windows)]
    if style.padding is not None:
        ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = style.padding


def _table(style: Style, name: str, entries: np.ndarray) -> Dataset:
    """One VOI LUT item (PS3.3 C.11.2.1.1)."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if style.signed else "US", [len(entries), style.least, 16])
    item.LUTExplanation = name
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


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
    ds.KVP = 29
    ds.ExposureInuAs = 90000


def _name_view(ds: Dataset, header: Header) -> None:
    """View and anatomy as the style tells them."""
    set_view(ds, header.view, header.style.scheme)
    if header.style.naming == "codes":
        del ds.ViewPosition
    elif header.style.naming == "text":
        del ds.ViewCodeSequence


def _place(ds: Dataset, style: Style) -> None:
    """Pixel spacing in the elements that the style fills in (PS3.3 10.7.1.3, C.8.11.3)."""
    breast = [SPACING_MM, SPACING_MM]
    if "calibrated" in style.spacing:
        ds.PixelSpacing = breast
    if style.spacing == ("detector",):
        ds.ImagerPixelSpacing = [round(SPACING_MM * CONTACT_FACTOR, 6)] * 2
        ds.EstimatedRadiographicMagnificationFactor = CONTACT_FACTOR
    elif "detector" in style.spacing:
        ds.ImagerPixelSpacing = breast
    if "scanned" in style.spacing:
        ds.NominalScannedPixelSpacing = breast
