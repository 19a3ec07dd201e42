"""The header elements that decide how a mammogram is read, as words of the standard and numbers: nothing else is shown.

An element whose value is not of its vocabulary shows as `other`: free text could name the patient.
"""

from __future__ import annotations

from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.uid import UID

from medproto.ingest.gate import COLOURS, MODALITIES
from medproto.ingest.header import items, numbers, raw, text, texts
from medproto.ingest.views import BIOPSY, CONTRAST, VIEW_WORDS

#: A tag as shown: a word, a number, several, or nothing where the element is absent or empty.
Shown = str | float | list[str] | list[float] | None
OTHER = "other"
YES_NO = frozenset({"YES", "NO"})


class Word(NamedTuple):
    """An element of words, and those that are shown."""

    keyword: str
    known: frozenset[str]


#: Letters of Patient Orientation (PS3.3 C.7.6.1.1.1), single and in twos.
DIRECTIONS = frozenset(first + second for first in "APLRHF" for second in ("", *"APLRHF"))
IMAGE_TYPES = frozenset(
    ["ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "NONE", "TOMOSYNTHESIS", "TOMO_PROJ", "GENERATED_2D",
     "POST_CONTRAST", "LOW_ENERGY", *CONTRAST]
)  # fmt: skip
WORDS = (
    Word("Modality", MODALITIES | {"MG"}),
    Word("PresentationIntentType", frozenset({"FOR PRESENTATION", "FOR PROCESSING"})),
    Word("ImageType", IMAGE_TYPES),
    Word("BodyPartExamined", frozenset({"BREAST"})),
    Word("ImageLaterality", frozenset("LRBU")),
    Word("Laterality", frozenset("LR")),
    Word("ViewPosition", frozenset(VIEW_WORDS)),
    Word("PatientOrientation", DIRECTIONS | frozenset(VIEW_WORDS)),
    Word("PartialView", YES_NO),
    Word("BreastImplantPresent", YES_NO),
    Word("BurnedInAnnotation", YES_NO),
    Word("PhotometricInterpretation", COLOURS | {"MONOCHROME1", "MONOCHROME2"}),
    Word("PresentationLUTShape", frozenset({"IDENTITY", "INVERSE"})),
    Word("VOILUTFunction", frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})),
    Word("LossyImageCompression", frozenset({"00", "01"})),
)
NUMBERS = (
    "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue",
    "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelSpacing", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor", "KVP", "ExposureInuAs",
    "BodyPartThickness", "CompressionForce",
)  # fmt: skip
TABLES = ("ModalityLUTSequence", "VOILUTSequence")
#: Makers by the word that their name holds.
MAKERS = (
    "AGFA", "ANALOGIC", "CANON", "CARESTREAM", "FUJI", "GE", "GENORAY", "GIOTTO", "GMM", "HOLOGIC", "HOWTEK", "IMS",
    "KODAK", "KONICA", "LORAD", "LUMISYS", "MEDPROTO", "METALTRONICA", "PHILIPS", "PLANMED", "RAYENCE", "SAMSUNG",
    "SECTRA", "SHIMADZU", "SIEMENS", "TOSHIBA", "VIDAR", "XCOUNTER",
)  # fmt: skip


def telling_tags(header: Dataset) -> dict[str, Shown]:
    """The elements that reading depends on, by keyword; those that are absent are left out."""
    shown: dict[str, Shown] = {
        "SOPClass": _uid_name(raw(header, "SOPClassUID")),
        "TransferSyntax": _uid_name(raw(getattr(header, "file_meta", Dataset()), "TransferSyntaxUID")),
        "Manufacturer": maker(header),
    }
    for keyword, known in WORDS:
        found = [word for word in texts(header, keyword) if word]
        said = [word if word in known or word.startswith(BIOPSY) else OTHER for word in found]
        shown[keyword] = said[0] if len(said) == 1 else said or None
    for keyword in NUMBERS:
        values = numbers(header, keyword)
        shown[keyword] = values[0] if len(values) == 1 else values or None
    for keyword in TABLES:
        shown[keyword] = len(items(header, keyword)) or None
    return {name: value for name, value in shown.items() if value is not None}


def _uid_name(value: object) -> str | None:
    """The standard's name of a UID; a private one is not shown, for it can be anything."""
    if not value:
        return None
    # pydicom's text of a sequence, which may stand here, grows twofold with every level that it is nested
    name = UID(value).name if isinstance(value, str) else OTHER
    return OTHER if name == value else name


def maker(header: Dataset) -> str | None:
    """The maker of the machine, if it is a known one, else `other`: what a site typed there can be anything."""
    said = text(header, "Manufacturer").replace(".", "")
    words = "".join(letter if letter.isalnum() else " " for letter in said).split()
    found = [maker for maker in MAKERS if any(word == maker or word.startswith(f"{maker}FILM") for word in words)]
    return (found[0] if found else OTHER) if said else None
