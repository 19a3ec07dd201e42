"""CMMD: labels belong to a breast, sides stand in the headers, and an unlabelled breast gets nobody's label."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from medproto.datasets.archives.cmmd import list_cmmd
from medproto.datasets.manifest import check_rows
from medproto.errors import InputError
from tests.datasets.archives.published import write_image, write_table

HEADER = ["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"]
BREASTS = [
    ["D1-0001", "R", 44, 2, "calcification", "Benign", None],
    ["D2-0007", "L", 51, 2, "both", "Malignant", "Luminal B"],
    ["D2-0007", "R", 51, 2, "mass", "Benign", None],
]


def workbook(path: Path, rows: list[list[object]]) -> Path:
    """The clinical table as it is published."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [HEADER, *rows]:
        sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def image(root: Path, patient: str, number: int, side: str, view: str) -> Path:
    """An image where the NBIA data retriever puts it."""
    path = root / "CMMD" / patient / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244" / f"1-{number}.dcm"
    return write_image(path, ImageLaterality=side, ViewPosition=view, PatientID=patient, Manufacturer="GE")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three labelled breasts; the first patient's other breast has images and no label, one image is absent."""
    workbook(tmp_path / "CMMD_clinicaldata_revision.xlsx", BREASTS)
    for number, (side, view) in enumerate((("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO")), start=1):
        image(tmp_path, "D1-0001", number, side, view)
    for number, (side, view) in enumerate((("L", "CC"), ("L", "MLO"), ("R", "CC")), start=1):
        image(tmp_path, "D2-0007", number, side, view)
    return tmp_path


def test_a_label_belongs_to_the_images_of_its_breast_alone(archive: Path) -> None:
    listing = list_cmmd(archive, tables_only=False)
    check_rows(listing.rows)
    assert Counter((row.patient, row.side, row.view, row.label) for row in listing.rows) == dict.fromkeys(
        [
            ("D1-0001", "R", "CC", "benign"), ("D1-0001", "R", "MLO", "benign"),
            ("D2-0007", "L", "CC", "malignant"), ("D2-0007", "L", "MLO", "malignant"), ("D2-0007", "R", "CC", "benign"),
        ],
        1,
    )  # fmt: skip
    assert listing.absent == 1
    assert listing.remarks == ("Images of a breast that has no label, left out: 2.",)
    row = next(row for row in listing.rows if row.label == "malignant")
    assert (row.age_years, row.finding, row.vendor) == (51, "calcification+mass, luminal b", "GE")


def test_an_image_that_does_not_say_its_breast_gets_no_label(archive: Path) -> None:
    image(archive, "D2-0007", 4, "", "MLO")
    path = archive / "CMMD" / "D2-0007" / "other" / "1-1.dcm"
    write_image(path, ImageLaterality="R", PatientID="D1-0001")
    image(archive, "D1-0999", 1, "L", "CC")
    listing = list_cmmd(archive, tables_only=False)
    assert (len(listing.rows), listing.absent) == (5, 1)
    assert "Images of a breast that has no label, left out: 3." in listing.remarks
    assert any("which breast of which patient they show, left out: 2" in remark for remark in listing.remarks)


def test_a_table_saved_with_semicolons_is_read_too(tmp_path: Path) -> None:
    rows = [dict(zip(HEADER, ["" if cell is None else cell for cell in row], strict=True)) for row in BREASTS]
    write_table(tmp_path / "CMMD_clinicaldata_revision_CSV.csv", rows, separator=";")
    listing = list_cmmd(tmp_path, tables_only=True)
    assert (len(listing.rows), listing.absent) == (6, 6)
    assert Counter(row.label for row in listing.rows) == {"benign": 4, "malignant": 2}
    assert {row.view for row in listing.rows} == {None}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (["D1-0001", "X", 44, 2, "mass", "Benign", None], "row 2, column 'LeftRight': got 'X', expected one of L, R"),
        (
            ["D1-0001", "R", 44, 2, "mass", "Unclear", None],
            "row 2, column 'classification': got 'Unclear', expected one",
        ),
        (
            ["D1-0001", "R", 44, 2.5, "mass", "Benign", None],
            "row 2, column 'number': got '2.5', expected a whole number",
        ),
        (["D1-0001", "R", 441, 2, "mass", "Benign", None], "row 2, column 'Age': got '441', expected a whole number"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path, row: list[object], sentence: str) -> None:
    workbook(tmp_path / "t.xlsx", [row])
    with pytest.raises(InputError, match=sentence):
        list_cmmd(tmp_path, tables_only=True)


def test_a_breast_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    workbook(tmp_path / "t.xlsx", [BREASTS[0], BREASTS[0]])
    with pytest.raises(InputError, match="row 3, column 'LeftRight': got the same breast again, expected another"):
        list_cmmd(tmp_path, tables_only=True)


def test_a_broken_or_absent_workbook_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(InputError, match="CMMD: got no clinical table with columns ID1"):
        list_cmmd(tmp_path, tables_only=True)
    (tmp_path / "CMMD_clinicaldata_revision.xlsx").write_text("no workbook")
    with pytest.raises(InputError, match=r"CMMD_clinicaldata_revision\.xlsx: not a workbook that can be read"):
        list_cmmd(tmp_path, tables_only=True)


def test_the_real_clinical_table_and_index_are_read(shared: Path) -> None:
    listing = list_cmmd(shared / "cmmd", tables_only=True)
    check_rows(listing.rows)
    assert (len(listing.rows), listing.absent) == (3744, 3744)
    assert len({row.patient for row in listing.rows}) == 1775
    assert len({(row.patient, row.side) for row in listing.rows}) == 1872
    assert Counter(row.label for row in listing.rows) == {"malignant": 2632, "benign": 1112}
    mixed = {row.patient for row in listing.rows if row.label == "benign"} & {
        row.patient for row in listing.rows if row.label == "malignant"
    }
    assert len(mixed) == 30
    assert listing.remarks == ("Images of a breast that has no label, left out: 1458, of 729 patients.",)
