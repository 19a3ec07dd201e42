"""RLE Lossless (PS3.5 Annex G): byte planes, most significant first, each packed on its own.

The header's offsets and the length of every plane are checked here; unpacking itself is PackBits, in C and bounded by
the array that it unpacks into.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from medproto.ingest.gate import unreadable

if TYPE_CHECKING:
    from medproto.ingest.streams import Stream

#: Number of segments and fifteen offsets (PS3.5 G.5).
HEADER = struct.Struct("<16I")
#: Values that are put together at once: few enough that they stay in the second-level cache.
BAND_PX = 64 * 1024


def decode_rle(frame: Stream, rows: int, columns: int, planes: int) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """Values of a frame of one sample a pixel, shape (rows, columns).

    Args:
        frame: header and segments.
        rows: declared number of rows.
        columns: declared number of columns.
        planes: bytes of a value, 1 or 2.

    Raises:
        UnreadableImage: TRUNCATED or UNDECODABLE.
    """
    packed = memoryview(frame)
    unpacked = [_plane(packed[start:end], rows * columns) for start, end in pairwise(_segment_bounds(frame, planes))]
    if planes == 1:
        return unpacked[0].reshape(rows, columns)
    # PS3.5 G.2: most significant byte first
    most, least = unpacked
    values = np.empty(rows * columns, np.uint16)
    for start in range(0, values.size, BAND_PX):
        band = slice(start, start + BAND_PX)
        np.copyto(values[band], most[band])
        np.left_shift(values[band], 8, out=values[band])
        np.bitwise_or(values[band], least[band], out=values[band])
    return values.reshape(rows, columns)


def _plane(segment: memoryview, size: int) -> NDArray[np.uint8]:
    """The bytes of one plane, exactly so many."""
    plane = np.empty(size, np.uint8)
    try:
        unpacked = _unpack(segment, plane)
    except RuntimeError as err:
        raise unreadable("UNDECODABLE", "an RLE segment is cut or holds more than its plane") from err
    if unpacked != size:
        raise unreadable("TRUNCATED", f"an RLE segment holds {unpacked} bytes, expected {size}")
    return plane


def _unpack(segment: memoryview, plane: NDArray[np.uint8]) -> int:
    """Unpack into the plane; how many bytes these were."""
    try:
        return len(imagecodecs.packbits_decode(segment, out=plane))  # type: ignore[arg-type]
    except RuntimeError:
        # PS3.5 G.3.1: one zero fills a segment up to an even length, and unpacks to nothing; some write a blank
        return len(imagecodecs.packbits_decode(segment[:-1], out=plane))  # type: ignore[arg-type]


def _segment_bounds(frame: Stream, planes: int) -> list[int]:
    """Where each segment starts, and where the last ends."""
    if len(frame) < HEADER.size:
        raise unreadable("TRUNCATED", "its RLE header is cut")
    count, *offsets = HEADER.unpack_from(frame)
    if count != planes:
        raise unreadable("UNDECODABLE", f"got {count} RLE segments, expected {planes}")
    bounds = [*offsets[:count], len(frame)]
    if bounds[0] != HEADER.size or any(start >= end for start, end in pairwise(bounds)):
        raise unreadable("UNDECODABLE", "its RLE segments do not follow one another")
    return bounds
