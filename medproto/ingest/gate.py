"""What the input gate can say: stable reason codes, their severity and one sentence each for the reader.

The table below is the whole vocabulary. A sentence may hold one value in braces; values are numbers or words of ours,
never text of the header: free text could name the patient. Severities follow the design: refuse (no score), warn
(scored and marked), note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from medproto.config import IngestSettings
from medproto.errors import UnreadableImage
from medproto.ingest.header import number, raw, text, texts, whole
from medproto.records import GateFinding, Severity


class Rule(NamedTuple):
    """Severity and sentence of one reason code."""

    severity: Severity
    sentence: str


FOR_PROCESSING = {
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
    BreastProjectionXRayImageStorageForProcessing,
}
#: Volumes and the projections they are made from.
TOMOSYNTHESIS = {
    BreastTomosynthesisImageStorage,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
}
#: SOP classes in which mammograms come; scanned films come as Secondary Capture (CBIS-DDSM) or CR.
PICTURES = {
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    ComputedRadiographyImageStorage,
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    *FOR_PROCESSING,
    *TOMOSYNTHESIS,
}
#: Terms of the standard that a sentence may repeat; anything else in these elements is free text.
MODALITIES = frozenset(
    ["CR", "CT", "DX", "MR", "NM", "OT", "PT", "PX", "RF", "RG", "SC", "SEG", "SM", "SR", "US", "XA"]
)
COLOURS = frozenset({"RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420"})

RULES: dict[str, Rule] = {
    # the file cannot be read at all: raised as UnreadableImage with this code
    "UNREADABLE": Rule("refuse", "The file cannot be opened: {}."),
    "NOT_DICOM": Rule("refuse", "The file is not DICOM."),
    "TRUNCATED": Rule("refuse", "The file is incomplete: {}."),
    "UNDECODABLE": Rule("refuse", "The pixel data cannot be decoded: {}."),
    "HOSTILE_SIZE": Rule("refuse", "The declared size is not accepted: {}."),
    "TIMEOUT": Rule("refuse", "Reading the file took longer than {} s and was given up."),
    "OUT_OF_MEMORY": Rule("refuse", "Reading the file needs more memory than is allowed."),
    "WORKER_CRASHED": Rule("refuse", "The process that read the file ended without an answer: {}."),
    # read, and must not be scored
    "NOT_MAMMOGRAM": Rule("refuse", "Not a mammogram: {}."),
    "FOR_PROCESSING": Rule("refuse", "Raw detector data (FOR PROCESSING); the network reads FOR PRESENTATION images."),
    "TOMOSYNTHESIS": Rule("refuse", "Tomosynthesis; the network reads two-dimensional mammograms."),
    "MULTI_FRAME": Rule("refuse", "Number of frames: got {}, expected 1."),
    "NO_BREAST": Rule("refuse", "No breast was found in the image."),
    "PRESENTATION_CONTRADICTORY": Rule("refuse", "The header contradicts itself on how to show the image: {}."),
    # scored and marked
    "MAGNIFICATION": Rule("warn", "Magnification view; the network was trained on standard views."),
    "SPOT_COMPRESSION": Rule("warn", "Spot compression view; the network was trained on standard views."),
    "IMPLANT": Rule("warn", "The breast has an implant; scores of such images are less reliable."),
    "PARTIAL_VIEW": Rule("warn", "The header says that this image shows only part of the breast."),
    "BREAST_CUT": Rule("warn", "The breast seems to be cut off at the {} edge of the image."),
    "SIDE_MISSING": Rule("warn", "The header does not say which breast this is."),
    "SIDE_CONTRADICTORY": Rule("warn", "The header contradicts itself on which breast this is: {}."),
    "VIEW_MISSING": Rule("warn", "The header names no known view."),
    "VIEW_CONTRADICTORY": Rule("warn", "The header contradicts itself on the view: {}."),
    "ORIENTATION": Rule("warn", "How the picture lies is not certain; it is taken as stored: {}."),
    "SPECIAL_VIEW": Rule("warn", "A special view ({}); the network was trained on standard views."),
    "SPACING_MISSING": Rule("warn", "The pixel spacing is unknown; no length in mm is shown."),
    "EXPOSURE": Rule("warn", "Exposure out of range: {}."),
    "SYNTHESISED_2D": Rule("warn", "A two-dimensional image computed from tomosynthesis."),
    "BODY_PART": Rule("warn", "The header names a body part other than the breast."),
    "MODALITY_ADMITTED": Rule("warn", "Modality {} instead of MG, admitted by setting."),
    "SAME_INSTANCE": Rule("refuse", "The same image was handed in twice; it is scored once."),
    "PIXEL_DUPLICATE": Rule("warn", "{} images of this exam have identical pixels."),
    # for the record
    "SEVERAL_VOI": Rule("note", "{} ways to show the image are stored; used: {}."),
    "NO_VOI": Rule("note", "No window or VOI LUT is stored; used: {}."),
    "VOI_INDEX": Rule("note", "VOI number {} was asked for and is not stored; the first was used."),
    "BURNED_IN_TEXT": Rule("note", "The header says that text is burnt into the image."),
    "MISSING_VIEWS": Rule("note", "The exam lacks standard views: {}."),
}


def finding(code: str, *values: object) -> GateFinding:
    """The finding of that code, with values for its sentence."""
    rule = RULES[code]
    return GateFinding(code=code, severity=rule.severity, sentence=rule.sentence.format(*values))


def unreadable(code: str, *values: object) -> UnreadableImage:
    """The error of a file that cannot be read, with the same code and sentence as its finding."""
    return UnreadableImage(finding(code, *values).sentence, code)


#: Smallest share of the picture that is taken for a breast.
LEAST_BREAST = 0.01
#: Share of the breast's rows that may touch the picture's edge on the nipple's side.
CUT = 0.1
#: Share of the breast that may be without any shade.
SATURATED = 0.5
#: Every so many rows and columns are looked at for saturation.
STRIDE = 4
#: Tube voltages of mammography in kV.
TUBE_VOLTAGE_KV = (15.0, 60.0)


def judge_header(header: Dataset, settings: IngestSettings) -> list[GateFinding]:
    """Findings of the header alone, without side, view and pixels."""
    findings = [*_judge_kind(header, settings)]
    intent = text(header, "PresentationIntentType")
    sop_class = _sop_class(header)
    if intent == "FOR PROCESSING" or sop_class in FOR_PROCESSING:
        findings.append(finding("FOR_PROCESSING"))
    image_type = texts(header, "ImageType")
    generated = "GENERATED_2D" in image_type
    # PS3.3 C.8.11.7.1.4: mammograms name volumes and the projections they are made from in their image type
    if sop_class in TOMOSYNTHESIS or ({"TOMOSYNTHESIS", "TOMO_PROJ"} & set(image_type) and not generated):
        findings.append(finding("TOMOSYNTHESIS"))
    elif generated:
        findings.append(finding("SYNTHESISED_2D"))
    frames = whole(header, "NumberOfFrames")
    if frames is not None and frames != 1:
        findings.append(finding("MULTI_FRAME", frames))
    if text(header, "BurnedInAnnotation") == "YES":
        findings.append(finding("BURNED_IN_TEXT"))
    return [*findings, *_judge_exposure(header)]


def _judge_kind(header: Dataset, settings: IngestSettings) -> Iterator[GateFinding]:
    """Whether this is a grey-scale projection picture of a breast."""
    modality = text(header, "Modality")
    if modality not in ("MG", *settings.admit_modalities):
        got = modality if modality in MODALITIES else "another" if modality else "none"
        yield finding("NOT_MAMMOGRAM", f"modality: got {got}, expected MG")
    elif _sop_class(header) not in PICTURES:
        yield finding("NOT_MAMMOGRAM", "its SOP class is not a projection picture")
    elif modality != "MG":
        yield finding("MODALITY_ADMITTED", modality)
    interpretation = text(header, "PhotometricInterpretation")
    if "PixelData" in header and interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        got = interpretation if interpretation in COLOURS else "another" if interpretation else "none"
        yield finding("NOT_MAMMOGRAM", f"photometric interpretation: got {got}, expected MONOCHROME1 or MONOCHROME2")
    if text(header, "BodyPartExamined") not in ("", "BREAST"):
        yield finding("BODY_PART")


def _sop_class(header: Dataset) -> str:
    found = raw(header, "SOPClassUID") or raw(header.file_meta, "MediaStorageSOPClassUID")
    return found if isinstance(found, str) else ""


def _judge_exposure(header: Dataset) -> Iterator[GateFinding]:
    """Exposures that the header itself says are not those of a mammogram."""
    low, high = TUBE_VOLTAGE_KV
    voltage = number(header, "KVP", low)
    if not low <= voltage <= high:
        yield finding("EXPOSURE", f"tube voltage: got {voltage:g} kV, expected {low:g} to {high:g}")
    if text(header, "ExposureStatus") == "ABORTED":
        yield finding("EXPOSURE", "the header says that the exposure was aborted")


def judge_picture(pixels: NDArray[np.float32], breast: NDArray[np.bool_], chest_wall: str) -> list[GateFinding]:
    """Findings that only the rendered picture can give.

    Args:
        pixels: shape (rows, columns), in [0, 1].
        breast: mask, same shape.
        chest_wall: side of the picture where the chest wall lies, which the breast always touches.
    """
    if np.count_nonzero(breast) < LEAST_BREAST * breast.size:
        return [finding("NO_BREAST")]
    findings = []
    front, edge = ("right", breast[:, -1]) if chest_wall == "left" else ("left", breast[:, 0])
    if edge.any() and edge.sum() > CUT * breast.any(axis=1).sum():
        findings.append(finding("BREAST_CUT", front))
    inside = pixels[::STRIDE, ::STRIDE][breast[::STRIDE, ::STRIDE]]
    for level, share in (("black", (inside <= 0.0).mean()), ("white", (inside >= 1.0).mean())):
        if share > SATURATED:
            findings.append(finding("EXPOSURE", f"{share:.0%} of the breast is {level}"))
    return findings
