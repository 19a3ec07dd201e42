"""What every mammography DICOM file written by medproto has in common: syntax, UIDs, codes and the pixel module."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

from medproto.datasets.dicom_encoding import encode_pixels

Stored = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]

_VIEW_CODES = {
    ("CC", "SCT"): ("399162004", "cranio-caudal"),
    ("CC", "SRT"): ("R-10242", "cranio-caudal"),
    ("MLO", "SCT"): ("399368009", "medio-lateral oblique"),
    ("MLO", "SRT"): ("R-10226", "medio-lateral oblique"),
}
_BREAST_CODES = {"SCT": "76752008", "SRT": "T-04000"}


def derived_uid(*parts: str) -> str:
    """UID from text, the same for the same text: 2.25 and 128 bits of SHA-256 (PS3.5 B.2), at most 44 characters."""
    return f"2.25.{int.from_bytes(hashlib.sha256('/'.join(parts).encode()).digest()[:16], 'big')}"


def new_mammogram() -> Dataset:
    """A dataset with what never varies of a Digital Mammography X-Ray Image - For Presentation (PS3.3 A.27)."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.Modality = "MG"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PatientBirthDate = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.PatientSex = "F"
    ds.StudyID = "1"
    ds.BodyPartExamined = ds.OrganExposed = "BREAST"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.AcquisitionContextSequence = Sequence()
    ds.BurnedInAnnotation = "YES"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelIntensityRelationship = "LOG"
    # PS3.3 C.8.11.3.1.2: larger values are brighter, that is less X-ray intensity
    ds.PixelIntensityRelationshipSign = -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.LossyImageCompression = "00"
    return ds


def set_view(ds: Dataset, view: str, scheme: str) -> None:
    """State the view and the anatomy, as code and as text.

    Args:
        view: `CC` or `MLO`.
        scheme: `SCT` (current) or `SRT` (retired, still common).
    """
    code = code_item(*_VIEW_CODES[view, scheme], scheme)
    code.ViewModifierCodeSequence = Sequence()
    ds.ViewPosition = view
    ds.ViewCodeSequence = Sequence([code])
    ds.AnatomicRegionSequence = Sequence([code_item(_BREAST_CODES[scheme], "Breast", scheme)])


def set_pixels(ds: Dataset, pixels: Stored, bits_stored: int, window: tuple[float, float]) -> None:
    """State pixels and their window (centre, width); shape (rows, columns)."""
    allocated = 8 * pixels.dtype.itemsize
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits_stored, bits_stored - 1
    ds.WindowCenter, ds.WindowWidth = window
    ds.WindowCenterWidthExplanation = "NORMAL"
    ds.PixelData = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    ds["PixelData"].VR = "OB" if allocated == 8 else "OW"


def save_mammogram(path: Path, ds: Dataset, syntax: UID = ExplicitVRLittleEndian) -> None:
    """Write the dataset, whose pixel data are little-endian and not compressed, in that transfer syntax.

    The same dataset gives the same bytes, with the same encoder's version where the syntax compresses. The dataset is
    left as it was written.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    ds.file_meta = meta
    encode_pixels(ds, syntax)
    ds.save_as(
        path,
        enforce_file_format=True,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax != ExplicitVRBigEndian,
    )


def code_item(value: str, meaning: str, scheme: str) -> Dataset:
    """A code sequence item (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
