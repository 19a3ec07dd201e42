"""VinDr-Mammo: BI-RADS in words, boxes in original pixels, its own split, and doubts where header and table differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from medproto.datasets.archives.vindr import list_vindr
from medproto.datasets.manifest import check_rows
from medproto.errors import InputError
from medproto.records import Box
from tests.datasets.archives.published import SIZE, write_image, write_table

STUDY, OTHER = "48575a27b7c992427041a82fa750d3fa", "75e8e48933289d70b407379a564f8594"
NOTHING = {"finding_categories": "['No Finding']", "finding_birads": "", "xmin": "", "ymin": "", "xmax": "", "ymax": ""}


def breast(study: str, image: str, side: str, birads: int, **cells: object) -> dict[str, object]:
    """A row of breast-level_annotations.csv."""
    row: dict[str, object] = {
        "study_id": study,
        "series_id": "dd9ce3288c0773e006a294188aadba8e",
        "image_id": image,
        "laterality": side,
        "view_position": "CC",
        "height": SIZE[0],
        "width": SIZE[1],
        "breast_birads": f"BI-RADS {birads}",
        "breast_density": "DENSITY C",
        "split": "training" if study == STUDY else "test",
    }
    return row | cells


IMAGES = [
    breast(STUDY, "a1", "L", 5),
    breast(STUDY, "a2", "R", 1),
    breast(OTHER, "b1", "L", 3),
    breast(OTHER, "b2", "R", 2),
]
MARKED = [
    IMAGES[0] | NOTHING | {"finding_categories": "['Mass', 'Skin Thickening']", "finding_birads": "BI-RADS 5"}
    | {"xmin": 10.5, "ymin": 20.25, "xmax": 30.0, "ymax": 40.0},
    IMAGES[0] | NOTHING | {"finding_categories": "['Suspicious Calcification']", "finding_birads": "BI-RADS 4"}
    | {"xmin": -3.0, "ymin": 50.0, "xmax": 8.0, "ymax": 65.5},
    *[row | NOTHING for row in IMAGES[1:]],
]  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The archive as PhysioNet lays it out, one image absent."""
    root = tmp_path / "physionet.org" / "files" / "vindr-mammo" / "1.0.0"
    write_table(root / "breast-level_annotations.csv", IMAGES)
    write_table(root / "finding_annotations.csv", MARKED)
    metadata = [{"SOP Instance UID": "a1", "Patient's Age": "049Y", "Manufacturer": "SIEMENS"}]
    write_table(root / "metadata.csv", metadata)
    for row in IMAGES[:3]:
        path = root / "images" / str(row["study_id"]) / f"{row['image_id']}.dicom"
        write_image(path, ImageLaterality=row["laterality"], ViewPosition="CC", Manufacturer="IMS", PatientAge="061Y")
    return tmp_path


def test_labels_are_birads_in_words_and_boxes_lie_in_the_image(archive: Path) -> None:
    listing = list_vindr(archive, tables_only=False)
    check_rows(listing.rows)
    rows = {row.image: row for row in listing.rows}
    assert {image: (row.label, row.birads, row.split) for image, row in rows.items()} == {
        "a1": ("suspicious", "5", "train"), "a2": ("normal", "1", "train"), "b1": ("probably_benign", "3", "test"),
    }  # fmt: skip
    assert rows["a1"].boxes == (Box(top=20.25, left=10.5, bottom=40, right=30), Box(top=50, left=0, bottom=64, right=8))
    assert rows["a1"].finding == "Mass+Skin Thickening+Suspicious Calcification"
    assert (rows["a2"].boxes, rows["a2"].finding, rows["a2"].density) == ((), None, "C")
    assert (rows["a1"].patient, rows["a1"].exam) == (STUDY, STUDY)
    assert (archive / rows["b1"].path).is_file()
    assert listing.absent == 1


