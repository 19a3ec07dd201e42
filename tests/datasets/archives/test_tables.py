"""Published tables are read as spreadsheets show them, and a wrong cell names its place."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pytest

from medproto.datasets.archives.tables import TableBounds, TableRow, find_table, find_tables, read_table
from medproto.errors import InputError


def row(**cells: str) -> TableRow:
    """One row."""
    return TableRow("t.csv", 7, cells)


def test_cells_lose_line_breaks_and_a_mark_of_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffa,b\r\n1,"x/y.dcm\n"\r\n\r\n2\r\n'.encode())
    rows = read_table(path, ["a", "b"])
    assert [(one.number, one.get("a"), one.get("b")) for one in rows] == [(2, "1", "x/y.dcm"), (4, "2", "")]


def test_a_table_without_the_columns_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,c\n1,2\n")
    assert read_table(tmp_path / "t.csv", ["a", "b"]) == ()
    (tmp_path / "empty.csv").write_text("")
    assert read_table(tmp_path / "empty.csv", ["a"]) == ()


def test_the_sheet_with_the_columns_is_found_in_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["notes"])
    sheet = book.create_sheet("data")
    sheet.append(["a", "b"])
    sheet.append([44.0, " x "])
    sheet.append([None, None])
    sheet.append([2.5, None])
    book.save(tmp_path / "t.xlsx")
    rows = read_table(tmp_path / "t.xlsx", ["a", "b"])
    assert [(one.number, one.get("a"), one.get("b")) for one in rows] == [(2, "44", "x"), (4, "2.5", "")]


def test_a_row_longer_than_the_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2,\n1,2,3\n")
    with pytest.raises(InputError, match=r"t\.csv: row 3: got 3 cells, expected 2 as in row 1"):
        read_table(tmp_path / "t.csv", ["a"])


def test_a_cell_without_an_end_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n1,"' + "x" * 200_000)
    with pytest.raises(InputError, match=r"t\.csv: not a CSV file at line 2"):
        read_table(tmp_path / "t.csv", ["a"])


def test_several_tables_of_a_kind_are_found_or_refused(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv", "._one.csv", "other.txt"):
        (tmp_path / name).write_text("a\n1\n")
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(find_tables(tmp_path, files, ["a"])) == 2
    with pytest.raises(InputError, match=r"one\.csv: got 2 tables of this kind in the folder, expected one"):
        find_table(tmp_path, files, ["a"])


def test_numbers_are_whole_or_refused_with_their_place() -> None:
    assert row(a="61.0").whole("a", 130) == 61
    assert row(a="").whole("a", 130) is None
    assert row(a="nan").number_of("a") is None
    for cell in ("131", "-1", "1.5", "x", "inf", "1e400"):
        with pytest.raises(InputError, match=r"t\.csv: row 7, column 'a': got "):
            row(a=cell).whole("a", 130)


def test_a_choice_ignores_case_and_names_what_is_allowed() -> None:
    assert row(a="left").choice("a", {"LEFT": "L"}) == "L"
    with pytest.raises(InputError, match=r"row 7, column 'a': got 'up', expected one of LEFT, RIGHT"):
        row(a="up").choice("a", {"LEFT": "L", "RIGHT": "R"})


def workbook(path: Path, *lines: list[str | None]) -> Path:
    """A workbook of one sheet."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in lines:
        book.active.append(line)
    book.save(path)
    return path


def test_a_csv_larger_than_its_bound_is_refused_where_it_is_the_table_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 100)
    assert len(read_table(path, ["a"], TableBounds(file_bytes=404))) == 100
    with pytest.raises(InputError, match=r"^t\.csv: got a table of 404 bytes, expected at most 403$"):
        read_table(path, ["a"], TableBounds(file_bytes=403))
    assert read_table(path, ["c"], TableBounds(file_bytes=403)) == ()


def test_a_line_without_an_end_is_not_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        # sparse: it takes no room on the disk, and would take as much memory
        file.truncate(8_000_000_000)
    with pytest.raises(InputError, match=r"^t\.csv: got a line of more than 1000000 characters, expected a table$"):
        read_table(path, ["a"])


def test_a_table_of_too_many_cells_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 9)
    workbook(tmp_path / "t.xlsx", ["a", "b"], *[["1", "2"]] * 9)
    for name in ("t.csv", "t.xlsx"):
        assert len(read_table(tmp_path / name, ["a"], TableBounds(cells=20))) == 9
        with pytest.raises(InputError, match=rf"^{name}: got more than 19 cells, expected a table of fewer$"):
            read_table(tmp_path / name, ["a"], TableBounds(cells=19))


def test_a_small_workbook_that_names_a_far_away_cell_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["a", "b"])
    with zipfile.ZipFile(path) as packed:
        members = {one.filename: packed.read(one) for one in packed.infolist()}
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members.items():
            dimension = content.replace(b"A1:B1", b"A1:XFD1048576").replace(b"</sheetData>", far)
            packed.writestr(name, dimension)
    with pytest.raises(InputError, match=r"^t\.xlsx: got more than 100000 cells, expected a table of fewer$"):
        read_table(path, ["a"], TableBounds(cells=100_000))


def test_a_workbook_that_unpacks_to_more_than_its_bound_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["a", "b"], ["x" * 30_000, "y"])
    with pytest.raises(InputError, match=r"^t\.xlsx: got a table of \d+ bytes, expected at most 30000$"):
        read_table(path, ["a"], TableBounds(inflated_bytes=30_000))
    with pytest.raises(InputError, match=r"^t\.xlsx: got a table of \d+ bytes, expected at most 100$"):
        read_table(path, ["a"], TableBounds(file_bytes=100))


def test_a_workbook_that_is_cut_is_one_sentence(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["a", "b"])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"^t\.xlsx: not a workbook that can be read, expected XLSX$"):
        read_table(path, ["a"])
