"""Zips as they are uploaded: every file in them, or one sentence, whatever the bytes are.

An archive is read in the server's own process. So its table of contents is bounded before anything is made of it, and
of the ways to pack those two are read that need next to no memory.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, BinaryIO, Final

from medproto.errors import InputError

#: What the tables of contents of large exams take is a hundredth of this.
MOST_CONTENTS_BYTES: Final = 8 * 2**20
_WAYS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: The last record, with the longest comment there can be behind it, and what stands before it in large archives.
_END, _END_64, _LONGEST_TAIL = b"PK\x05\x06", b"PK\x06\x06", 22 + 65_535 + 20 + 56
_ELSEWHERE: Final = b"\xff" * 4
_REFUSED: Final = "import: got a zip that cannot be unpacked, expected a whole one, deflated and without a password"


def unpack(content: BinaryIO, take: Callable[[IO[bytes]], None]) -> None:
    """Hand every file of an archive over; its folders do not matter.

    Args:
        content: the archive.
        take: is given each file, to be read while it is called.

    Raises:
        InputError: it is damaged, encrypted, packed in another way, or has too long a table of contents.
    """
    if _contents_bytes(content) > MOST_CONTENTS_BYTES:
        raise InputError("import: got a zip of too many files, expected fewer; bring them in parts")
    try:
        with zipfile.ZipFile(content) as archive:
            for member in archive.infolist():
                if member.compress_type not in _WAYS:
                    raise InputError(_REFUSED)
                if not member.is_dir():
                    with archive.open(member) as file:
                        take(file)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as err:
        # RuntimeError: it is encrypted; its text would name the member.
        raise InputError(_REFUSED) from err


def _contents_bytes(content: BinaryIO) -> int:
    """The longest table of contents that anything at the archive's end speaks of, and no more than there is."""
    size = content.seek(0, os.SEEK_END)
    content.seek(max(0, size - _LONGEST_TAIL))
    tail = content.read()
    content.seek(0)
    said = [0]
    for sign, form, offset in ((_END, "<I", 12), (_END_64, "<Q", 40)):
        # Every place, for it is the archive that says which of them counts.
        for found in re.finditer(re.escape(sign), tail):
            field = tail[found.start() + offset :][: struct.calcsize(form)]
            if len(field) == struct.calcsize(form) and field != _ELSEWHERE:
                said.append(struct.unpack(form, field)[0])
    return min(max(said), size)