def test_the_archives_metadata_comes_before_the_header(archive: Path) -> None:
    rows = {row.image: row for row in list_vindr(archive, tables_only=False).rows}
    assert (rows["a1"].vendor, rows["a1"].age_years) == ("SIEMENS", 49)
    assert (rows["a2"].vendor, rows["a2"].age_years) == ("IMS", 61)


def test_absent_images_are_kept_with_tables_only(archive: Path) -> None:
    listing = list_vindr(archive, tables_only=True)
    assert (len(listing.rows), listing.absent) == (4, 1)
    row = next(row for row in listing.rows if row.image == "b2")
    assert (row.path, row.label) == (f"images/{OTHER}/b2.dicom", "benign")


def test_images_that_no_table_names_are_counted(archive: Path) -> None:
    (path,) = archive.rglob("a1.dicom")
    write_image(path.with_name("unknown.dicom"))
    remarks = list_vindr(archive, tables_only=False).remarks
    assert "Images in the folder that no table names, left out: 1." in remarks


def test_a_copy_of_a_table_adds_no_second_box(archive: Path) -> None:
    (path,) = archive.rglob("finding_annotations.csv")
    path.with_name("finding_annotations (1).csv").write_bytes(path.read_bytes())
    rows = {row.image: row for row in list_vindr(archive, tables_only=False).rows}
    assert len(rows["a1"].boxes) == 2


def test_either_table_alone_is_enough(archive: Path) -> None:
    for name, boxes in (("breast-level_annotations.csv", 2), ("finding_annotations.csv", 0)):
        (path,) = archive.rglob(name)
        content = path.read_bytes()
        path.unlink()
        listing = list_vindr(archive, tables_only=False)
        assert len(listing.rows) == 3
        assert sum(len(row.boxes) for row in listing.rows) == boxes
        path.write_bytes(content)


def test_a_header_that_differs_from_the_table_is_counted(archive: Path) -> None:
    (path,) = archive.rglob("a1.dicom")
    write_image(path, ImageLaterality="R", ViewPosition="CC", Rows=SIZE[0] // 2)
    listing = list_vindr(archive, tables_only=False)
    row = next(row for row in listing.rows if row.image == "a1")
    assert (row.side, row.boxes) == ("L", ())
    assert "Images whose header names the other breast: 1; the table's side is kept." in listing.remarks
    assert "Images of another size than the table gives: 1; their boxes are left out." in listing.remarks


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"breast_birads": "BI-RADS 6"}, "row 2, column 'breast_birads': got 'BI-RADS 6', expected one of BI-RADS 1"),
        ({"split": "validation"}, "row 2, column 'split': got 'validation', expected one of TRAINING, TEST"),
        ({"finding_categories": "Mass"}, "row 2, column 'finding_categories': got something else, expected a list"),
        ({"xmin": ""}, "row 2, column 'xmin': got some, expected all of xmin"),
        ({"xmin": 400, "xmax": 500}, "row 2, column 'xmin': got one without area there, expected a box that lies"),
        ({"ymin": "high"}, "row 2, column 'ymin': got 'high', expected a number or nothing"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path, cells: dict[str, object], sentence: str) -> None:
    write_table(tmp_path / "finding_annotations.csv", [MARKED[0] | cells])
    with pytest.raises(InputError, match=f"finding_annotations.csv: {sentence}"):
        list_vindr(tmp_path, tables_only=True)


def test_tables_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "breast-level_annotations.csv", IMAGES)
    write_table(tmp_path / "finding_annotations.csv", [MARKED[0] | {"laterality": "R"}])
    with pytest.raises(InputError, match="row 2, column 'laterality': got another, expected the same as in row 2 of"):
        list_vindr(tmp_path, tables_only=True)


def test_a_folder_without_its_tables_is_refused(archive: Path) -> None:
    with pytest.raises(InputError, match=r"VinDr-Mammo: got no breast-level_annotations\.csv"):
        list_vindr(next(archive.rglob("images")), tables_only=False)
