"""The manifest: one CSV that names every image of a data set, its patient, exam, view, label and annotations.

One image, or one region of an image, is one row. Required columns: path, patient, exam, side, view, label. A cell that
is empty means "not known" and is allowed where the field may be None. Rows are counted as a spreadsheet shows them: the
header is row 1.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from medproto.errors import ManifestError
from medproto.records import Box, Laterality, Record

Split = Literal["train", "val", "test"]
Name = Annotated[str, Field(min_length=1)]

REQUIRED_COLUMNS = ("path", "patient", "exam", "side", "view", "label")


class ManifestRow(Record):
    """One image, or one region of it.

    Args:
        path: file, posix, relative to the manifest's folder or absolute.
        patient: pseudonymous patient; the unit of every split.
        exam: pseudonymous exam; its images are scored as one bag.
        image: pseudonymous image id.
        side: breast imaged, None where the source does not say.
        view: view position such as `CC` or `MLO`.
        label: class of this image.
        split: part of the data set the patient belongs to.
        boxes: findings, in original pixels.
        region: rectangle in original pixels to be used instead of the whole breast.
        mask: PNG lesion mask at original size, addressed as `path` is.
        finding: what kind of finding the image shows.
        density: breast density as the source codes it.
        birads: BI-RADS assessment as the source gives it.
        vendor: maker of the imaging device.
        site: hospital or machine the image was taken at, as the source codes it.
        age_years: the patient's age at the exam.
        source: data set the image comes from.
        licence: licence of the image.
    """

    path: Name
    patient: Name
    exam: Name
    image: Name
    side: Laterality | None = None
    view: str | None = None
    label: Name
    split: Split | None = None
    boxes: tuple[Box, ...] = ()
    region: Box | None = None
    mask: str | None = None
    finding: str | None = None
    density: str | None = None
    birads: str | None = None
    vendor: str | None = None
    site: str | None = None
    age_years: int | None = Field(default=None, ge=0, le=130)
    source: str | None = None
    licence: str | None = None


COLUMNS = tuple(ManifestRow.model_fields)


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read and is valid.

    Args:
        path: the CSV.
        rows: at least one.
        digest: SHA-256 of the CSV's bytes, in hex.
    """

    path: Path
    rows: tuple[ManifestRow, ...]
    digest: str

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
    3. No patient is in two splits, no exam belongs to two patients, no image or region occurs twice.

    Raises:
        ManifestError: names the row and the column, never the patient.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as err:
        raise ManifestError(f"manifest: cannot read '{path.name}' ({err.strerror}), expected a CSV file") from err
    except UnicodeDecodeError as err:
        raise ManifestError(f"manifest: '{path.name}' is not UTF-8 text, expected a CSV file") from err
    rows = tuple(_parse(text))
    check_rows(rows)
    return Manifest(path=path, rows=rows, digest=hashlib.sha256(content).hexdigest())


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
        writer.writerow([_cell(getattr(row, column)) for column in COLUMNS])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue().encode())
    return path


def check_rows(rows: Sequence[ManifestRow]) -> None:
    """Check what one row cannot know: guarantees 2 (not empty) and 3 of `read_manifest`."""
    if not rows:
        raise ManifestError("manifest: got no rows, expected at least one image")
    split_of: dict[str, tuple[int, Split | None]] = {}
    patient_of: dict[str, tuple[int, str]] = {}
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
        first = seen.setdefault((row.path, row.region), number)
        if first != number:
            raise ManifestError(f"row {number}, column 'path': got the image or region of row {first} again")


def format_boxes(boxes: Iterable[Box]) -> str:
    """Boxes as a cell: `top,left,bottom,right;...`, whole numbers without a fraction."""
    edges = ((box.top, box.left, box.bottom, box.right) for box in boxes)
    return ";".join(",".join(repr(int(v)) if v == int(v) else repr(v) for v in edge) for edge in edges)


