"""Tables of published archives, CSV or XLSX, as rows that name themselves when a cell is wrong.

Rows are counted as a spreadsheet shows them, the header is row 1. Cells lose surrounding white space: CBIS-DDSM's paths
end in a newline inside quotes.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from medproto.errors import InputError

SUFFIXES = (".csv", ".xlsx")
#: Characters of a wrong cell that a message repeats.
QUOTED = 24
T = TypeVar("T")


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Args:
        table: name of the table's file.
        number: the row as a spreadsheet counts it.
        cells: texts by column, in the header's spelling.
    """

    table: str
    number: int
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        """The cell; empty where it is empty or the table has no such column."""
        return self.cells.get(column, "")

    def text(self, column: str) -> str:
        """The cell, which must not be empty."""
        if not (cell := self.get(column)):
            raise self.wrong(column, "a text that is not empty", "nothing")
        return cell

    def choice(self, column: str, values: Mapping[str, T]) -> T:
        """The value that the cell stands for, whatever its case."""
        cell = self.get(column).upper()
        if cell not in values:
            raise self.wrong(column, f"one of {', '.join(filter(None, values))}", f"'{self.get(column)[:QUOTED]}'")
        return values[cell]

    def number_of(self, column: str) -> float | None:
        """The cell as a finite number; None where it is empty."""
        if not (cell := self.get(column)) or cell.lower() == "nan":
            return None
        try:
            number = float(cell)
        except ValueError:
            number = float("inf")
        if not abs(number) < 1e15:
            raise self.wrong(column, "a number or nothing", f"'{cell[:QUOTED]}'")
        return number

    def whole(self, column: str, most: int) -> int | None:
        """The cell as a whole number from 0 to `most`, written with or without `.0`; None where it is empty."""
        number = self.number_of(column)
        if number is not None and not (0 <= number <= most and number == int(number)):
            raise self.wrong(column, f"a whole number from 0 to {most}", f"'{self.get(column)[:QUOTED]}'")
        return None if number is None else int(number)

    def wrong(self, column: str, expected: str, got: str = "something else") -> InputError:
        """The error that names table, row and column."""
        return InputError(f"{self.table}: row {self.number}, column '{column}': got {got}, expected {expected}")


def find_table(root: Path, files: Iterable[str], columns: Sequence[str]) -> tuple[TableRow, ...]:
    """Rows of the one table that has these columns; empty where there is none.

    Raises:
        InputError: there are several.
    """
    found = find_tables(root, files, columns)
    if len(found) > 1:
        raise InputError(f"{found[0][0].table}: got {len(found)} tables of this kind in the folder, expected one")
    return found[0] if found else ()


def find_tables(root: Path, files: Iterable[str], columns: Sequence[str]) -> list[tuple[TableRow, ...]]:
    """Rows of every table that has these columns, whatever its name; tables without rows are passed over.

    Args:
        root: the archive's folder.
        files: relative paths of its files.
        columns: what the header must hold.
    """
    found = []
    for file in files:
        if file.lower().endswith(SUFFIXES) and not file.rpartition("/")[2].startswith((".", "~")):
            rows = read_table(root / file, columns)
            found += [rows] if rows else []
    return found


def read_table(path: Path, columns: Sequence[str]) -> tuple[TableRow, ...]:
    """Rows of a table; empty where it has not all of these columns.

    Raises:
        InputError: it has the columns and a row of it cannot be read.
    """
    lines = _sheet(path, columns) if path.suffix.lower() == ".xlsx" else _csv(path, columns)
    if not lines:
        return ()
    header, *body = lines
    rows = []
    for number, cells in enumerate(body, start=2):
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise InputError(f"{path.name}: row {number}: got {len(cells)} cells, expected {len(header)} as in row 1")
        if any(cells):
            padded = [*cells, *[""] * (len(header) - len(cells))]
            rows.append(TableRow(path.name, number, dict(zip(header, padded, strict=False))))
    return tuple(rows)


def _csv(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Header and rows of a CSV with commas or semicolons; empty where the header lacks a column."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as err:
        raise InputError(f"{path.name}: cannot be read ({err.strerror}), expected a table") from err
    first = text.partition("\n")[0]
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if not set(columns) <= set(header):
            return []
        return [header, *([cell.strip() for cell in cells] for cells in reader)]
    except csv.Error as err:
        raise InputError(f"{path.name}: not a CSV file at line {reader.line_num} ({err}), expected a table") from err


def _sheet(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Header and rows of a workbook's first sheet that has the columns; empty where none has."""
    try:
        # a comment or a style that openpyxl does not know is no concern of the cells
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                lines = [[_cell(value) for value in line] for line in sheet.iter_rows(values_only=True)]
                if lines and set(columns) <= set(lines[0]):
                    return lines
        finally:
            book.close()
    except (InvalidFileException, zipfile.BadZipFile, OSError, KeyError, ValueError, SyntaxError) as err:
        raise InputError(f"{path.name}: not a workbook that can be read, expected XLSX") from err
    return []


def _cell(value: object) -> str:
    if value is None:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole and isinstance(value, float) else str(value).strip()
