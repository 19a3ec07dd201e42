"""Elements that decide on pixel values must be legible: one that is there and cannot be read is not one that is absent.

Everywhere else an illegible element is as good as none and becomes a finding such as SIDE_MISSING. Here a default in
its place would show another picture without saying so.
"""

from __future__ import annotations

from collections.abc import Sized

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from medproto.ingest.header import MALFORMED, items, numbers, quiet, raw, text, whole
from medproto.ingest.pixels import contradiction

#: Elements of one number, of whole numbers, of one word, and sequences (PS3.3 C.7.6.3, C.11.1, C.11.2, C.8.11.3).
NUMBERS = ("RescaleSlope", "RescaleIntercept")
WHOLES = ("NumberOfFrames", "PixelPaddingValue", "PixelPaddingRangeLimit")
WORDS = ("PhotometricInterpretation", "VOILUTFunction")
SEQUENCES = ("ModalityLUTSequence", "VOILUTSequence")
SHAPES = ("IDENTITY", "INVERSE")


def check_legible(header: Dataset) -> None:
    """Refuse an image whose header states how to show it in a way that cannot be read.

    Raises:
        RefusedImage: PRESENTATION_CONTRADICTORY, naming the element.
    """
    illegible = [keyword for keyword in NUMBERS if stated(header, keyword) and len(numbers(header, keyword)) != 1]
    illegible += [keyword for keyword in WHOLES if stated(header, keyword) and whole(header, keyword) is None]
    illegible += [keyword for keyword in WORDS if stated(header, keyword) and not _word(header, keyword)]
    illegible += [keyword for keyword in SEQUENCES if stated(header, keyword) and not items(header, keyword)]
    if stated(header, "PresentationLUTShape") and _word(header, "PresentationLUTShape") not in SHAPES:
        illegible.append("PresentationLUTShape")
    centres, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    if any(stated(header, keyword) and not numbers(header, keyword) for keyword in ("WindowCenter", "WindowWidth")):
        illegible.append("a window")
    if illegible:
        raise contradiction(f"{illegible[0]} cannot be read")
    if len(centres) != len(widths):
        raise contradiction(f"got {len(centres)} window centres and {len(widths)} widths")


def _word(header: Dataset, keyword: str) -> str:
    """The element's one word; empty where it is none, or not in the capitals that code strings have (PS3.5 6.2)."""
    value, word = raw(header, keyword), text(header, keyword)
    return word if isinstance(value, str) and value.strip() == word else ""


def stated(header: Dataset, keyword: str) -> bool:
    """Whether the element is there and holds anything, legible or not."""
    with quiet():
        try:
            value = header[keyword].value if keyword in header else None
        except MALFORMED:
            return True
    if isinstance(value, str):
        return value.strip(" \0") != ""
    if isinstance(value, MultiValue):
        # bytes that make no whole number are a list of none; an element without bytes is None
        return True
    # pydicom's own text of a sequence grows twofold with every level that it is nested
    return value is not None and not (isinstance(value, Sized) and len(value) == 0)
