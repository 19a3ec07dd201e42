"""CBIS-DDSM: the published tables and folders, with every trap of theirs."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from medproto.datasets.archives.cbis_ddsm import list_cbis_ddsm
from medproto.datasets.manifest import check_rows
from medproto.errors import InputError
from medproto.records import Box
from tests.datasets.archives.published import SIZE, cbis_row, mask_values, write_image, write_table

FILM = "Mass-Training_P_00001_LEFT_CC"
OTHER = "Calc-Test_P_00002_RIGHT_MLO"
NBIA = "08-07-2016-DDSM-NA-96009/1.000000-{}-63992"


def nbia(root: Path, name: str, series: str, file: str) -> Path:
    """Where the NBIA data retriever puts a file."""
    return root / "manifest-1" / "CBIS-DDSM" / name / NBIA.format(series) / file


def crop(rows: int = 20, columns: int = 16) -> np.ndarray:
    """A crop: smaller than the film, of many values."""
    return np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two films, the first with two abnormalities; one pair of mask and crop is swapped, one lies in two series."""
    write_table(
        tmp_path / "mass_case_description_train_set.csv",
        [cbis_row(FILM, 1, "BENIGN", assessment=3), cbis_row(FILM, 2, "MALIGNANT", assessment=5)],
    )
    write_table(tmp_path / "calc_case_description_test_set.csv", [cbis_row(OTHER, 1, "BENIGN_WITHOUT_CALLBACK")])
    write_image(nbia(tmp_path, FILM, "full mammogram images", "1-1.dcm"), SeriesDescription="full mammogram images")
    folder = f"{FILM}_1"
    write_image(nbia(tmp_path, folder, "ROI mask images", "1-1.dcm"), crop(), SeriesDescription="cropped images")
    write_image(nbia(tmp_path, folder, "ROI mask images", "1-2.dcm"), mask_values(10, 5, 20, 15))
    folder = f"{FILM}_2"
    write_image(nbia(tmp_path, folder, "ROI mask images", "1-1.dcm"), mask_values(30, 2, 44, 12))
    write_image(nbia(tmp_path, folder, "cropped images", "1-1.dcm"), crop(14, 10))
    write_image(nbia(tmp_path, OTHER, "full mammogram images", "1-1.dcm"))
    return tmp_path


def test_an_image_takes_its_most_severe_label_and_the_boxes_of_all_its_masks(archive: Path) -> None:
    listing = list_cbis_ddsm(archive, tables_only=False)
    rows = {row.image: row for row in listing.rows}
    assert (listing.absent, len(rows)) == (0, 2)
    film = rows[FILM]
    assert (film.patient, film.side, film.view, film.split) == ("P_00001", "L", "CC", "train")
    assert (film.label, film.birads, film.density, film.finding) == ("malignant", "5", "3", "mass")
    assert film.boxes == (Box(top=10, left=5, bottom=20, right=15), Box(top=30, left=2, bottom=44, right=12))
    assert (archive / film.path).is_file()
    other = rows[OTHER]
    assert (other.label, other.split, other.density, other.side) == ("benign_without_callback", "test", "3", "R")
    assert other.boxes == ()
    check_rows(listing.rows)


