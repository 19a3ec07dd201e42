"""The manifest: one CSV that names every image of a data set, its patient, exam, view, label and annotations.

One image, or one region of an image, is one row. Required columns: path, patient, exam, side, view, label. A cell that
is empty means "not known" and is allowed where the field may be None. Rows are counted as a spreadsheet shows them: the
header is row 1. The last column, `version`, says which version of the format a row follows: so the file stays a plain
table whose first line is the header, which spreadsheets and data frames read and join as any other.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from medproto.datasets.manifest_row import (
    COLUMNS,
    FORMAT_VERSION,
    REQUIRED_COLUMNS,
    ManifestRow,
    Split,
    cells_of,
    format_boxes,
    image_id,
    parse_boxes,
    row_of,
)
from medproto.errors import ManifestError
from medproto.records import Box

__all__ = [
    "COLUMNS",
    "FORMAT_VERSION",
    "REQUIRED_COLUMNS",
    "Manifest",
    "ManifestRow",
    "Split",
    "check_rows",
    "format_boxes",
    "image_id",
    "parse_boxes",
    "read_manifest",
    "rebased",
    "write_manifest",
]


@dataclass(frozen=True)
class Manifest:
    """A manifest, or a part of one: valid however it came about, so that no patient in two splits goes any further.

    Args:
        path: the CSV.
        rows: at least one.
        digest: SHA-256 of the CSV's bytes, in hex.

    Raises:
        ManifestError: the rows break guarantee 2 or 3 of `read_manifest`.
    """

    path: Path
    rows: tuple[ManifestRow, ...]
    digest: str

    def __post_init__(self) -> None:
        """Check the rows."""
        check_rows(self.rows)

    def file(self, row: ManifestRow) -> Path:
        """The row's image file."""
        return self.path.parent / row.path

    def mask(self, row: ManifestRow) -> Path | None:
        """The row's lesion mask, None where it has none."""
        return None if row.mask is None else self.path.parent / row.mask

    def exams(self) -> dict[str, tuple[ManifestRow, ...]]:
        """Rows by exam, exams and rows in the order of the manifest."""
        return _grouped(self.rows, "exam")

    def patients(self) -> dict[str, tuple[ManifestRow, ...]]:
        """Rows by patient, patients and rows in the order of the manifest."""
        return _grouped(self.rows, "patient")

    def split(self, name: Split) -> tuple[ManifestRow, ...]:
        """Rows of one part of the data set; possibly none."""
        return tuple(row for row in self.rows if row.split == name)


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    1. It has the required columns and no unknown one.
    2. It has at least one row and every row is valid.
    3. No patient is in two splits, no exam or file belongs to two patients, no image or region occurs
       twice. Nothing switches this off: all that takes a manifest takes it as this noun.

    Raises:
        ManifestError: names the row and the column, never the patient.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as err:
        raise ManifestError(
            f"manifest: cannot read the file ({err.strerror or 'input/output error'}), expected a CSV file"
        ) from err
    except UnicodeDecodeError as err:
        raise ManifestError("manifest: the file is not UTF-8 text, expected a CSV file") from err
    return Manifest(path=path, rows=tuple(_parse(text)), digest=hashlib.sha256(content).hexdigest())


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> Path:
    """Write rows as a manifest, the same bytes for the same rows, and return its path.

    Raises:
        ManifestError: the rows are not a valid manifest (guarantees 2 and 3 of `read_manifest`).
    """
    check_rows(rows)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(cells_of(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue().encode())
    return path


def rebased(manifest: Manifest, folder: Path) -> tuple[ManifestRow, ...]:
    """The rows with their files addressed from another folder, for a manifest that is to be written there."""
    if folder.resolve() == manifest.path.parent.resolve():
        return manifest.rows
    way = os.path.relpath(manifest.path.parent.resolve(), folder.resolve())

    def moved(path: str) -> str:
        return path if PurePosixPath(path).is_absolute() else PurePosixPath(way, path).as_posix()

    return tuple(
        row.model_copy(update={"path": moved(row.path), "mask": row.mask and moved(row.mask)}) for row in manifest.rows
    )


def check_rows(rows: Sequence[ManifestRow]) -> None:
    """Check what one row cannot know: guarantees 2 (not empty) and 3 of `read_manifest`."""
    if not rows:
        raise ManifestError("manifest: got no rows, expected at least one image")
    split_of: dict[str, tuple[int, Split | None]] = {}
    patient_of: dict[str, tuple[int, str]] = {}
    owner_of: dict[str, tuple[int, str]] = {}
    seen: dict[tuple[str, Box | None], int] = {}
    for number, row in enumerate(rows, start=2):
        first, split = split_of.setdefault(row.patient, (number, row.split))
        if split != row.split:
            raise ManifestError(
                f"row {number}, column 'split': got '{row.split or ''}', expected '{split or ''}' as in row {first} "
                "of the same patient (a patient in two splits leaks)"
            )
        first, patient = patient_of.setdefault(row.exam, (number, row.patient))
        if patient != row.patient:
            raise ManifestError(f"row {number}, column 'patient': expected the patient of row {first}, the same exam")
        file = posixpath.normpath(row.path)
        first = seen.setdefault((file, row.region), number)
        if first != number:
            raise ManifestError(f"row {number}, column 'path': got the image or region of row {first} again")
        first, patient = owner_of.setdefault(file, (number, row.patient))
        if patient != row.patient:
            raise ManifestError(f"row {number}, column 'patient': expected the patient of row {first}, the same file")


def _grouped(rows: Iterable[ManifestRow], column: Literal["exam", "patient"]) -> dict[str, tuple[ManifestRow, ...]]:
    groups: dict[str, list[ManifestRow]] = {}
    for row in rows:
        groups.setdefault(row.exam if column == "exam" else row.patient, []).append(row)
    return {name: tuple(members) for name, members in groups.items()}


def _parse(text: str) -> Iterable[ManifestRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    empty = 0
    try:
        header = next(reader, [])
        _check_header(header)
        for number, cells in enumerate(reader, start=2):
            if not any(cells):
                empty = empty or number
                continue
            if empty:
                raise ManifestError(f"row {empty}: got an empty row between others, expected an image")
            if len(cells) != len(header):
                raise ManifestError(f"row {number}: got {len(cells)} cells, expected {len(header)} as in the header")
            yield row_of(number, dict(zip(header, cells, strict=True)))
    except csv.Error as err:
        raise ManifestError(f"manifest: not a CSV file at line {reader.line_num} ({err})") from err


def _check_header(header: Sequence[str]) -> None:
    missing = [column for column in REQUIRED_COLUMNS if column not in header]
    unknown = [column for column in header if column not in COLUMNS]
    if len(header) == 1 and {";", "\t"} & set(header[0]):
        raise ManifestError("row 1: got columns separated by semicolons or tabs, expected commas")
    if missing:
        raise ManifestError(f"row 1: column '{missing[0]}' is missing, expected at least {', '.join(REQUIRED_COLUMNS)}")
    if unknown:
        raise ManifestError(f"row 1: got unknown column '{unknown[0]}', expected only {', '.join(COLUMNS)}")
    if len(set(header)) != len(header):
        raise ManifestError("row 1: got a column twice, expected each once")
