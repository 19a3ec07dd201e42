"""One mammogram, read and rendered: the noun everything after ingest works on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medproto.ingest.greys import Greys, Samples
from medproto.records import GateFinding, Laterality

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Identity:
    """Who and which image this is, as the header says; never shown: its repr hides the values."""

    patient_id: str
    study_uid: str
    sop_uid: str
    study_date: str = ""

    def __repr__(self) -> str:
        return "Identity(hidden)"


@dataclass(frozen=True, eq=False)
class Mammogram:
    """A mammogram as it is scored: rendered by the standard, in its original orientation and size.

    Attributes:
        pixels: float32, shape (rows, columns), in [0, 1], larger is brighter (MONOCHROME2 sense).
        breast: mask of the breast, same shape.
        laterality: breast side; None where the header does not say or contradicts itself.
        view: view position such as CC, MLO or ML; None as for laterality.
        spacing_mm: (row, column) spacing in the breast's plane or at the detector; None where unknown.
        voi: the VOI transformation that was chosen, in words.
        inverted: whether MONOCHROME1 or Presentation LUT Shape INVERSE inverted the values, after VOI.
        decoder: library and version that decoded the pixel data.
        file_sha256: SHA-256 of the file's bytes, in hex.
        pixels_sha256: `digest_pixels` of `pixels`.
        findings: what the input gate has to say; none of severity refuse.
        synthetic: whether the header says SYNTHETIC.
        chest_wall: side of the stored picture where the chest wall lies, from the mask: films can be mirrored.
        upside_down: whether the header says that the stored picture lies with its lower, or medial, side up.
        samples: the values before VOI, same shape, and `greys` how they are shown; None unless asked for.
        identity: the header's identifiers, for pseudonymisation alone.
    """

    pixels: Pixels
    breast: Mask
    laterality: Laterality | None
    view: str | None
    spacing_mm: tuple[float, float] | None
    voi: str
    inverted: bool
    decoder: str
    file_sha256: str
    pixels_sha256: str
    findings: tuple[GateFinding, ...]
    synthetic: bool
    chest_wall: Side
    identity: Identity
    upside_down: bool = False
    samples: Samples | None = None
    greys: Greys | None = None

    @property
    def rows(self) -> int:
        """Number of pixel rows."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Number of pixel columns."""
        return int(self.pixels.shape[1])

    @property
    def title(self) -> str:
        """Side and view as printed beside the picture, such as `R MLO`."""
        return f"{self.laterality or 'side unknown'} {self.view or 'view unknown'}"


def digest_pixels(pixels: Pixels) -> str:
    """SHA-256 in hex of the ASCII line `medproto pixels 1 <rows> <columns>`, a newline, then the pixels.

    The pixels follow row by row as little-endian IEEE 754 float32. Equal pictures have equal digests whatever the
    transfer syntax, decoder or machine they came from.

    Args:
        pixels: float32, shape (rows, columns).
    """
    digest = pixel_digest(*pixels.shape)
    digest.update(np.ascontiguousarray(pixels, dtype="<f4").data)
    return digest.hexdigest()


def pixel_digest(rows: int, columns: int) -> hashlib._Hash:
    """`digest_pixels` begun: the rows of a picture of this shape follow, from the top, in any portions."""
    return hashlib.sha256(f"medproto pixels 1 {rows} {columns}\n".encode("ascii"))
