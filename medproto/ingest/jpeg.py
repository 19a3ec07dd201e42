"""The markers of a JPEG or JPEG-LS stream, from the first to the last (ISO 10918-1 Annex B, ISO 14495-1 Annex C).

One image, one component, one scan, an end, and nothing after it. What lies in the scan is left to the decoders.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydicom.uid import (
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from medproto.ingest.gate import unreadable

if TYPE_CHECKING:
    from medproto.errors import UnreadableImage
    from medproto.ingest.decoding import Layout
    from medproto.ingest.streams import Stream

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
DHT, DQT, SOS, DRI, LSE, JFIF = 0xC4, 0xDB, 0xDA, 0xDD, 0xF8, 0xE0
FIRST_RESTART, LAST_RESTART = 0xD0, 0xD7
#: Start-of-frame markers of each syntax: baseline and extended sequential, lossless, JPEG-LS.
FRAMES = {
    JPEGBaseline8Bit: (0xC0, 0xC1),
    JPEGExtended12Bit: (0xC0, 0xC1),
    JPEGLossless: (0xC3,),
    JPEGLosslessSV1: (0xC3,),
    JPEGLSLossless: (0xF7,),
    JPEGLSNearLossless: (0xF7,),
}
#: Huffman and quantisation tables, restart interval, JPEG-LS parameters, comments.
TABLES = frozenset({DHT, DQT, DRI, LSE, 0xFE, *range(0xE0, 0xF0)})
#: Bits of a difference, of a DC coefficient or of lossless coding (ISO 10918-1 H.1.2.2).
MAX_DIFFERENCE_BITS = 16
#: A lossy JPEG codes squares of so many pixels a side.
BLOCK_PX = 8
#: What a sequential scan calls its last coefficient: 63 (ISO 10918-1 B.2.3), or 0 in the samples of DICOM's working
#: group 4. No decoder looks at it, for the start of frame says that the scan is sequential.
LAST_COEFFICIENTS = (63, 0)


class Segment(NamedTuple):
    """A marker with its parameters, and where the stream goes on."""

    marker: int
    parameters: bytes
    end: int


class Frame(NamedTuple):
    """What the start of frame says."""

    marker: int
    precision: int
    rows: int
    columns: int
    component: int


def check_jpeg(stream: Stream, syntax: UID, layout: Layout) -> None:
    """The stream is one whole image of the declared size.

    Raises:
        UnreadableImage: TRUNCATED, UNDECODABLE, or HOSTILE_SIZE where stream and header differ in size.
    """
    frame: Frame | None = None
    interval, tables = 0, set[int]()
    for segment in segments(stream):
        if segment.marker in FRAMES.get(syntax, ()) and frame is None:
            frame = _frame(segment, syntax, layout)
        elif segment.marker == DRI:
            if len(segment.parameters) != 2:
                raise _broken("a restart interval that is not of two bytes")
            (interval,) = struct.unpack(">H", segment.parameters)
        elif segment.marker == LSE and (segment.parameters[:1] != b"\x01" or len(segment.parameters) != 11):
            # ISO 14495-1 C.2.4.1: other types are mapping tables and larger sizes, which no grey picture needs
            raise _broken("a JPEG-LS parameter that is none of the coding")
        elif segment.marker == DHT:
            tables |= _huffman_tables(segment.parameters)
        elif segment.marker == DQT:
            _check_quantisation(segment.parameters)
        elif segment.marker == JFIF and segment.parameters[:5] == b"JFIF\0" and segment.parameters[5:6] != b"\1":
            # there is no other version; GDCM ends the process over it
            raise _broken("an unknown version of JFIF")
        elif segment.marker == SOS:
            if frame is None:
                raise _broken("a scan before the start of its frame")
            _check_scan(segment, frame, syntax, tables)
            return _check_coded(stream, segment.end, frame, interval)
        elif segment.marker not in TABLES:
            raise _broken(f"marker {segment.marker:02X}, which its transfer syntax has no place for")
    raise unreadable("TRUNCATED", "its compressed pixel data have no scan")


def segments(stream: Stream) -> Iterator[Segment]:
    """Every marker with parameters, in order; the caller stops at the scan."""
    if stream[:2] != SOI:
        raise _broken("no start of image")
    position = 2
    while position + 4 <= len(stream):
        if stream[position] != 0xFF:
            raise _broken("bytes between two markers")
        marker = stream[position + 1]
        if marker == 0xFF:
            # ISO 10918-1 B.1.1.2: fill bytes may precede a marker
            position += 1
            continue
        (length,) = struct.unpack_from(">H", stream, position + 2)
        end = position + 2 + length
        if length < 2 or end > len(stream):
            raise unreadable("TRUNCATED", "a marker of its compressed pixel data is cut")
        yield Segment(marker, bytes(stream[position + 4 : end]), end)
        position = end


def is_padding(rest: bytes) -> bool:
    """Whether what follows the end of a stream only fills it up: zeros, or one byte to an even length.

    PS3.5 A.4 asks for a zero; DICOM's working group 4 wrote 0xFF, and other software a blank.
    """
    return len(rest) <= 1 or not rest.strip(b"\0")


def _frame(segment: Segment, syntax: UID, layout: Layout) -> Frame:
    """The start of frame of one component, of the declared size and no more bits than are allocated."""
    if len(segment.parameters) != 9 or segment.parameters[5] != 1:
        raise _broken("a frame of other than one component")
    precision, rows, columns, _, component, sampling = struct.unpack_from(">B2H3B", segment.parameters)
    if (rows, columns) != (layout.rows, layout.columns):
        got = f"the stream says {rows} x {columns}, the header {layout.rows} x {layout.columns}"
        raise unreadable("HOSTILE_SIZE", got)
    if not 2 <= precision <= layout.bits_allocated or (syntax == JPEGBaseline8Bit and precision != 8):
        raise _broken(f"{precision} bits a sample, with {layout.bits_allocated} allocated")
    if not (1 <= sampling >> 4 <= 4 and 1 <= sampling & 0xF <= 4):
        # ISO 10918-1 B.2.2
        raise _broken("a sampling factor that there is none of")
    return Frame(segment.marker, precision, rows, columns, component)


def _huffman_tables(parameters: bytes) -> set[int]:
    """Class and number of each table, which holds as many codes as it says, of lengths that codes can have.

    ISO 10918-1 B.2.4.2 and C.2.
    """
    found = set()
    position = 0
    while position < len(parameters):
        if parameters[position] >> 4 > 1 or parameters[position] & 0xF > 3:
            raise _broken("a Huffman table of a class or number that there is none of")
        counts = parameters[position + 1 : position + 17]
        end = position + 17 + sum(counts)
        codes = 0
        for length, count in enumerate(counts, start=1):
            codes = 2 * codes + count
            # no code may be all ones
            if count and codes >= 1 << length:
                raise _broken("a Huffman table of more codes than there are")
        symbols = parameters[position + 17 : end]
        if end > len(parameters) or not symbols or (parameters[position] < 0x10 and max(symbols) > MAX_DIFFERENCE_BITS):
            raise _broken("a Huffman table that is cut, empty or of too large differences")
        found.add(parameters[position])
        position = end
    return found


def _check_quantisation(parameters: bytes) -> None:
    """Whole quantisation tables of 64 steps, none of them zero (ISO 10918-1 B.2.4.1)."""
    position = 0
    while position < len(parameters):
        step_bytes, number = 1 + (parameters[position] >> 4), parameters[position] & 0xF
        end = position + 1 + step_bytes * BLOCK_PX * BLOCK_PX
        if step_bytes > 2 or number > 3 or end > len(parameters):
            raise _broken("a quantisation table that is cut, or of a precision or number that there is none of")
        if not np.frombuffer(parameters[position + 1 : end], ">u2" if step_bytes == 2 else np.uint8).all():
            raise _broken("a quantisation table with a step of nothing")
        position = end


def _check_scan(segment: Segment, frame: Frame, syntax: UID, defined: set[int]) -> None:
    """The scan is of that one component; a lossless JPEG-LS allows no error, a lossless JPEG has its table."""
    if len(segment.parameters) != 6 or segment.parameters[:2] != bytes((1, frame.component)):
        raise _broken("a scan of other than the one component")
    _, _, tables, first, second, last = segment.parameters
    if frame.marker == 0xF7:
        # ISO 14495-1 C.2.3: mapping table, NEAR, interleave mode, point transform
        near_allowed = 0 if syntax == JPEGLSLossless else 255
        if tables or first > near_allowed or second or last:
            raise _broken("a scan that its transfer syntax does not allow")
    elif frame.marker == 0xC3:
        # ISO 10918-1 B.2.3: predictor 1 to 7, no end of a spectral band; a point transform is not lossless
        if not 1 <= first <= 7 or second or last:
            raise _broken("a scan that is not lossless")
        if tables >> 4 not in defined:
            # no default stands for it, and decoders may end the process over it
            raise _broken("a scan without its Huffman table")
    elif first or second not in LAST_COEFFICIENTS or last:
        raise _broken("a scan that is not sequential")


def _check_coded(stream: Stream, start: int, frame: Frame, interval: int) -> None:
    """Coded data up to the end of image: no marker within but restarts in their order, nothing after it."""
    coded = np.frombuffer(stream, np.uint8, offset=start)
    places = np.flatnonzero(coded[:-1] == 0xFF)
    following = coded[places + 1]
    # ISO 10918-1 F.1.2.3: 0xFF is followed by a stuffed zero; ISO 14495-1 A.1: by a byte whose first bit is zero
    stuffed = following < 0x80 if frame.marker == 0xF7 else following == 0
    restarts = (following >= FIRST_RESTART) & (following <= LAST_RESTART)
    markers = np.flatnonzero(~(stuffed | restarts))
    if markers.size == 0:
        raise unreadable("TRUNCATED", "its compressed pixel data have no end")
    end = start + int(places[markers[0]])
    rest = bytes(stream[end:]).lstrip(b"\xff")
    if rest[:1] != EOI[1:] or not is_padding(rest[1:]):
        raise _broken("a marker within the coded data, or something after their end")
    found = following[: markers[0]][restarts[: markers[0]]]
    expected = _restarts(frame, interval)
    if found.size != expected or np.any(found != FIRST_RESTART + np.arange(expected) % 8):
        raise _broken(f"{found.size} restarts, expected {expected} in their order")


def _restarts(frame: Frame, interval: int) -> int:
    """How many restart markers there are, between every `interval` coded units (ISO 10918-1 E.1.4)."""
    if interval == 0:
        return 0
    if frame.marker == 0xF7:
        # ISO 14495-1 C.2.5: the interval counts lines
        units = frame.rows
    elif frame.marker == 0xC3:
        units = frame.rows * frame.columns
    else:
        units = -(-frame.rows // BLOCK_PX) * -(-frame.columns // BLOCK_PX)
    return -(-units // interval) - 1


def _broken(got: str) -> UnreadableImage:
    """The error of a stream that is not in order."""
    return unreadable("UNDECODABLE", f"its stream is not in order: got {got}")
