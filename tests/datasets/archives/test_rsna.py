"""RSNA screening: labels by breast, site and machine kept, implants noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from medproto.datasets.archives.rsna import list_rsna
from medproto.datasets.manifest import check_rows
from medproto.errors import InputError
from tests.datasets.archives.published import write_image, write_table


def image(patient: int, number: int, side: str, **cells: object) -> dict[str, object]:
    """A row of train.csv."""
    row: dict[str, object] = {
        "site_id": 2, "patient_id": patient, "image_id": number, "laterality": side, "view": "CC", "age": 61.0,
        "cancer": 0, "biopsy": 0, "invasive": 0, "BIRADS": "", "implant": 0, "density": "", "machine_id": 29,
        "difficult_negative_case": False,
    }  # fmt: skip
    return row | cells


ROWS = [
    image(10006, 462822612, "L", cancer=1, biopsy=1, invasive=1, BIRADS=0.0, density="B"),
    image(10006, 1459541791, "R"),
    image(10011, 220375232, "L", biopsy=1, implant=1, view="LMO", site_id=1, machine_id=49, BIRADS="2"),
    image(10011, 541722628, "R", age=""),
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The archive as Kaggle lays it out, one image absent."""
    write_table(tmp_path / "train.csv", ROWS)
    write_table(tmp_path / "test.csv", [{"site_id": 2, "patient_id": 10008, "image_id": 1, "laterality": "L"}])
    for row in ROWS[:3]:
        write_image(tmp_path / "train_images" / str(row["patient_id"]) / f"{row['image_id']}.dcm")
    write_image(tmp_path / "test_images" / "10008" / "1.dcm")
    return tmp_path


def test_a_cancer_labels_its_breast_alone(archive: Path) -> None:
    listing = list_rsna(archive, tables_only=False)
    check_rows(listing.rows)
    assert {(row.patient, row.side): row.label for row in listing.rows} == {
        ("10006", "L"): "malignant", ("10006", "R"): "normal", ("10011", "L"): "benign",
    }  # fmt: skip
    assert listing.absent == 1
    assert {row.split for row in listing.rows} == {None}
    assert all((archive / row.path).is_file() for row in listing.rows)


def test_what_macos_puts_beside_files_is_no_image(archive: Path) -> None:
    expected = list_rsna(archive, tables_only=False)
    for path in list(archive.rglob("*.*")):
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert list_rsna(archive, tables_only=False) == expected


def test_site_machine_age_density_and_implant_are_kept(archive: Path) -> None:
    rows = {row.image: row for row in list_rsna(archive, tables_only=True).rows}
    first, third, last = (rows[name] for name in ("462822612", "220375232", "541722628"))
    assert (first.site, first.vendor, first.age_years, first.density, first.birads) == ("2", "machine 29", 61, "B", "0")
    assert (third.site, third.finding, third.view, third.birads) == ("1", "implant", "LMO", "2")
    assert (last.path, last.age_years) == ("train_images/10011/541722628.dcm", None)


def test_implants_are_told(archive: Path) -> None:
    assert any("with an implant: 1;" in remark for remark in list_rsna(archive, tables_only=True).remarks)


def test_images_that_no_table_names_are_counted(archive: Path) -> None:
    # the one of test_images/, whose label was never published
    remarks = list_rsna(archive, tables_only=False).remarks
    assert "Images in the folder that train.csv does not name, left out: 1." in remarks


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"cancer": 2}, "train.csv: row 2, column 'cancer': got '2', expected one of 0, 1"),
        ({"laterality": ""}, "row 2, column 'laterality': got '', expected one of L, R"),
        ({"age": "old"}, "row 2, column 'age': got 'old', expected a number"),
        ({"image_id": ""}, "row 2, column 'image_id': got nothing, expected a text"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path, cells: dict[str, object], sentence: str) -> None:
    write_table(tmp_path / "train.csv", [ROWS[0] | cells])
    with pytest.raises(InputError, match=sentence):
        list_rsna(tmp_path, tables_only=True)


def test_a_folder_without_its_table_is_refused(archive: Path) -> None:
    (archive / "train.csv").unlink()
    with pytest.raises(InputError, match=r"RSNA: got no train.csv with columns site_id"):
        list_rsna(archive, tables_only=False)
