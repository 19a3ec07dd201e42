"""Pixel data to stored values, by the fastest decoder that is free of the GPL, the others as fallback.

Sizes are checked before anything is allocated, and a stream without its end is refused: a truncated file never
becomes a partly grey picture.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from rle.rle import decode_frame as decode_rle  # type: ignore[import-not-found]

from medproto.ingest.gate import unreadable
from medproto.ingest.header import MALFORMED, quiet, raw, whole

Stored = NDArray[np.uint16]

#: Bytes that end a stream: EOI of JPEG and JPEG-LS, EOC of JPEG 2000 and HTJ2K.
END_OF_STREAM = b"\xff\xd9"
#: Decoder of imagecodecs for each syntax: the fastest of all by measurement (libjpeg-turbo 3, CharLS, OpenJPEG).
IMAGECODECS = {
    frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1}): "jpeg8_decode",
    frozenset({JPEGLSLossless, JPEGLSNearLossless}): "jpegls_decode",
    frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K}): "jpeg2k_decode",
}
#: What foreign decoders raise on bytes they do not like.
FOREIGN = (*MALFORMED, RuntimeError, MemoryError, OSError, struct.error)


class Layout(NamedTuple):
    """How stored values lie in the pixel data (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * (self.bits_allocated // 8)


class Decoded(NamedTuple):
    """Stored values as unsigned bit patterns, shape (rows, columns), and the decoder's name and version."""

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
    high_bit = _whole(header, "HighBit", bits_stored - 1)
    if rows < 1 or columns < 1:
        raise unreadable("HOSTILE_SIZE", f"got {rows} rows and {columns} columns")
    if rows * columns > max_pixels:
        raise unreadable("HOSTILE_SIZE", f"got {rows} x {columns} pixels, expected at most {max_pixels}")
    if bits_allocated not in (8, 16) or not 1 <= bits_stored <= high_bit + 1 <= bits_allocated:
        got = f"got {bits_stored} of {bits_allocated} bits with high bit {high_bit}"
        raise unreadable("UNDECODABLE", f"{got}, expected 8 or 16 bits allocated")
    signed = _whole(header, "PixelRepresentation", 0) == 1
    return Layout(rows, columns, bits_allocated, bits_stored, high_bit, signed)


def decode(dataset: Dataset, layout: Layout) -> Decoded:
    """Stored values of the dataset's only frame, as bit patterns of `bits_stored` bits."""
    syntax = raw(dataset.file_meta, "TransferSyntaxUID")
    if not isinstance(syntax, UID) or not syntax.is_transfer_syntax or syntax.is_private:
        raise unreadable("UNDECODABLE", "its transfer syntax is missing or private")
    data = raw(dataset, "PixelData")
    if not isinstance(data, bytes):
        raise unreadable("UNDECODABLE", "the pixel data are not bytes")
    if not syntax.is_encapsulated:
        big_endian_words = not syntax.is_little_endian and dataset["PixelData"].VR == "OW"
        return Decoded(
            _bit_patterns(_native(data, layout, big_endian_words), layout), layout, f"numpy {np.__version__}"
        )
    frame = _only_frame(data)
    _check_stream(frame, syntax, layout)
    values, decoder = _first_that_decodes(frame, dataset, syntax, layout)
    if values.shape != (layout.rows, layout.columns):
        shape = " x ".join(str(size) for size in values.shape)
        raise unreadable("UNDECODABLE", f"decoded to {shape}, declared {layout.rows} x {layout.columns}")
    if syntax != RLELossless and values.dtype.kind == "u" and int(values.max()) >> (layout.high_bit + 1):
        # masking would wrap bright tissue to black; only uncompressed data may keep overlays in the high bits
        raise unreadable("UNDECODABLE", f"values need more than the declared {layout.bits_stored} bits")
    return Decoded(_bit_patterns(values, layout), layout, decoder)


def _whole(header: Dataset, keyword: str, default: int | None = None) -> int:
    """A whole number of the header; UNDECODABLE where it is neither there nor has a default."""
    value = whole(header, keyword)
    value = default if value is None else value
    if value is not None:
        return value
    raise unreadable("UNDECODABLE", f"{keyword} is missing or not a whole number")


def _native(data: bytes, layout: Layout, big_endian_words: bool) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Uncompressed values; shorter data than declared are refused before anything is allocated."""
    if len(data) < layout.frame_bytes:
        raise unreadable("TRUNCATED", f"got {len(data)} bytes of pixel data, expected {layout.frame_bytes}")
    shape = (layout.rows, layout.columns)
    if layout.bits_allocated == 16:
        order = ">u2" if big_endian_words else "<u2"
        return np.frombuffer(data, order, count=layout.rows * layout.columns).reshape(shape).astype(np.uint16)
    # PS3.5 8.1.1: 8-bit values written as big-endian words come in swapped pairs
    buffer = np.frombuffer(data[: len(data) // 2 * 2], "<u2").byteswap().tobytes() if big_endian_words else data
    return np.frombuffer(buffer, np.uint8, count=layout.rows * layout.columns).reshape(shape)


def _only_frame(data: bytes) -> bytes:
    """The encapsulated frame, its fragments joined."""
    try:
        with quiet():
            frame = b"".join(generate_frames(data, number_of_frames=1))
    except FOREIGN as err:
        raise unreadable("TRUNCATED", "its pixel data fragments do not add up to a frame") from err
    if not frame:
        raise unreadable("TRUNCATED", "its pixel data are empty")
    return frame


def _check_stream(frame: bytes, syntax: UID, layout: Layout) -> None:
    """The stream ends, and declares the size that the header does; decoders allocate what the stream declares."""
    if syntax == RLELossless:
        return
    if not frame.rstrip(b"\x00").endswith(END_OF_STREAM):
        raise unreadable("TRUNCATED", "its compressed pixel data have no end")
    size = _stream_size(frame)
    if size is not None and size != (layout.rows, layout.columns):
        got = f"the stream says {size[0]} x {size[1]}, the header {layout.rows} x {layout.columns}"
        raise unreadable("HOSTILE_SIZE", got)


def _stream_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG-family stream declares; None where its header is not understood."""
    start = frame[:4096].find(b"\xff\x4f\xff\x51")
    if start >= 0 and len(frame) >= start + 24:
        # ISO 15444-1 A.5.1, SIZ: the image is the grid less its offset
        x1, y1, x0, y0 = struct.unpack(">4I", frame[start + 8 : start + 24])
        return y1 - y0, x1 - x0
    position = 2
    while frame[:2] == b"\xff\xd8" and position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        # ISO 10918-1 B.1.1.3 and ISO 14495-1 C.2.2: SOF0..SOF15 without DHT, JPG, DAC; SOF55 of JPEG-LS
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            rows, columns = struct.unpack(">2H", frame[position + 5 : position + 9])
            return rows, columns
        position += 1 if marker == 0xFF else 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None


def _first_that_decodes(frame: bytes, dataset: Dataset, syntax: UID, layout: Layout) -> tuple[NDArray[Any], str]:
    """Values of the fastest decoder that takes the stream, with its name and version."""
    attempts: list[tuple[str, Callable[[], NDArray[Any]]]] = []
    if syntax == RLELossless:
        attempts.append(("pylibjpeg-rle", lambda: _rle(frame, layout)))
    for syntaxes, name in IMAGECODECS.items():
        if syntax in syntaxes:
            attempts.append((f"imagecodecs {name}", partial(getattr(imagecodecs, name), frame)))
    attempts.append(("pydicom", lambda: get_decoder(syntax).as_array(dataset, index=0, raw=True)[0]))
    reason: Exception | None = None
    for name, attempt in attempts:
        try:
            with quiet():
                return attempt(), f"{name} {version(name.split()[0])}"
        except FOREIGN as err:
            reason = err
    raise unreadable("UNDECODABLE", f"no decoder takes its {_syntax_name(syntax)} stream") from reason


def _rle(frame: bytes, layout: Layout) -> NDArray[np.uint16] | NDArray[np.uint8]:
    raw = decode_rle(frame, layout.rows * layout.columns, layout.bits_allocated, "<")
    dtype = "<u2" if layout.bits_allocated == 16 else "u1"
    return np.frombuffer(raw, dtype).reshape(layout.rows, layout.columns)


def _syntax_name(syntax: UID) -> str:
    return syntax.name if syntax.is_transfer_syntax else "private"


def _bit_patterns(values: NDArray[Any], layout: Layout) -> Stored:
    """The stored bits alone, without neighbours such as overlays in unused high bits (PS3.5 8.1.1)."""
    unsigned: Stored = values.view(f"u{values.dtype.itemsize}").astype(np.uint16, copy=False)
    shift = layout.high_bit + 1 - layout.bits_stored
    if shift:
        unsigned = unsigned >> np.uint16(shift)
    if layout.bits_stored < 16:
        unsigned = unsigned & np.uint16((1 << layout.bits_stored) - 1)
    return unsigned
