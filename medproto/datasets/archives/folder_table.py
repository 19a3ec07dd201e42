"""The table that labels a plain folder: a CSV with columns file and label, and what else its owner knows.

A wrong cell is named by row and column and never repeated: the table is a hospital's own and may name patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from medproto.datasets.archives.tables import TableRow, read_table
from medproto.datasets.manifest import ManifestRow, parse_boxes
from medproto.errors import InputError

REQUIRED = ("file", "label")
#: Columns whose cells go to the manifest as they are; a patient and an exam become pseudonyms.
COPIED = ("label", "side", "view", "split", "finding", "density", "birads", "vendor", "site", "age_years")
IDENTIFYING = ("patient", "exam")
COLUMNS = (*REQUIRED, *COPIED[1:], "boxes", *IDENTIFYING)
BLANK = ManifestRow(path=".", patient=".", exam=".", image=".", label=".")
NOT_REPEATED = "something else"


def read_labels(path: Path) -> dict[str, TableRow]:
    """Rows by file, which is relative to the folder.

    Raises:
        InputError: names the row and column that is wrong, never the file.
    """
    try:
        # the table's own name may be a patient's
        table = [replace(row, table="labels") for row in read_table(path, REQUIRED)]
    except InputError as err:
        raise InputError("labels: cannot read the table, expected a CSV with columns file and label") from err
    if not table:
        raise InputError("labels: got no row under columns file and label, expected one for each labelled image")
    unknown = [column for column in table[0].cells if column not in COLUMNS]
    if unknown:
        raise InputError(f"labels: row 1: got {len(unknown)} unknown columns, expected only {', '.join(COLUMNS)}")
    rows: dict[str, TableRow] = {}
    for row in table:
        row.text("label")
        # every cell is tried now: a wrong one is not found after an hour of reading
        described(BLANK, row)
        first = rows.setdefault(row.text("file"), row)
        if first is not row:
            raise row.wrong("file", f"another file than that of row {first.number}", "the same file again")
    return rows


def described(row: ManifestRow, said: TableRow) -> ManifestRow:
    """The row with what the table says of its file; an empty cell says nothing.

    Raises:
        InputError: a cell is not of the manifest's form.
    """
    values: dict[str, object] = {column: cell for column in COPIED if (cell := said.get(column))}
    if "side" in values:
        values["side"] = said.get("side").upper()
    if "age_years" in values:
        values["age_years"] = said.whole("age_years", 130)
    if said.get("boxes"):
        try:
            values["boxes"] = parse_boxes(said.get("boxes"))
        except ValueError as err:
            raise said.wrong("boxes", "top,left,bottom,right;... in pixels", NOT_REPEATED) from err
    kept: Mapping[str, object] = dict(row)
    try:
        return ManifestRow.model_validate({**kept, **values})
    except ValidationError as err:
        column = str(err.errors()[0]["loc"][0])
        expected = {"side": "L, R or nothing", "split": "train, val, test or nothing"}.get(column, "a plain text")
        raise said.wrong(column, expected, NOT_REPEATED) from err
