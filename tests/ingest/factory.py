"""Small valid mammograms as DICOM, one argument away from every awkward kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

#: Planted in every header; no message may repeat them.
PATIENT_NAME, PATIENT_ID, BIRTH_DATE = "PLANTED^ZEBEDEE", "PLANTED-ID-4711", "19511224"
STUDY_UID = "1.2.826.0.1.3680043.8.498.4711"


def breast_values(rows: int = 160, columns: int = 120, brightest: int = 3500) -> NDArray[np.uint16]:
    """Stored values of a half-ellipse on the left edge, brighter inside, with a square marker at the upper right."""
    y, x = np.mgrid[0:rows, 0:columns]
    inside = ((y - rows / 2) / (rows * 0.4)) ** 2 + (x / (columns * 0.6)) ** 2
    texture = 0.15 * np.sin(y / 5.0) * np.cos(x / 7.0)
    values = np.where(inside < 1, (0.75 + texture - 0.4 * inside) * brightest, 0)
    values[rows // 16 : rows // 8, -columns // 8 : -columns // 24] = brightest
    return values.astype(np.uint16)


@dataclass
class Recipe:
    """What goes into a file; `elements` overrides or, with None, deletes header elements."""

    values: NDArray[Any] = field(default_factory=breast_values)
    syntax: str = ExplicitVRLittleEndian
    elements: dict[str, Any] = field(default_factory=dict)


def mammogram_dataset(recipe: Recipe) -> Dataset:
    """A For Presentation mammogram, R MLO, 12 of 16 bits, 0.1 mm, one linear window over all values."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = recipe.syntax
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = PATIENT_NAME, PATIENT_ID, BIRTH_DATE
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_UID, generate_uid()
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.ImageLaterality, dataset.ViewPosition = "R", "MLO"
    dataset.ImagerPixelSpacing = [0.1, 0.1]
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = recipe.values.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = int(recipe.values.dtype.kind == "i")
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.add_new("PixelData", "OW", recipe.values.astype("<u2").tobytes())
    for keyword, value in recipe.elements.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def write_dicom(path: Path, recipe: Recipe | None = None) -> Path:
    """Write the recipe's file and return its path."""
    dataset = mammogram_dataset(recipe or Recipe())
    dataset.save_as(path, enforce_file_format=True)
    return path


def write(path: Path, **elements: Any) -> Path:
    """Write a mammogram with these header elements changed."""
    return write_dicom(path, Recipe(elements=elements))


def encapsulated(path: Path, syntax: str, encode: Callable[..., bytes], **elements: Any) -> Path:
    """A mammogram whose pixel data are compressed."""
    dataset = mammogram_dataset(Recipe(syntax=syntax, elements=elements))
    values = breast_values() >> max(0, 12 - dataset.BitsStored)
    stream = encode(values.astype(np.uint8) if dataset.BitsAllocated == 8 else values)
    dataset.add_new("PixelData", "OB", encapsulate([stream]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def code(value: str, *modifiers: str) -> Sequence:
    """A view code sequence with view modifiers."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "view"
    item.ViewModifierCodeSequence = Sequence([code(modifier)[0] for modifier in modifiers])
    return Sequence([item])


def lut(entries: list[int], first: int, bits: int = 16, explanation: str = "") -> Dataset:
    """A LUT item."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.LUTExplanation = explanation
    item.add_new("LUTData", "US", entries)
    return item
