"""From a file to a pydicom dataset: the one edge where foreign exceptions and warnings of parsing end.

Whole files are parsed from memory, so a length that lies about gigabytes reads no more than the file holds.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from medproto.config import IngestSettings
from medproto.errors import UnreadableImage
from medproto.ingest.gate import unreadable
from medproto.ingest.header import MALFORMED, quiet, raw, text
from medproto.ingest.mammogram import Identity

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
#: Group and Transfer Syntax UID of the file meta information, in little endian.
META_GROUP, TRANSFER_SYNTAX = b"\x02\x00", b"\x02\x00\x10\x00"
DEFLATED, EXPLICIT = (one.encode("ascii") for one in (DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian))
#: Value representations with four bytes of length (PS3.5 7.1.2).
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
#: Sequence delimitation item in little endian (PS3.5 7.5.2), which four bytes of length follow.
DELIMITER = b"\xfe\xff\xdd\xe0"
#: Transfer Syntax UID is looked for in so many bytes where a file is not read as a whole.
META_BYTES = 1 << 16
#: What a deflated file may inflate to: uncompressed pixels, and so much beside them.
MAX_BYTES_PER_PIXEL, HEADER_BYTES = 2, 64 * 1024**2
#: Limits of reading headers alone.
LIMITS = IngestSettings()
#: What pydicom raises on bytes that are not DICOM, or not to the end.
FOREIGN = (*MALFORMED, InvalidDicomError, OSError, struct.error, zlib.error)


class Meta(NamedTuple):
    """What the file meta information says: the transfer syntax, empty where it does not, and where it ends."""

    syntax: bytes
    end: int


def read_bytes(path: Path, settings: IngestSettings) -> bytes:
    """The file's bytes; UNREADABLE where it cannot be opened, HOSTILE_SIZE where it is too large to take in."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            # a device or a pipe has no size, and perhaps no end
            raise unreadable("UNREADABLE", "not a regular file")
        size = status.st_size
        if size > settings.max_file_bytes:
            got = f"got a file of {size:,} bytes"
            raise unreadable("HOSTILE_SIZE", f"{got}, expected at most {settings.max_file_bytes:,}")
        return path.read_bytes()
    except OSError as err:
        # the text of an OSError repeats the path, which may name the patient
        raise unreadable("UNREADABLE", (err.strerror or "input/output error").lower()) from None


def parse(data: bytes, settings: IngestSettings) -> FileDataset:
    """The dataset of a complete DICOM file."""
    if data[PREAMBLE_BYTES : PREAMBLE_BYTES + len(MAGIC)] != MAGIC:
        raise unreadable("NOT_DICOM")
    with quiet() as heard:
        try:
            meta = _meta(data)
            dataset = pydicom.dcmread(io.BytesIO(_plain(data, meta, settings)))
            _name_syntax(dataset, meta)
        except UnreadableImage:
            raise
        except InvalidDicomError as err:
            raise unreadable("NOT_DICOM") from err
        except RecursionError as err:
            raise unreadable("HOSTILE_SIZE", "its sequences are nested too deeply") from err
        except FOREIGN as err:
            raise unreadable("TRUNCATED", "its elements cannot be read to the end") from err
    # pydicom warns of an early end of file and goes on with what it has
    if any("end of file" in message.lower() for message in heard):
        raise unreadable("TRUNCATED", "it ends before its last element does")
    last = data.rfind(DELIMITER)
    if last >= 0 and last + 8 > len(data):
        raise unreadable("TRUNCATED", "its last delimiter is cut")
    return dataset


def read_identity(path: Path) -> Identity | None:
    """Who and which image the header says this is; None where that cannot be read."""
    header = read_header(path, IDENTIFIERS)
    found = identity(header) if header is not None else None
    return found if found and any((found.patient_id, found.study_uid, found.sop_uid)) else None


def read_header(path: Path, keywords: Sequence[str] | None = None) -> FileDataset | None:
    """The elements before the pixel data, as far as they go; None where none can be read.

    Args:
        keywords: the elements wanted; all where None.
    """
    with quiet():
        try:
            if not path.is_file():
                # a device or a pipe has no end
                return None
            with path.open("rb") as file:
                meta = _meta(file.read(META_BYTES))
            inflated = meta.syntax == DEFLATED
            source = io.BytesIO(_plain(read_bytes(path, LIMITS), meta, LIMITS)) if inflated else path
            wanted = list(keywords) if keywords else None
            header = pydicom.dcmread(source, stop_before_pixels=True, specific_tags=wanted)
            _name_syntax(header, meta)
            return header
        except (UnreadableImage, *FOREIGN):
            return None


IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDate")


def identity(header: FileDataset) -> Identity:
    """The header's identifiers and the study's date; empty where absent."""
    # a sequence in their place is none: pydicom's text of one grows twofold with every level that it is nested
    values = [raw(header, keyword) for keyword in IDENTIFIERS]
    return Identity(*(str(value).strip() if isinstance(value, str | MultiValue) else "" for value in values))


def is_synthetic(header: FileDataset) -> bool:
    """Whether the header says SYNTHETIC, as the phantom's does."""
    return any(
        "SYNTHETIC" in text(header, keyword) for keyword in ("ImageComments", "SeriesDescription", "Manufacturer")
    )


def _plain(data: bytes, meta: Meta, settings: IngestSettings) -> bytes:
    """The file with its dataset inflated where it is deflated (PS3.5 A.5), at most to the size of an accepted picture.

    An inflated file says Explicit VR Little Endian, so that pydicom does not inflate it without bound.
    """
    if meta.syntax != DEFLATED:
        return data
    limit = min(settings.max_file_bytes, MAX_BYTES_PER_PIXEL * settings.max_pixels + HEADER_BYTES)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(data[meta.end :], limit)
    if inflater.unconsumed_tail:
        raise unreadable("HOSTILE_SIZE", f"it inflates to more than {limit} bytes")
    if not inflater.eof or inflater.unused_data.removeprefix(_gzip_end(plain)).strip(b"\0"):
        raise unreadable("TRUNCATED", "its deflated data have no end, or do not end with the file")
    return data[: meta.end].replace(DEFLATED, EXPLICIT.ljust(len(DEFLATED), b"\0")) + plain


def _gzip_end(plain: bytes) -> bytes:
    """What RFC 1952 has follow deflated data: checksum and length, which some of the standard's samples end with."""
    return struct.pack("<II", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)


def _name_syntax(dataset: FileDataset, meta: Meta) -> None:
    """Have an inflated dataset name the transfer syntax of its file again."""
    if meta.syntax == DEFLATED:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def _meta(data: bytes) -> Meta:
    """Where the file meta information ends and what it says (PS3.10 7.1: Explicit VR Little Endian, group 0002).

    pydicom would follow a transfer syntax that is not found here, and inflate what it likes.
    """
    position, syntax = PREAMBLE_BYTES + len(MAGIC), b""
    while data[position : position + 2] == META_GROUP:
        tag, vr = data[position : position + 4], data[position + 4 : position + 6]
        if not (vr.isalpha() and vr.isupper()) or position + 12 > len(data):
            raise unreadable("NOT_DICOM")
        if vr in LONG:
            start, (length,) = position + 12, struct.unpack_from("<I", data, position + 8)
        else:
            start, (length,) = position + 8, struct.unpack_from("<H", data, position + 6)
        position = start + length
        if tag == TRANSFER_SYNTAX:
            syntax = data[start:position].rstrip(b" \0")
    return Meta(syntax, position)
