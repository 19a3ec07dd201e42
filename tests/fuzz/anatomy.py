"""A DICOM file taken apart into its elements and fragments, byte by byte, and put together again.

It is written apart from pydicom, so that a mutation can make what no writer would write.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
#: Value representations whose explicit form has two reserved bytes and four of length (PS3.5 7.1.2).
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


class File(NamedTuple):
    """Preamble with file meta information, and the data set, inflated where the file is deflated."""

    head: bytes
    body: bytes
    syntax: str

    @property
    def explicit(self) -> bool:
        """Whether elements name their value representation."""
        return self.syntax != ImplicitVRLittleEndian

    @property
    def order(self) -> str:
        """Byte order as in `struct`."""
        return ">" if self.syntax == ExplicitVRBigEndian else "<"


class Element(NamedTuple):
    """One element of the data set by the positions of its first byte, its value and the byte after it."""

    tag: int
    start: int
    value: int
    end: int
    vr: bytes
    undefined: bool


def opened(data: bytes, syntax: str) -> File:
    """The file that a seed's bytes are."""
    start = 144 + int.from_bytes(data[140:144], "little")
    body = data[start:]
    if syntax == DeflatedExplicitVRLittleEndian:
        body = zlib.decompress(body, -zlib.MAX_WBITS)
    return File(data[:start], body, syntax)


def closed(file: File) -> bytes:
    """The bytes of a file."""
    if file.syntax != DeflatedExplicitVRLittleEndian:
        return file.head + file.body
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return file.head + packer.compress(file.body) + packer.flush()


def elements(file: File) -> list[Element]:
    """The data set's own elements, in the order of the file; those of sequences lie within theirs."""
    found, position = [], 0
    while position < len(file.body):
        element = _element(file, position)
        found.append(element)
        position = element.end
    return found


def pixel_data(file: File) -> Element | None:
    """The element that holds the picture."""
    return next((one for one in elements(file) if one.tag == PIXEL_DATA), None)


def fragments(file: File) -> list[bytes] | None:
    """Offset table and fragments of compressed pixel data; None where they are not compressed."""
    element = pixel_data(file)
    if element is None or not element.undefined:
        return None
    found, position = [], element.value
    while _tag(file, position) == ITEM:
        length = struct.unpack_from("<I", file.body, position + 4)[0]
        found.append(file.body[position + 8 : position + 8 + length])
        position += 8 + length
    return found


def with_fragments(file: File, pieces: list[bytes], tail: bytes = b"\xfe\xff\xdd\xe0\0\0\0\0") -> bytes:
    """The file with these as offset table and fragments; `tail` ends the sequence."""
    framed = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(piece)) + piece for piece in pieces)
    element = pixel_data(file)
    if element is None:
        return closed(file)
    return closed(file._replace(body=file.body[: element.value] + framed + tail + file.body[element.end :]))


def written(file: File, tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One element as this file would hold it; `length` may say something else than the value does."""
    size = len(value) if length is None else length
    start = struct.pack(file.order + "HH", tag >> 16, tag & 0xFFFF)
    if not file.explicit:
        return start + struct.pack(file.order + "I", size) + value
    if vr in LONG:
        return start + vr + b"\0\0" + struct.pack(file.order + "I", size) + value
    return start + vr + struct.pack(file.order + "H", size & 0xFFFF) + value


def _tag(file: File, position: int) -> int:
    group, element = struct.unpack_from(file.order + "HH", file.body, position)
    return int(group) << 16 | int(element)


def _element(file: File, position: int) -> Element:
    tag = _tag(file, position)
    vr, at = b"", position + 4
    if file.explicit and tag >> 16 != 0xFFFE:
        vr, at = file.body[at : at + 2], at + 2
        if vr not in LONG:
            (length,) = struct.unpack_from(file.order + "H", file.body, at)
            return Element(tag, position, at + 2, at + 2 + length, vr, False)
        at += 2
    (length,) = struct.unpack_from(file.order + "I", file.body, at)
    end = _end_of_items(file, at + 4) if length == UNDEFINED else at + 4 + length
    return Element(tag, position, at + 4, end, vr, length == UNDEFINED)


def _end_of_items(file: File, position: int) -> int:
    """Position after the delimiter of a sequence or of pixel data of undefined length."""
    while (tag := _tag(file, position)) != SEQUENCE_END:
        (length,) = struct.unpack_from(file.order + "I", file.body, position + 4)
        position += 8
        if tag != ITEM:
            raise ValueError("a seed's sequence holds something else than items")
        if length != UNDEFINED:
            position += length
            continue
        while _tag(file, position) != ITEM_END:
            position = _element(file, position).end
        position += 8
    return position + 8
