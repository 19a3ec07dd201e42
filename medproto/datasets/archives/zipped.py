"""Zip files of an archive, unpacked so that nothing in them can do harm.

1. No member leaves the folder: no absolute path, no `..`, no backslash, no drive, no link.
2. Sizes are bounded before and while unpacking, by what the zip declares and by what comes out of it.
3. An encrypted, damaged or contradictory zip is one clear sentence, without the name of a member.
4. A member that is there already with its size and checksum is not unpacked again.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from medproto.datasets.archives.tree import Progress, unwatched
from medproto.errors import InputError

CHUNK_BYTES = 1 << 20
#: What zipfile and its decompressors raise on a damaged or foreign member.
FOREIGN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)
ENCRYPTED = 0x1


@dataclass(frozen=True)
class ZipBounds:
    """How large a zip may be.

    Args:
        files: how many members.
        file_bytes: how large one of them.
        ratio: how many times the zip's own size all of them together, beyond `free_bytes`; CBIS-DDSM as a whole has
            about 5, its masks alone some hundreds.
        free_bytes: what may come out of the smallest zip.
        spare_bytes: what must stay free on the disk.
    """

    files: int = 500_000
    file_bytes: int = 2_000_000_000
    ratio: int = 500
    free_bytes: int = 1_000_000_000
    spare_bytes: int = 1_000_000_000


def unzip(path: Path, folder: Path, bounds: ZipBounds = ZipBounds(), progress: Progress = unwatched) -> Path:
    """Unpack a zip into a folder of its own, with guarantees 1 to 4 of this module, and return the folder.

    Args:
        path: the zip.
        folder: made where it does not exist, readable by its owner alone; it may hold an earlier run's files of this
            zip and nothing else.
        bounds: how large it may be.
        progress: called with members unpacked and all members.

    Raises:
        InputError: the zip is unsafe, too large, encrypted or damaged, or the folder holds other files.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")
            ]
            _check(members, bounds)
            _check_room(path, folder, members, bounds)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_folder(folder, members)
            for done, member in enumerate(members, start=1):
                _extract(archive, member, folder / member.filename)
                progress(done, len(members))
    except OSError as err:
        raise InputError(
            f"zip: cannot unpack it ({err.strerror}), expected a readable zip and a place for it"
        ) from None
    except FOREIGN as err:
        raise InputError(f"zip: it is damaged or of a kind that cannot be read ({type(err).__name__})") from err
    return folder


def _check(members: Sequence[zipfile.ZipInfo], bounds: ZipBounds) -> None:
    """Guarantees 1 to 3, as far as the directory of the zip tells."""
    if not 0 < len(members) <= bounds.files:
        raise InputError(f"zip: got {len(members)} files, expected 1 to {bounds.files}")
    seen: set[str] = set()
    for number, member in enumerate(members, start=1):
        name = member.filename
        place = PurePosixPath(name)
        unsafe = place.is_absolute() or ".." in place.parts or "\\" in name or PureWindowsPath(name).drive
        if unsafe or "\0" in member.orig_filename:
            raise InputError(f"zip: file {number} names a place outside of the archive, expected a plain relative path")
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise InputError(f"zip: file {number} is a link or a device, expected plain files")
        if member.flag_bits & ENCRYPTED:
            raise InputError(
                "zip: it is encrypted, expected one without a password: unpack it yourself and give the folder"
            )
        if member.file_size > bounds.file_bytes:
            raise InputError(f"zip: file {number} has {member.file_size} bytes, expected at most {bounds.file_bytes}")
        if str(place) in seen:
            raise InputError(f"zip: file {number} has the name of an earlier one, expected each once")
        seen.add(str(place))


def _check_room(path: Path, folder: Path, members: Sequence[zipfile.ZipInfo], bounds: ZipBounds) -> None:
    """Guarantee 2: what is declared fits the zip's size and the disk."""
    total, most = sum(member.file_size for member in members), path.stat().st_size * bounds.ratio + bounds.free_bytes
    if total > most:
        raise InputError(f"zip: it unpacks to {total} bytes, expected at most {most} from a zip of its size")
    place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    room = shutil.disk_usage(place).free - bounds.spare_bytes
    if total > room:
        raise InputError(f"zip: it unpacks to {total} bytes, expected at most {max(0, room)}, the room on the disk")


def _check_folder(folder: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    named = {str(PurePosixPath(member.filename)) for member in members}
    if any(one.relative_to(folder).as_posix() not in named for one in folder.rglob("*") if not one.is_dir()):
        raise InputError(f"zip: folder '{folder.name}' holds files that are not the zip's, expected an empty one")
    if any(one.is_symlink() for one in folder.rglob("*")):
        raise InputError(f"zip: folder '{folder.name}' holds links, expected an empty one")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Guarantees 2 and 4: unpack one member, no more bytes than declared."""
    if target.is_file() and target.stat().st_size == member.file_size and _checksum(target) == member.CRC:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(member) as packed, target.open("wb") as plain:
        while chunk := packed.read(CHUNK_BYTES):
            written += len(chunk)
            if written > member.file_size:
                raise InputError("zip: a file holds more bytes than it declares")
            plain.write(chunk)
    if written != member.file_size:
        raise InputError("zip: a file holds fewer bytes than it declares")


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return value