def parse_boxes(cell: str) -> tuple[Box, ...]:
    """Boxes of a cell.

    Raises:
        ValueError: a box has not four numbers, or no area.
    """
    boxes = []
    for part in cell.split(";"):
        edges = part.split(",")
        if len(edges) != 4:
            raise ValueError(f"got '{part}', expected 'top,left,bottom,right' in pixels")
        top, left, bottom, right = (float(edge) for edge in edges)
        boxes.append(Box(top=top, left=left, bottom=bottom, right=right))
    return tuple(boxes)


def image_id(path: str) -> str:
    """Image id of a row that names none: a digest of its path."""
    return f"image-{hashlib.sha256(PurePosixPath(path).as_posix().encode()).hexdigest()[:16]}"


def _grouped(rows: Iterable[ManifestRow], column: Literal["exam", "patient"]) -> dict[str, tuple[ManifestRow, ...]]:
    groups: dict[str, list[ManifestRow]] = {}
    for row in rows:
        groups.setdefault(row.exam if column == "exam" else row.patient, []).append(row)
    return {name: tuple(members) for name, members in groups.items()}


def _parse(text: str) -> Iterable[ManifestRow]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        _check_header(header)
        for number, cells in enumerate(reader, start=2):
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise ManifestError(f"row {number}: got {len(cells)} cells, expected {len(header)} as in the header")
            yield _row(number, dict(zip(header, cells, strict=True)))
    except csv.Error as err:
        raise ManifestError(f"manifest: not a CSV file at line {reader.line_num} ({err})") from err


def _check_header(header: Sequence[str]) -> None:
    missing = [column for column in REQUIRED_COLUMNS if column not in header]
    unknown = [column for column in header if column not in COLUMNS]
    if missing:
        raise ManifestError(f"row 1: column '{missing[0]}' is missing, expected at least {', '.join(REQUIRED_COLUMNS)}")
    if unknown:
        raise ManifestError(f"row 1: got unknown column '{unknown[0]}', expected only {', '.join(COLUMNS)}")
    if len(set(header)) != len(header):
        raise ManifestError("row 1: got a column twice, expected each once")


def _row(number: int, cells: Mapping[str, str]) -> ManifestRow:
    values: dict[str, object] = {column: cell for column, cell in cells.items() if cell != ""}
    for column in ("boxes", "region"):
        cell = cells.get(column, "")
        if not cell:
            continue
        try:
            boxes = parse_boxes(cell)
        except ValueError as err:
            raise ManifestError(f"row {number}, column '{column}': {_reason(err)}") from err
        if column == "region" and len(boxes) != 1:
            raise ManifestError(f"row {number}, column 'region': got {len(boxes)} boxes, expected one")
        values[column] = boxes[0] if column == "region" else boxes
    if "path" in values:
        values.setdefault("image", image_id(cells["path"]))
    try:
        return ManifestRow.model_validate(values)
    except ValidationError as err:
        fault = next(f for f in err.errors() if f["loc"] != ("image",) or "path" in values)
        column = str(fault["loc"][0])
        # What stands in a free column may identify a person, so only closed vocabularies are quoted.
        got = f"got '{cells[column]}'" if column in ("side", "split") else "got nothing usable"
        raise ManifestError(f"row {number}, column '{column}': {got}, {_expected(column)}") from err


def _reason(err: ValueError) -> str:
    if isinstance(err, ValidationError):
        return str(err.errors()[0]["msg"]).removeprefix("Value error, ")
    text = str(err)
    return text if text.startswith("got") else f"{text}, expected numbers in pixels"


def _expected(column: str) -> str:
    return {"side": "expected L, R or nothing", "split": "expected train, val, test or nothing"}.get(
        column, "expected a text that is not empty"
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Box):
        return format_boxes([value])
    if isinstance(value, tuple):
        return format_boxes(value)
    return str(value)
