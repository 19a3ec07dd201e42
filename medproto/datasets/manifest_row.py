"""One row of a manifest: its fields, and the way between them and the cells of a CSV."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from medproto.errors import ManifestError
from medproto.records import Box, Laterality, Record

Split = Literal["train", "val", "test"]

#: Version of the format that is written; a cell of `version` that is empty or absent means this first one.
FORMAT_VERSION: Final = 1
REQUIRED_COLUMNS = ("path", "patient", "exam", "side", "view", "label")
#: What may be quoted of a cell of a closed vocabulary: too short for a name, or a usual spelling of something else.
_HARMLESS = re.compile(r"[A-Za-z]{1,3}|left|right|both|none|unknown|training|validation|valid|testing|eval", re.I)
_NUMBERS = re.compile(r"[-+0-9.,e ]*")


def _tidy(text: str) -> str:
    """What looks alike must be alike: `p1` and `p1 ` would be two patients."""
    if text != text.strip():
        raise ValueError("got blanks before or after the text, expected none")
    if not text.isprintable():
        raise ValueError("got a line break or another control character, expected plain text")
    return text


def _posix(path: str) -> str:
    if "\\" in path:
        raise ValueError("got a backslash, expected folders separated by '/'")
    return path


Text = Annotated[str, Field(min_length=1), AfterValidator(_tidy)]
PosixPath = Annotated[Text, AfterValidator(_posix)]


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

    path: PosixPath
    patient: Text
    exam: Text
    image: Text
    side: Laterality | None = None
    view: Text | None = None
    label: Text
    split: Split | None = None
    boxes: tuple[Box, ...] = ()
    region: Box | None = None
    mask: PosixPath | None = None
    finding: Text | None = None
    density: Text | None = None
    birads: Text | None = None
    vendor: Text | None = None
    site: Text | None = None
    age_years: int | None = Field(default=None, ge=0, le=130)
    source: Text | None = None
    licence: Text | None = None


FIELDS = tuple(ManifestRow.model_fields)
COLUMNS = (*FIELDS, "version")
_EXPECTED = {
    "side": "expected L, R or nothing",
    "split": "expected train, val, test or nothing",
    "age_years": "expected whole years from 0 to 130 or nothing",
}


def cells_of(row: ManifestRow) -> list[str]:
    """The row's cells, in the order of `COLUMNS`."""
    return [*(_cell(getattr(row, column)) for column in FIELDS), str(FORMAT_VERSION)]


def row_of(number: int, cells: Mapping[str, str]) -> ManifestRow:
    """The row of these cells by column.

    Args:
        number: the row's number as a spreadsheet shows it, for messages.

    Raises:
        ManifestError: names row and column; quotes no cell in which a person's data may stand.
    """
    if cells.get("version", "") not in ("", str(FORMAT_VERSION)):
        raise ManifestError(
            f"row {number}, column 'version': got another version of the format, expected {FORMAT_VERSION} or nothing"
        )
    values: dict[str, object] = {name: cell for name, cell in cells.items() if cell != "" and name != "version"}
    for column in ("boxes", "region"):
        if column in values:
            values[column] = _boxes(number, column, cells[column])
    if "path" in values and "image" not in values:
        values["image"] = image_id(cells["path"])
    try:
        return ManifestRow.model_validate(values)
    except ValidationError as err:
        raise _translated(number, cells, err) from None


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
        if not _NUMBERS.fullmatch(part):
            raise ValueError("got something else, expected numbers 'top,left,bottom,right' in pixels")
        if len(edges) != 4:
            raise ValueError(f"got '{part}', expected 'top,left,bottom,right' in pixels")
        try:
            top, left, bottom, right = (float(edge) for edge in edges)
        except ValueError as err:
            raise ValueError(f"got '{part}', expected numbers 'top,left,bottom,right' in pixels") from err
        boxes.append(Box(top=top, left=left, bottom=bottom, right=right))
    return tuple(boxes)


def image_id(path: str) -> str:
    """Image id of a row that names none: a digest of its path."""
    return f"image-{hashlib.sha256(PurePosixPath(path).as_posix().encode()).hexdigest()[:16]}"


def _boxes(number: int, column: str, cell: str) -> object:
    try:
        boxes = parse_boxes(cell)
    except ValidationError as err:
        raise ManifestError(f"row {number}, column '{column}': {_message(err.errors()[0])}") from err
    except ValueError as err:
        raise ManifestError(f"row {number}, column '{column}': {err}") from err
    if column == "region" and len(boxes) != 1:
        raise ManifestError(f"row {number}, column 'region': got {len(boxes)} boxes, expected one")
    return boxes[0] if column == "region" else boxes


def _translated(number: int, cells: Mapping[str, str], err: ValidationError) -> ManifestError:
    # A missing path also leaves the image without an id: the path is what is wrong.
    fault = next(fault for fault in err.errors() if fault["loc"] != ("image",) or "image" in cells or cells.get("path"))
    column = str(fault["loc"][0])
    if fault["type"] == "value_error":
        sentence = _message(fault)
    elif column in _EXPECTED:
        # What stands in the wrong column may identify a person, even in one of a closed vocabulary.
        cell = cells[column]
        got = f"'{cell}'" if _HARMLESS.fullmatch(cell) else "something else"
        sentence = f"got {got}, {_EXPECTED[column]}"
    else:
        sentence = "got nothing usable, expected a text that is not empty"
    return ManifestError(f"row {number}, column '{column}': {sentence}")


def _message(fault: Mapping[str, object]) -> str:
    return str(fault["msg"]).removeprefix("Value error, ")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Box):
        return format_boxes([value])
    if isinstance(value, tuple):
        return format_boxes(value)
    return str(value)
