"""Pixel data to stored values.

Sizes are checked before anything is allocated, and a stream without its end is refused: a truncated file never
becomes a partly grey picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    RLELossless,
)

from medproto.ingest.decoders import first_that_decodes
from medproto.ingest.gate import unreadable
from medproto.ingest.header import raw, whole
from medproto.ingest.jpeg_lossless import check_bits
from medproto.ingest.streams import check_stream, only_frame

Stored = NDArray[np.uint16]

#: Syntaxes whose decoders make a picture of a corrupt scan too.
LOSSLESS_JPEG = frozenset({JPEGLossless, JPEGLosslessSV1})
#: Syntaxes whose values may lie a little beyond what was coded, and so beyond the bits stored.
LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K})
#: By how much at most, as a share of the stored range.
OVERSHOOT = 1 / 8


class Layout(NamedTuple):
    """How stored values lie in the pixel data (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * (self.bits_allocated // 8)


class Decoded(NamedTuple):
    """Stored values as unsigned bit patterns, shape (rows, columns), and the decoder's name and version.

    The layout is the declared one, but for a bit more where lossy values need it.
    """

    stored: Stored
    layout: Layout
    decoder: str


def read_layout(header: Dataset, max_pixels: int) -> Layout:
    """The declared layout, refused where it is missing, impossible or larger than `max_pixels`."""
    if "PixelData" not in header:
        raise unreadable("TRUNCATED", "no pixel data were found")
    rows, columns = _whole(header, "Rows"), _whole(header, "Columns")
    bits_allocated = _whole(header, "BitsAllocated")
    bits_stored = _whole(header, "BitsStored")
    high_bit = _whole(header, "HighBit")
    if rows < 1 or columns < 1:
        raise unreadable("HOSTILE_SIZE", f"got {rows} rows and {columns} columns")
    if rows * columns > max_pixels:
        raise unreadable("HOSTILE_SIZE", f"got {rows} x {columns} pixels, expected at most {max_pixels:,}")
    if bits_allocated not in (8, 16) or not 1 <= bits_stored <= bits_allocated:
        got = f"got {bits_stored} of {bits_allocated} bits"
        raise unreadable("UNDECODABLE", f"{got}, expected 8 or 16 bits allocated")
    if high_bit != bits_stored - 1:
        # PS3.3 C.8.11.3: so it is in every mammogram; readers that ignore the high bit show others wrongly
        got = f"got high bit {high_bit} with {bits_stored} bits stored"
        raise unreadable("UNDECODABLE", f"{got}, expected stored values to begin at bit 0")
    sign, samples = _whole(header, "PixelRepresentation"), _whole(header, "SamplesPerPixel")
    if sign not in (0, 1) or samples != 1:
        got = f"got pixel representation {sign} and {samples} samples a pixel"
        raise unreadable("UNDECODABLE", f"{got}, expected 0 or 1, and 1 sample")
    return Layout(rows, columns, bits_allocated, bits_stored, sign == 1)


def decode(dataset: Dataset, layout: Layout) -> Decoded:
    """Stored values of the dataset's only frame, as bit patterns of `bits_stored` bits."""
    decoded, check = decode_unchecked(dataset, layout)
    check()
    return decoded


def decode_unchecked(dataset: Dataset, layout: Layout) -> tuple[Decoded, Callable[[], None]]:
    """What `decode` returns, and the check of these values that it ends with, which can run beside other work.

    The check raises UnreadableImage, UNDECODABLE, where the stream holds something else than the decoder made of it.
    """
    syntax = raw(dataset.file_meta, "TransferSyntaxUID")
    if not isinstance(syntax, UID) or not syntax.is_transfer_syntax or syntax.is_private:
        raise unreadable("UNDECODABLE", "its transfer syntax is missing or private")
    data = raw(dataset, "PixelData")
    if not isinstance(data, bytes):
        raise unreadable("UNDECODABLE", "the pixel data are not bytes")
    if not syntax.is_encapsulated:
        big_endian_words = not syntax.is_little_endian and dataset["PixelData"].VR == "OW"
        native = _bit_patterns(_native(data, layout, big_endian_words), layout)
        return Decoded(native, layout, f"numpy {np.__version__}"), lambda: None
    frame = only_frame(data)
    check_stream(frame, syntax, layout)
    values, decoder = first_that_decodes(frame, dataset, syntax, layout)
    if values.shape != (layout.rows, layout.columns):
        shape = " x ".join(str(size) for size in values.shape)
        raise unreadable("UNDECODABLE", f"decoded to {shape}, declared {layout.rows} x {layout.columns}")
    if syntax == RLELossless:
        return Decoded(_bit_patterns(values, layout), layout, decoder), lambda: None
    signed = _with_sign(values, layout)
    fitting = _fitting(signed, syntax, layout)
    unsigned: Stored = values.view(f"u{values.dtype.itemsize}").astype(np.uint16, copy=False)
    if signed.dtype.kind == "i":
        unsigned = unsigned & np.uint16((1 << fitting.bits_stored) - 1)
    return Decoded(unsigned, fitting, decoder), lambda: check_bits(frame, values) if syntax in LOSSLESS_JPEG else None


def _with_sign(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """The values, with a sign where the layout has one and they need all bits of their words.

    JPEG and JPEG-LS know no sign: toolkits code the bits stored alone, or whole words in which the sign goes on.
    """
    if layout.signed and values.dtype.kind == "u" and int(values.max()) >> layout.bits_stored:
        return values.view(f"i{values.dtype.itemsize}")
    return values


def _fitting(values: NDArray[Any], syntax: UID, layout: Layout) -> Layout:
    """The layout, with one bit more where lossy values lie a little beyond those declared.

    Masking would wrap bright tissue to black; only uncompressed data may keep overlays in the high bits.
    """
    bits, has_sign = layout.bits_stored, values.dtype.kind == "i"
    if bits == 8 * values.itemsize:
        return layout
    if has_sign:
        half = 1 << bits - 1
        beyond = max(int(values.max()) - (half - 1), -half - int(values.min()))
    else:
        beyond = int(values.max()) - ((1 << bits) - 1)
    if beyond <= 0:
        return layout
    if syntax not in LOSSY or beyond > OVERSHOOT * (1 << bits) or has_sign != layout.signed:
        raise unreadable("UNDECODABLE", f"values need more than the declared {bits} bits")
    return layout._replace(bits_stored=bits + 1)


def _whole(header: Dataset, keyword: str) -> int:
    """A whole number of the header; UNDECODABLE where it is missing: no default is safe, and all are of type 1."""
    value = whole(header, keyword)
    if value is None:
        raise unreadable("UNDECODABLE", f"{keyword} is missing or not a whole number")
    return value


def _native(data: bytes, layout: Layout, big_endian_words: bool) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Uncompressed values; shorter data than declared are refused before anything is allocated."""
    if len(data) < layout.frame_bytes:
        raise unreadable("TRUNCATED", f"got {len(data)} bytes of pixel data, expected {layout.frame_bytes}")
    shape = (layout.rows, layout.columns)
    if layout.bits_allocated == 16:
        order = ">u2" if big_endian_words else "<u2"
        return (
            np.frombuffer(data, order, count=layout.rows * layout.columns).reshape(shape).astype(np.uint16, copy=False)
        )
    # PS3.5 8.1.1: 8-bit values written as big-endian words come in swapped pairs
    buffer = np.frombuffer(data[: len(data) // 2 * 2], "<u2").byteswap().tobytes() if big_endian_words else data
    return np.frombuffer(buffer, np.uint8, count=layout.rows * layout.columns).reshape(shape)


def _bit_patterns(values: NDArray[Any], layout: Layout) -> Stored:
    """The stored bits alone, without neighbours such as overlays in unused high bits (PS3.5 8.1.1)."""
    unsigned: Stored = values.view(f"u{values.dtype.itemsize}").astype(np.uint16, copy=False)
    if layout.bits_stored < 8 * values.itemsize and int(unsigned.max()) >> layout.bits_stored:
        unsigned = unsigned & np.uint16((1 << layout.bits_stored) - 1)
    return unsigned
