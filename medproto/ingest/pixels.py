"""Stored values to the values that are shown, one pure step for each clause of the standard.

Every step maps an array of values to an array of the same shape, so `reading` runs them once over the table of all
values that can be stored and looks the image up in it: the same numbers as image by image, a hundred times faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medproto.errors import RefusedImage
from medproto.ingest.gate import finding
from medproto.ingest.header import items, number, numbers, raw, text, whole

Values = NDArray[np.float64]
Step = Callable[[Values], Values]

#: LUT explanations that are repeated in messages; other free text could name the patient.
EXPLANATIONS = frozenset({"NORMAL", "HARDER", "SOFTER", "STANDARD", "DEFAULT", "LINEAR", "SIGMOID"})
#: What a signed word and a word without sign are apart by, and the greatest that is the same in both.
WORD, MOST_SIGNED = 1 << 16, (1 << 15) - 1
#: Rescaled values beyond this are those of no image, and sums of them may be no numbers.
LARGEST = 1e30
#: Bounds of the recorded window of images without VOI, in per cent of the values inside the breast.
PERCENTILES = (0.5, 99.5)


class Window(NamedTuple):
    """A window in values after the modality transformation (PS3.3 C.11.2.1)."""

    function: str
    centre: float
    width: float


class Voi(NamedTuple):
    """One stored way to show the image: its name in words, the step to [0, 1], and the window where it is one."""

    name: str
    apply: Step
    window: Window | None = None


def contradiction(reason: str) -> RefusedImage:
    """The refusal of an image whose header contradicts itself on how to show it."""
    return RefusedImage([finding("PRESENTATION_CONTRADICTORY", reason)])


def stored_values(bits_stored: int, signed: bool) -> Values:
    """Value of every bit pattern of `bits_stored` bits, in the order of the patterns (PS3.3 C.7.6.3.1)."""
    patterns = np.arange(1 << bits_stored, dtype=np.float64)
    if signed:
        patterns[1 << (bits_stored - 1) :] -= 1 << bits_stored
    return patterns


def modality(values: Values, header: Dataset) -> Values:
    """Modality LUT sequence, or rescale slope and intercept (PS3.3 C.11.1)."""
    tables = items(header, "ModalityLUTSequence")
    if tables:
        entries, first, _ = read_lut(tables[0])
        return np.asarray(entries[_positions(values, first, len(entries))])
    slope, intercept = number(header, "RescaleSlope", 1.0), number(header, "RescaleIntercept", 0.0)
    if slope == 0:
        raise contradiction("rescale slope 0 erases the image")
    with np.errstate(over="ignore", invalid="ignore"):
        rescaled = values * slope + intercept
        if not np.abs(rescaled).max() <= LARGEST:
            raise contradiction(f"rescaling takes its values beyond {LARGEST:.1g}")
    return rescaled


def padding(values: Values, header: Dataset) -> NDArray[np.bool_]:
    """Which stored values are padding around the picture (PS3.3 C.7.5.1.1.2); shown as the darkest value."""
    padding_value = whole(header, "PixelPaddingValue")
    if padding_value is None:
        return np.zeros(values.shape, dtype=np.bool_)
    limit = whole(header, "PixelPaddingRangeLimit")
    ends = sorted((padding_value, padding_value if limit is None else limit))
    return np.asarray((values >= ends[0]) & (values <= ends[1]))


def voi_choices(header: Dataset) -> list[Voi]:
    """Every VOI the image stores, LUTs first, then windows, each in the order of the file (PS3.3 C.11.2)."""
    return [*_lut_choices(header), *_window_choices(header)]


def _lut_choices(header: Dataset) -> list[Voi]:
    tables = items(header, "VOILUTSequence")
    choices = []
    for place, table in enumerate(tables, start=1):
        entries, first, explanation = read_lut(table)
        if np.ptp(entries) == 0:
            raise contradiction("a VOI LUT has one value only")
        # the lowest entry is shown black and the highest white, as highdicom does: some vendors' tables end below
        # 2^bits - 1
        scaled = (entries - entries.min()) / np.ptp(entries)
        shown = f" ({explanation})" if explanation in EXPLANATIONS else ""
        choices.append(Voi(f"LUT {place} of {len(tables)}{shown}", _lookup(scaled, first)))
    return choices


def _lookup(entries: Values, first: int) -> Step:
    return lambda values: np.asarray(entries[_positions(values, first, len(entries))])


def _positions(values: Values, first: int, length: int) -> NDArray[np.intp]:
    """Entry of each value; values before the first or after the last take that entry (PS3.3 C.11.1.1)."""
    least, most = values.min(), values.max()
    # the first value mapped is signed where the values are, and files say so with the wrong VR
    other = 0
    if first > MOST_SIGNED and least < 0:
        other = first - WORD
    elif first < 0 and most > MOST_SIGNED:
        other = first + WORD
    meets = [start <= most and start + length > least for start in (first, other)]
    if other and meets == [False, True]:
        first = other
    return np.asarray(np.clip(np.rint(values) - first, 0, length - 1), dtype=np.intp)


def read_lut(table: Dataset) -> tuple[Values, int, str]:
    """Entries, first mapped value and explanation of a LUT item (PS3.3 C.11.1.1, C.11.2.1.1)."""
    descriptor = numbers(table, "LUTDescriptor")
    if len(descriptor) != 3 or not descriptor[0] >= 0 or not 1 <= descriptor[2] <= 16:
        raise contradiction("a LUT has no valid descriptor")
    # PS3.3 C.11.1.1: 65,536 entries are written as 0
    length = int(descriptor[0]) or WORD
    data = raw(table, "LUTData")
    # PS3.3 C.11.1.1.1: entries of 8 bits may be packed two to a word
    packed = descriptor[2] <= 8 and isinstance(data, bytes) and len(data) < 2 * length
    words = ">u2" if table.original_encoding[1] is False else "<u2"
    listed = np.frombuffer(data, "u1" if packed else words) if isinstance(data, bytes) else numbers(table, "LUTData")
    entries = np.asarray(listed, dtype=np.float64)
    if entries.size < length:
        raise contradiction(f"a LUT has {entries.size} entries, its descriptor says {length}")
    return entries[:length], int(descriptor[1]), text(table, "LUTExplanation")


def _window_choices(header: Dataset) -> list[Voi]:
    centres, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    function = text(header, "VOILUTFunction") or "LINEAR"
    pairs = list(zip(centres, widths, strict=False))
    if pairs and function not in WINDOWS:
        raise contradiction("its VOI LUT function is none of LINEAR, LINEAR_EXACT and SIGMOID")
    least = 1.0 if function == "LINEAR" else np.nextafter(0.0, 1.0)
    if any(width < least for _, width in pairs):
        raise contradiction(f"a window has a width that {function} does not allow")
    return [
        Voi(
            f"window {place} of {len(pairs)}, {function}, centre {centre:g}, width {width:g}",
            _windowed(WINDOWS[function], centre, width),
            Window(function, centre, width),
        )
        for place, (centre, width) in enumerate(pairs, start=1)
    ]


def _windowed(function: Callable[[Values, float, float], Values], centre: float, width: float) -> Step:
    def step(values: Values) -> Values:
        # a window too narrow for the quotient is black below its centre and white above it, as infinity is clipped
        with np.errstate(over="ignore"):
            return function(values, centre, width)

    return step


def linear(values: Values, centre: float, width: float) -> Values:
    """Window LINEAR: the standard's half-pixel form (PS3.3 C.11.2.1.2.1)."""
    if width == 1:
        return np.where(values > centre - 0.5, 1.0, 0.0)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def linear_exact(values: Values, centre: float, width: float) -> Values:
    """Window LINEAR_EXACT (PS3.3 C.11.2.1.3.2)."""
    return np.clip((values - centre) / width + 0.5, 0.0, 1.0)


