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

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medproto.config import IngestSettings
from medproto.errors import UnreadableImage
from medproto.ingest.gate import unreadable
from medproto.ingest.header import MALFORMED, quiet, raw, text
from medproto.ingest.mammogram import Identity

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
#: Tag (0002,0000) in little endian.
GROUP_LENGTH = b"\x02\x00\x00\x00"
#: Sequence delimitation item in little endian (PS3.5 7.5.2), which four bytes of length follow.
DELIMITER = b"\xfe\xff\xdd\xe0"
#: Transfer Syntax UID is looked for in so many bytes of the file meta information.
META_BYTES = 4096
#: What pydicom raises on bytes that are not DICOM, or not to the end.
FOREIGN = (*MALFORMED, InvalidDicomError, OSError, struct.error, zlib.error)


def read_bytes(path: Path, settings: IngestSettings) -> bytes:
    """The file's bytes; UNREADABLE where it cannot be opened, HOSTILE_SIZE where it is too large to take in."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            # a device or a pipe has no size, and perhaps no end
            raise unreadable("UNREADABLE", "not a regular file")
        size = status.st_size
        if size > settings.max_file_bytes:
            raise unreadable("HOSTILE_SIZE", f"got a file of {size} bytes, expected at most {settings.max_file_bytes}")
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
            dataset = pydicom.dcmread(io.BytesIO(_inflated(data, settings)))
        except UnreadableImage:
            raise
        except InvalidDicomError as err:
            raise unreadable("NOT_DICOM") from err
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
            with path.open("rb") as file:
                start = file.read(144 + META_BYTES)
                deflated = DeflatedExplicitVRLittleEndian.encode("ascii") in start
                # pydicom inflates such a file without bound
                source = io.BytesIO(_inflated(start + file.read(), IngestSettings())) if deflated else file
                source.seek(0)
                wanted = list(keywords) if keywords else None
                return pydicom.dcmread(source, stop_before_pixels=True, specific_tags=wanted)
        except (UnreadableImage, *FOREIGN):
            return None


IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SOPInstanceUID")


def identity(header: FileDataset) -> Identity:
    """The header's identifiers; empty where absent."""
    return Identity(*(str(raw(header, keyword) or "").strip() for keyword in IDENTIFIERS))


def is_synthetic(header: FileDataset) -> bool:
    """Whether the header says SYNTHETIC, as the phantom's does."""
    return any(
        "SYNTHETIC" in text(header, keyword) for keyword in ("ImageComments", "SeriesDescription", "Manufacturer")
    )


def _inflated(data: bytes, settings: IngestSettings) -> bytes:
    """The file with its dataset inflated where it is deflated (PS3.5 A.5), at most to an accepted size."""
    # PS3.10 7.1: the group length comes first and says where the file meta information ends
    group, length = struct.unpack("<4s4xI", data[132:144]) if len(data) >= 144 else (b"", 0)
    start = 144 + length
    if DeflatedExplicitVRLittleEndian.encode("ascii") not in data[144 : 144 + META_BYTES]:
        return data
    if group != GROUP_LENGTH:
        raise unreadable("NOT_DICOM")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(data[start:], settings.max_file_bytes)
    if inflater.unconsumed_tail:
        raise unreadable("HOSTILE_SIZE", f"it inflates to more than {settings.max_file_bytes} bytes")
    if not inflater.eof:
        raise unreadable("TRUNCATED", "its deflated data have no end")
    packer = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    return data[:start] + packer.compress(plain) + packer.flush()
