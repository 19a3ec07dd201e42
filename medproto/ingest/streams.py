"""Compressed pixel data before any decoder sees them: one frame, whole, of the size that the header declares.

Decoders allocate what a stream declares, fill in what it lacks and pass over what they do not know, and the one does it
otherwise than the other. A stream that is not in order from its first byte to its last is refused instead.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pydicom.uid import UID, RLELossless

from medproto.ingest.codestream import CODESTREAM_SYNTAXES, check_codestream
from medproto.ingest.gate import unreadable
from medproto.ingest.jpeg import check_jpeg

if TYPE_CHECKING:
    from medproto.ingest.decoding import Layout

#: Compressed data, or a view of them.
Stream = bytes | memoryview
#: Item tag in little endian, which four bytes of length follow (PS3.5 A.4).
ITEM = b"\xfe\xff\x00\xe0"


def only_frame(data: bytes) -> Stream:
    """The encapsulated frame, its fragments joined (PS3.5 A.4); a single fragment is not copied.

    Args:
        data: offset table and fragments, without the delimiter that ends them.
    """
    table, *fragments = _items(data)
    if table not in (b"", bytes(4)):
        raise unreadable("UNDECODABLE", "its offset table is not that of a single frame")
    frame = fragments[0] if len(fragments) == 1 else b"".join(fragments)
    if not frame:
        raise unreadable("TRUNCATED", "its pixel data are empty")
    return frame


def check_stream(frame: Stream, syntax: UID, layout: Layout) -> None:
    """The stream is whole, is of its syntax, and declares what the header does; RLE is checked where it is unpacked."""
    if syntax == RLELossless:
        return
    if syntax in CODESTREAM_SYNTAXES:
        check_codestream(frame, syntax, layout)
    else:
        check_jpeg(frame, syntax, layout)


def _items(data: bytes) -> list[memoryview]:
    """Values of the items, of which there is at least one."""
    found = []
    view = memoryview(data)
    position = 0
    while position < len(data):
        if data[position : position + 4] != ITEM or position + 8 > len(data):
            raise unreadable("TRUNCATED", "its pixel data fragments do not follow one another")
        (length,) = struct.unpack_from("<I", data, position + 4)
        position += 8 + length
        if position > len(data):
            raise unreadable("TRUNCATED", "a fragment of its pixel data is cut")
        found.append(view[position - length : position])
    if not found:
        raise unreadable("TRUNCATED", "its pixel data are empty")
    return found