def sigmoid(values: Values, centre: float, width: float) -> Values:
    """Window SIGMOID (PS3.3 C.11.2.1.3.1)."""
    exponent = np.clip(-4.0 * (values - centre) / width, -700.0, 700.0)
    return np.asarray(1.0 / (1.0 + np.exp(exponent)))


WINDOWS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


def is_inverted(header: Dataset) -> bool:
    """Whether large values are dark; the two elements that say so must agree (PS3.3 C.7.6.3.1.2, C.8.11.3, C.11.6)."""
    monochrome1 = text(header, "PhotometricInterpretation") == "MONOCHROME1"
    shape = text(header, "PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE") and monochrome1 != (shape == "INVERSE"):
        interpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
        raise contradiction(f"photometric interpretation {interpretation} with Presentation LUT Shape {shape}")
    return monochrome1


def invert(values: Values) -> Values:
    """The one inversion, after VOI (PS3.3 C.7.6.3.1.2)."""
    return 1.0 - values


def percentiles(values: Values, counts: NDArray[np.int64]) -> tuple[float, float]:
    """The two `PERCENTILES` of values that occur `counts` times each; (0, 1) where they do not differ."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    if reached[-1] == 0:
        return 0.0, 1.0
    low, high = (
        float(values[order[np.searchsorted(reached, reached[-1] * percent / 100.0)]]) for percent in PERCENTILES
    )
    return (low, high) if high > low else (0.0, 1.0)
