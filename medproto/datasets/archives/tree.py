"""The files below an archive's folder, and what their headers say."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from medproto.errors import InputError
from medproto.ingest.header import quiet, raw, whole
from medproto.ingest.opening import FOREIGN
from medproto.ingest.tags import maker
from medproto.ingest.views import name_image
from medproto.records import Laterality

DICOM_SUFFIXES = (".dcm", ".dicom")
Progress = Callable[[int, int], None]
_AGE = re.compile(r"0*(\d{1,3})Y?")


@dataclass(frozen=True)
class Facts:
    """What an image's header says; None or empty where it does not say."""

    patient: str = ""
    series: str = ""
    side: Laterality | None = None
    view: str | None = None
    vendor: str | None = None
    age_years: int | None = None
    size: tuple[int | None, int | None] = (None, None)


def unwatched(done: int, total: int) -> None:
    """Progress that nobody watches."""


def list_files(root: Path) -> tuple[str, ...]:
    """Every plain file below the folder: sorted, relative, posix; links to folders are not followed.

    What macOS puts beside a file on foreign disks, `._` before its name, is passed over.

    Raises:
        InputError: the folder is not there or holds no file.
    """
    if not root.is_dir():
        raise InputError("archive: got no folder of that name, expected the archive's folder or a zip of it")
    paths = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    # a pipe or a device among them would never end
    plain = (path for path in paths if path.is_file() and not path.name.startswith("._"))
    found = [path.relative_to(root).as_posix() for path in plain]
    if not found:
        raise InputError("archive: got an empty folder, expected the archive's files")
    return tuple(sorted(found))


def dicom_files(files: Iterable[str]) -> tuple[str, ...]:
    """Those that are DICOM by their name."""
    return tuple(file for file in files if file.lower().endswith(DICOM_SUFFIXES))


def by_tail(files: Iterable[str]) -> Mapping[str, str]:
    """DICOM files by folder and name without suffix, such as `images/0a1b`, the first of several."""
    found: dict[str, str] = {}
    for file in dicom_files(files):
        found.setdefault("/".join(file.rpartition(".")[0].split("/")[-2:]), file)
    return found


def read_header(path: Path) -> Dataset:
    """The header's elements before the pixel data; empty where the file cannot be read as DICOM."""
    with quiet():
        try:
            return pydicom.dcmread(path, stop_before_pixels=True)
        except FOREIGN:
            return Dataset()


def facts(header: Dataset) -> Facts:
    """What adaptors need of a header."""
    naming = name_image(header)
    return Facts(
        patient=_text(header, "PatientID"),
        series=_text(header, "SeriesInstanceUID"),
        side=naming.laterality,
        view=naming.view,
        vendor=maker(header),
        age_years=age_years(_text(header, "PatientAge")),
        size=(whole(header, "Rows"), whole(header, "Columns")),
    )


def age_years(text: str) -> int | None:
    """Years of a DICOM age string (PS3.5 6.2, such as `049Y`) or a plain number; None where it is neither, or 0."""
    match = _AGE.fullmatch(text.strip().upper())
    # `000Y` is what anonymisers leave
    return int(match[1]) if match and 0 < int(match[1]) <= 130 else None


def _text(header: Dataset, keyword: str) -> str:
    value = raw(header, keyword)
    return " ".join(value.split()) if isinstance(value, str) else ""
