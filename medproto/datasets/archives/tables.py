"""Tables of published archives, CSV or XLSX, as rows that name themselves when a cell is wrong.

Rows are counted as a spreadsheet shows them, the header is row 1. Cells lose surrounding white space: CBIS-DDSM's paths
end in a newline inside quotes. What a table may take up is bounded before and while it is read; a CSV of another kind
is not read beyond its header.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from medproto.errors import InputError

SUFFIXES = (".csv", ".xlsx")
#: Characters of a wrong cell that a message repeats.
QUOTED = 24
#: What reading a workbook raises that is none, or damaged.
FOREIGN = (
    InvalidFileException,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    KeyError,
    ValueError,
    SyntaxError,
)
T = TypeVar("T")


@dataclass(frozen=True)
class TableBounds:
    """How large a table may be.

    Args:
        file_bytes: the file; the largest published table has 5 million.
        inflated_bytes: what a workbook unpacks to.
        line_chars: characters of one line of a CSV.
        cells: cells of a table, empty ones too: a workbook of some hundred bytes can name millions.
    """

    file_bytes: int = 200_000_000
    inflated_bytes: int = 500_000_000
    line_chars: int = 1_000_000
    cells: int = 30_000_000


BOUNDS = TableBounds()


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


def read_table(path: Path, columns: Sequence[str], bounds: TableBounds = BOUNDS) -> tuple[TableRow, ...]:
    """Rows of a table; empty where it has not all of these columns.

    Raises:
        InputError: it has the columns and a row of it cannot be read, or it is larger than the bounds.
    """
    found = _sheet(path, columns, bounds) if path.suffix.lower() == ".xlsx" else _csv(path, columns, bounds)
    lines = list(_bounded(found, path, bounds))
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


def _csv(path: Path, columns: Sequence[str], bounds: TableBounds) -> Iterator[list[str]]:
    """Header and rows of a CSV with commas or semicolons; nothing where the header lacks a column."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            first = handle.readline(bounds.line_chars)
            handle.seek(0)
            separator = ";" if first.count(";") > first.count(",") else ","
            reader = csv.reader(_lines(handle, path, bounds), delimiter=separator)
            header = [cell.strip() for cell in next(reader, [])]
            if not set(columns) <= set(header):
                return
            _check_size(path, path.stat().st_size, bounds.file_bytes)
            yield header
            for cells in reader:
                yield [cell.strip() for cell in cells]
    except OSError as err:
        raise InputError(f"{path.name}: cannot be read ({err.strerror}), expected a table") from err
    except csv.Error as err:
        raise InputError(f"{path.name}: not a CSV file at line {reader.line_num} ({err}), expected a table") from err


def _lines(handle: TextIO, path: Path, bounds: TableBounds) -> Iterator[str]:
    """Lines of a text, none of them read beyond its bound."""
    while line := handle.readline(bounds.line_chars + 1):
        if len(line) > bounds.line_chars:
            raise InputError(f"{path.name}: got a line of more than {bounds.line_chars} characters, expected a table")
        yield line


def _sheet(path: Path, columns: Sequence[str], bounds: TableBounds) -> Iterator[list[str]]:
    """Header and rows of a workbook's first sheet that has the columns; nothing where none has."""
    try:
        _check_size(path, path.stat().st_size, bounds.file_bytes)
        with zipfile.ZipFile(path) as packed:
            # zipfile hands out no more bytes of a member than it declares
            _check_size(path, sum(member.file_size for member in packed.infolist()), bounds.inflated_bytes)
        # a comment or a style that openpyxl does not know is no concern of the cells
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                lines = ([_cell(value) for value in line] for line in sheet.iter_rows(values_only=True))
                header = next(lines, [])
                if set(columns) <= set(header):
                    yield header
                    yield from lines
                    return
        finally:
            book.close()
    except FOREIGN as err:
        raise InputError(f"{path.name}: not a workbook that can be read, expected XLSX") from err


def _bounded(lines: Iterable[list[str]], path: Path, bounds: TableBounds) -> Iterator[list[str]]:
    """The lines, as long as their cells are not too many."""
    cells = 0
    for line in lines:
        cells += max(1, len(line))
        if cells > bounds.cells:
            raise InputError(f"{path.name}: got more than {bounds.cells} cells, expected a table of fewer")
        # rows that are only formatted take up no room
        yield line if any(line) else []


def _check_size(path: Path, size: int, most: int) -> None:
    if size > most:
        raise InputError(f"{path.name}: got a table of {size} bytes, expected at most {most}")


def _cell(value: object) -> str:
    if value is None:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole and isinstance(value, float) else str(value).strip()
