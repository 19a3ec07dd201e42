"""What differs between the makers of mammography machines: how a picture becomes stored values, and how it is told.

`STYLES` are three plain ones that differ in window and wording; `VENDORS` adds what real archives hold. Every style
stores the same picture, so that whoever reads by the standard sees pictures of one kind. No style is a real maker's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medproto.datasets.dicom_file import Stored
from medproto.datasets.phantom.anatomy import Field

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"]
Spacing = Literal["calibrated", "detector", "scanned"]
Naming = Literal["both", "codes", "text"]
Curve = NDArray[np.float64]

#: Explanation and steepness of a style's LUTs, in the order they are stored.
LUTS = (("NORMAL", 5.0), ("HARDER", 7.0), ("SOFTER", 3.5))
#: Columns at the nipple's side that hold padding where a style pads.
PADDED_COLUMNS = 12


@dataclass(frozen=True)
class Style:
    """How one kind of machine stores and words an image; windows are those of the image as MONOCHROME2.

    Args:
        model: model name.
        centre: window centre in rescaled values.
        width: window width in rescaled values.
        scheme: coding scheme of view and anatomy, `SCT` (current) or `SRT` (retired, still common).
        series: series description, with `{side}` and `{view}`.
        function: VOI by which the stored values show the picture; LUT: three tables beside the window.
        bits: bits stored, of 16, or 8 of 8.
        signed: whether stored values are signed; of 16 bits, since readers part on the signs of fewer in JPEG streams.
        slope: rescale slope.
        intercept: rescale intercept.
        monochrome1: whether the values are stored complemented, with Presentation LUT Shape INVERSE.
        padding: first and last value of padding, as stored; None where nothing is padded.
        further: further windows (centre, width) beyond the first.
        spacing: elements that state the pixel spacing.
        naming: whether the view is told by code, by text or by both.
    """

    model: str
    centre: float
    width: float
    scheme: Literal["SCT", "SRT"]
    series: str
    function: Function = "LINEAR"
    bits: int = 12
    signed: bool = False
    slope: float = 1
    intercept: float = 0
    monochrome1: bool = False
    padding: tuple[int, int] | None = None
    further: tuple[tuple[float, float], ...] = ()
    spacing: tuple[Spacing, ...] = ("calibrated", "detector")
    naming: Naming = "both"

    @property
    def least(self) -> int:
        """Smallest value that can be stored."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def greatest(self) -> int:
        """Largest value that can be stored."""
        return self.least + (1 << self.bits) - 1

    @property
    def windows(self) -> tuple[tuple[float, float], ...]:
        """The windows (centre, width) of the header, mirrored where values are stored complemented."""
        pairs = ((self.centre, self.width), *self.further)
        if not self.monochrome1:
            return pairs
        ends = self.slope * (self.least + self.greatest) + 2 * self.intercept
        # PS3.3 C.11.2.1.2.1: LINEAR counts from centre - 0.5
        return tuple((ends - centre + (self.function in ("LINEAR", "LUT")), width) for centre, width in pairs)

    def tables(self) -> tuple[tuple[str, NDArray[np.uint16]], ...]:
        """The LUTs of the header with their explanations: 16-bit entries for all values that can be stored."""
        return tuple((name, np.rint(65535 * self._curve(steepness)).astype(np.uint16)) for name, steepness in LUTS)

    def _curve(self, steepness: float) -> Curve:
        """Rising from 0 to 1 over all values that can be stored, steepest in the middle; odd about it."""
        reach = np.tanh(steepness / 2 * np.linspace(-1, 1, 1 << self.bits) / 2)
        return np.asarray((reach / reach[-1] + 1) / 2)


STYLES = (
    Style("Phantom style 1", 2047.5, 4096, "SCT", "{side} {view} SYNTHETIC"),
    Style("Phantom style 2", 1800.5, 3000, "SRT", "MAMMO {side}{view} SYNTHETIC"),
    Style("Phantom style 3", 2300.5, 3500, "SCT", "SYNTHETIC {view} {side}, processed"),
)
VENDORS = (
    *STYLES,
    Style(
        "Phantom style 4", 2047.5, 1300, "SRT", "{side}-{view} SYNTHETIC", function="SIGMOID",
        further=((2047.5, 1000), (2047.5, 1800)), spacing=("detector",),
    ),
    Style("Phantom style 5", 8000, 15000, "SCT", "SYNTHETIC {view}", function="LINEAR_EXACT", bits=14, naming="codes"),
    Style(
        "Phantom style 6", 2048, 3600, "SRT", "SYNTHETIC {side} {view} standard", function="LUT",
        further=((2048, 2800), (2048, 4000)),
    ),
    Style("Phantom style 7", 8200.5, 30000, "SCT", "{view} {side} SYNTHETIC", bits=16, signed=True, slope=0.5,
          intercept=8192, spacing=("detector",)),
    Style("Phantom style 8", 512, 1000, "SCT", "SYNTHETIC CR {side} {view}", bits=10, monochrome1=True),
    Style("Phantom style 9", 32000, 60000, "SCT", "SYNTHETIC {side} {view} padded", bits=16, padding=(0, 255),
          spacing=("calibrated",)),
    Style("Phantom style 10", 2047.5, 1400, "SRT", "SYNTHETIC film {view} {side}", function="SIGMOID",
          monochrome1=True, spacing=("scanned",), naming="text"),
    Style("Phantom style 11", 511.5, 900, "SCT", "SYNTHETIC {view}, {side} breast", function="LUT", bits=10,
          monochrome1=True),
)  # fmt: skip


def stored_values(picture: Field, style: Style, pad_right: bool) -> Stored:
    """Stored values that the style's first VOI renders as the picture; shape (Y, X).

    Args:
        picture: in [0, 1], larger is brighter; shape (Y, X).
        style: how values are stored.
        pad_right: whether padding, where the style has any, lies on the right, else on the left.
    """
    rescaled: NDArray[np.floating] = _before_voi(np.clip(picture, 0, 1), style)
    lowest = style.least if style.padding is None else style.padding[1] + 1
    values: Curve = np.clip(np.rint((rescaled - style.intercept) / style.slope), lowest, style.greatest)
    if style.padding is not None:
        values[:, -PADDED_COLUMNS if pad_right else 0 : None if pad_right else PADDED_COLUMNS] = style.padding[0]
    if style.monochrome1:
        values = style.least + style.greatest - values
    if style.signed:
        return values.astype(np.int16)
    return values.astype(np.uint8) if style.bits == 8 else values.astype(np.uint16)


def _before_voi(shown: Field, style: Style) -> Field | Curve:
    """Rescaled values which the style's first VOI maps to `shown`."""
    if style.function == "LINEAR":
        # PS3.3 C.11.2.1.2.1: y = (x - (c - 0.5)) / (w - 1) + 0.5
        return (shown - np.float32(0.5)) * np.float32(style.width - 1) + np.float32(style.centre - 0.5)
    if style.function == "LINEAR_EXACT":
        return (shown - np.float32(0.5)) * np.float32(style.width) + np.float32(style.centre)
    if style.function == "SIGMOID":
        # PS3.3 C.11.2.1.3.1: y = 1 / (1 + exp(-4 (x - c) / w)), which reaches neither 0 nor 1
        inner = np.clip(shown, 1e-4, 1 - 1e-4)
        return np.asarray(style.centre + style.width / 4 * np.log(inner / (1 - inner)))
    curve = style.tables()[0][1]
    return np.interp(shown, curve / 65535, np.arange(style.least, style.greatest + 1))