def test_the_published_paths_are_found_as_they_are_written(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "exact"
    row = cbis_row(FILM, 1, "BENIGN")
    write_table(root / "any name.csv", [row])
    write_image(root / str(row["image file path"]))
    # the table's crop is the mask, and its mask the crop
    write_image(root / str(row["cropped image file path"]).strip(), mask_values(1, 2, 3, 4))
    write_image(root / str(row["ROI mask file path"]).strip(), crop())
    (film,) = list_cbis_ddsm(root, tables_only=False).rows
    assert film.path == row["image file path"]
    assert film.boxes == (Box(top=1, left=2, bottom=3, right=4),)


def test_of_several_files_the_series_of_the_table_or_the_full_mammogram_is_taken(tmp_path: Path) -> None:
    row = cbis_row(FILM, 1, "BENIGN")
    write_table(tmp_path / "t.csv", [row])
    write_image(nbia(tmp_path, FILM, "a", "1-1.dcm"), SeriesDescription="cropped images")
    write_image(nbia(tmp_path, FILM, "b", "1-1.dcm"), SeriesDescription="full mammogram images")
    (film,) = list_cbis_ddsm(tmp_path, tables_only=False).rows
    assert "-b-" in film.path
    series = str(row["image file path"]).split("/")[2]
    write_image(nbia(tmp_path, FILM, "c", "1-1.dcm"), SeriesInstanceUID=series)
    (film,) = list_cbis_ddsm(tmp_path, tables_only=False).rows
    assert "-c-" in film.path


def test_a_mask_of_another_size_gives_no_box_and_is_counted(archive: Path) -> None:
    path = nbia(archive, f"{OTHER}_1", "ROI mask images", "1-1.dcm")
    write_image(path, mask_values(1, 1, 5, 5)[: SIZE[0] - 2])
    listing = list_cbis_ddsm(archive, tables_only=False)
    assert {row.image: len(row.boxes) for row in listing.rows} == {FILM: 2, OTHER: 0}
    assert any(remark.endswith("a mask of the film's size: 1.") for remark in listing.remarks)


def test_a_picture_of_the_films_size_is_no_mask(archive: Path) -> None:
    path = nbia(archive, f"{OTHER}_1", "ROI mask images", "1-1.dcm")
    for values in (crop(*SIZE), np.zeros(SIZE, np.uint16)):
        write_image(path, values)
        assert {row.image: len(row.boxes) for row in list_cbis_ddsm(archive, tables_only=False).rows}[OTHER] == 0


def test_a_patient_of_both_sets_is_test_and_counted(tmp_path: Path) -> None:
    calc = FILM.replace("Mass-Training", "Calc-Test")
    write_table(tmp_path / "mass.csv", [cbis_row(FILM, 1, "BENIGN"), cbis_row(FILM.replace("CC", "MLO"), 1, "BENIGN")])
    write_table(tmp_path / "calc.csv", [cbis_row(calc, 1, "MALIGNANT")])
    listing = list_cbis_ddsm(tmp_path, tables_only=True)
    assert [row.split for row in listing.rows] == ["test"] * 3
    assert listing.absent == 3
    check_rows(listing.rows)
    assert "in Test with the other: 1; all their images are test" in listing.remarks[0]
    assert "of which 2 were published as Training" in listing.remarks[0]
    assert listing.remarks[1].startswith("Films published twice")
    assert "set: 1; with a label of each set's own: 1." in listing.remarks[1]


def test_images_that_no_table_names_are_counted(archive: Path) -> None:
    (archive / "calc_case_description_test_set.csv").unlink()
    listing = list_cbis_ddsm(archive, tables_only=False)
    assert [row.image for row in listing.rows] == [FILM]
    assert listing.remarks == ("Images in the folder that no table names, left out: 1.",)


def test_absent_images_are_counted_and_left_out_or_kept(archive: Path) -> None:
    nbia(archive, OTHER, "full mammogram images", "1-1.dcm").unlink()
    listing = list_cbis_ddsm(archive, tables_only=False)
    assert (len(listing.rows), listing.absent) == (1, 1)
    listing = list_cbis_ddsm(archive, tables_only=True)
    assert (len(listing.rows), listing.absent) == (2, 1)
    assert {row.boxes for row in listing.rows} == {()}


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"pathology": "UNSURE"}, "mass.csv: row 3, column 'pathology': got 'UNSURE', expected one of MALIGNANT"),
        ({"pathology": ""}, "row 3, column 'pathology': got '', expected one of"),
        ({"image file path": "elsewhere/x.dcm"}, "row 3, column 'image file path': got something else"),
        ({"image view": "ML"}, "row 3, column 'image view': got something else, expected the same as in row 2"),
        ({"patient_id": "P_00009"}, "row 3, column 'patient_id': got another, expected the patient of column"),
        ({"assessment": "4b"}, "row 3, column 'assessment': got '4b', expected a number"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path, cells: dict[str, object], sentence: str) -> None:
    write_table(tmp_path / "mass.csv", [cbis_row(FILM, 1, "BENIGN"), cbis_row(FILM, 2, "BENIGN") | cells])
    with pytest.raises(InputError, match=sentence):
        list_cbis_ddsm(tmp_path, tables_only=True)


