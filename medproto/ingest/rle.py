"""RLE Lossless (PS3.5 Annex G): byte planes, most significant first, each packed on its own.

The header's offsets and the length of every plane are checked here; unpacking itself is PackBits, in C and bounded by
the array that it unpacks into.
"""

from __future__ import annotations

import struct
from itertools import pairwise

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from medproto.ingest.gate import unreadable

#: Number of segments and fifteen offsets (PS3.5 G.5).
HEADER = struct.Struct("<16I")


def decode_rle(frame: bytes, rows: int, columns: int, planes: int) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """Values of a frame of one sample a pixel, shape (rows, columns).

    Args:
        frame: header and segments.
        rows: declared number of rows.
        columns: declared number of columns.
        planes: bytes of a value, 1 or 2.

    Raises:
        UnreadableImage: TRUNCATED or UNDECODABLE.
    """
    bounds = _segment_bounds(frame, planes)
    values = np.empty((rows * columns, planes), np.uint8)
    plane = np.empty(rows * columns, np.uint8)
    for place, (start, end) in enumerate(pairwise(bounds)):
        try:
            unpacked = len(imagecodecs.packbits_decode(frame[start:end], out=plane))  # type: ignore[arg-type]
        except RuntimeError as err:
            raise unreadable("UNDECODABLE", "an RLE segment is cut or holds more than its plane") from err
        if unpacked != plane.size:
            raise unreadable("TRUNCATED", f"an RLE segment holds {unpacked} bytes, expected {plane.size}")
        # PS3.5 G.2: most significant byte first; the array is little endian
        values[:, planes - 1 - place] = plane
    return values.view("<u2" if planes == 2 else np.uint8).reshape(rows, columns)


def _segment_bounds(frame: bytes, planes: int) -> list[int]:
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
