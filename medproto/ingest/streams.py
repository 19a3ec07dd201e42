"""Compressed pixel data before any decoder sees them: one frame, whole, of the size that the header declares.

Decoders allocate what the stream declares and fill in what it lacks, so both are looked at first.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pydicom.encaps import generate_frames
from pydicom.uid import UID, RLELossless

from medproto.ingest.gate import unreadable
from medproto.ingest.header import MALFORMED, quiet

if TYPE_CHECKING:
    from medproto.ingest.decoding import Layout

#: Bytes that end a stream: EOI of JPEG and JPEG-LS, EOC of JPEG 2000 and HTJ2K.
END_OF_STREAM = b"\xff\xd9"
#: What pydicom raises on fragments it does not like.
FOREIGN = (*MALFORMED, RuntimeError, struct.error)


def only_frame(data: bytes) -> bytes:
    """The encapsulated frame, its fragments joined."""
    try:
        with quiet():
            frame = b"".join(generate_frames(data, number_of_frames=1))
    except FOREIGN as err:
        raise unreadable("TRUNCATED", "its pixel data fragments do not add up to a frame") from err
    if not frame:
        raise unreadable("TRUNCATED", "its pixel data are empty")
    return frame


def check_stream(frame: bytes, syntax: UID, layout: Layout) -> None:
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