def test_a_folder_without_its_tables_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / FILM / "1-1.dcm")
    with pytest.raises(InputError, match="CBIS-DDSM: got no table with columns patient_id"):
        list_cbis_ddsm(tmp_path, tables_only=True)


def test_the_real_training_tables_give_one_row_an_image(shared: Path) -> None:
    listing = list_cbis_ddsm(shared / "cbis-ddsm", tables_only=True)
    check_rows(listing.rows)
    assert (len(listing.rows), listing.absent) == (2458, 2458)
    assert len({row.patient for row in listing.rows}) == 1248
    assert Counter(row.label for row in listing.rows) == {
        "malignant": 1111, "benign": 1027, "benign_without_callback": 320,
    }  # fmt: skip
    assert Counter(row.finding for row in listing.rows) == {"mass": 1231, "calcification": 1227}
    assert {row.split for row in listing.rows} == {"train"}
    assert not any("\n" in row.path or row.density is None for row in listing.rows)
    assert list_cbis_ddsm(shared / "cbis-ddsm", tables_only=False).absent == 2458


def test_the_real_crops_are_not_taken_for_masks_or_films(shared: Path, tmp_path: Path) -> None:
    names = ("Mass-Test_P_00016_LEFT_CC", "Mass-Test_P_00116_RIGHT_MLO")
    numbers = {names[0]: (1,), names[1]: (1, 2)}
    rows = [cbis_row(name, number, "BENIGN") for name in names for number in numbers[name]]
    write_table(tmp_path / "mass_case_description_test_set.csv", rows)
    for name in names:
        write_image(nbia(tmp_path, name, "full mammogram images", "1-1.dcm"))
    for file in (shared / "cbis-ddsm").glob("*.dcm"):
        # told by their PatientID: these names are in no folder's
        (tmp_path / "loose").mkdir(exist_ok=True)
        os.symlink(file, tmp_path / "loose" / file.name)
    listing = list_cbis_ddsm(tmp_path, tables_only=False)
    assert {row.image: row.boxes for row in listing.rows} == dict.fromkeys(names, ())
    assert any(remark.endswith("a mask of the film's size: 3.") for remark in listing.remarks)


def test_the_real_films_are_found_by_their_patient_id(cbis_cases: Path, tmp_path: Path) -> None:
    labels = {
        "P_00173_LEFT": "BENIGN",
        "P_00173_RIGHT": "BENIGN",
        "P_00820_LEFT": "MALIGNANT",
        "P_00820_RIGHT": "BENIGN",
    }
    rows = [
        cbis_row(f"Mass-Test_{breast}_{view}", 1, label) for breast, label in labels.items() for view in ("CC", "MLO")
    ]
    write_table(tmp_path / "mass_case_description_test_set.csv", rows)
    for file in sorted(cbis_cases.glob("*/*.dcm")):
        os.symlink(file, tmp_path / file.name)
    listing = list_cbis_ddsm(tmp_path, tables_only=False)
    assert (len(listing.rows), listing.absent) == (8, 0)
    assert {(row.patient, row.side): row.label for row in listing.rows} == {
        ("P_00173", "L"): "benign", ("P_00173", "R"): "benign",
        ("P_00820", "L"): "malignant", ("P_00820", "R"): "benign",
    }  # fmt: skip
