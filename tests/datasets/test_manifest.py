"""Manifests: what is read is what was written, and what is wrong is named by row and column."""

from __future__ import annotations

import hashlib
import time
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medproto.datasets.manifest import (
    Manifest,
    ManifestRow,
    format_boxes,
    parse_boxes,
    read_manifest,
    rebased,
    write_manifest,
)
from medproto.errors import ManifestError
from medproto.records import Box

BOX = Box(top=10, left=20, bottom=30, right=40)
HEADER = "path,patient,exam,side,view,label"


def row(number: int, **changes: object) -> ManifestRow:
    values = {
        "path": f"images/{number}.dcm",
        "patient": f"p{number}",
        "exam": f"e{number}",
        "image": f"i{number}",
        "label": "normal",
    }
    return ManifestRow.model_validate(values | changes)


def written(folder: Path, text: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text(text)
    return path


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    box = Box(top=1, left=2.5, bottom=30, right=40.125)
    rows = [row(1, boxes=(box, box), region=box, side="L", view="CC", split="train", finding='a "b", c'), row(2)]
    manifest = read_manifest(write_manifest(tmp_path / "manifest.csv", rows))
    assert list(manifest.rows) == rows
    assert manifest.digest == hashlib.sha256(manifest.path.read_bytes()).hexdigest()
    assert manifest.file(rows[0]) == tmp_path / "images" / "1.dcm"


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [row(1), row(2)]
    one, other = (write_manifest(tmp_path / name, rows).read_bytes() for name in ("a.csv", "b.csv"))
    assert one == other
    assert b"\r" not in one


def test_required_columns_suffice_and_the_image_gets_an_id(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, f"{HEADER}\na.dcm,p,e,,,normal\nb.dcm,p,e,R,MLO,benign\n"))
    assert len({one.image for one in manifest.rows}) == 2
    assert manifest.rows[0].side is None
    assert list(manifest.exams()) == ["e"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{HEADER}\n", "got no rows"),
        ("", "row 1: column 'path' is missing"),
        ("path,patient,exam,side,view\na,b,c,,\n", "row 1: column 'label' is missing"),
        (f"{HEADER},colour\na,p,e,,,n,red\n", "row 1: got unknown column 'colour', expected only path, patient"),
        (f"{HEADER}\na,p,e,,,n\nb,p,e,X,,n\n", "row 3, column 'side': got 'X', expected L, R or nothing"),
        (f"{HEADER}\na,p,e,,,\n", "row 2, column 'label': got nothing usable"),
        (f"{HEADER}\n,p,e,,,n\n", "row 2, column 'path': got nothing usable"),
        (f"{HEADER}\na,p,e,,\n", "row 2: got 5 cells, expected 6"),
        (f'{HEADER},boxes\na,p,e,,,n,"1,2,3"\n', "row 2, column 'boxes': got '1,2,3', expected"),
        (f'{HEADER},boxes\na,p,e,,,n,"5,2,3,9"\n', "row 2, column 'boxes': box: got .* expected a positive area"),
        (f'{HEADER},boxes\na,p,e,,,n,"1,2,3,x"\n', "row 2, column 'boxes': .*expected numbers"),
        (f'{HEADER},region\na,p,e,,,n,"1,2,3,4;5,6,7,8"\n', "row 2, column 'region': got 2 boxes, expected one"),
        (f"{HEADER},split\na,p,e,,,n,dev\n", "row 2, column 'split': got 'dev', expected train, val, test"),
        (f"{HEADER}\na,p,e,,,n\na,p,e,,,n\n", "row 3, column 'path': got the image or region of row 2 again"),
        (f"{HEADER}\na,p,e,,,n\nb,q,e,,,n\n", "row 3, column 'patient': expected the patient of row 2"),
        (f"{HEADER}\na,p,e,,,n\n./a,p,e,,,n\n", "row 3, column 'path': got the image or region of row 2 again"),
        (f'{HEADER},region\na,p,e,,,n,\na,q,f,,,n,"1,2,3,4"\n', "row 3, column 'patient': .* of row 2, the same file"),
        (f"{HEADER}\na,p ,e,,,n\n", "row 2, column 'patient': got blanks before or after the text, expected none"),
        (f'{HEADER}\na,"p\nq",e,,,n\n', "row 2, column 'patient': got a line break or another control character"),
        (f"{HEADER}\nd\\a,p,e,,,n\n", "row 2, column 'path': got a backslash, expected folders separated by '/'"),
        (f"{HEADER},age_years\na,p,e,,,n,131\n", "row 2, column 'age_years': .* expected whole years from 0 to 130"),
        (f"{HEADER},image\na,p,e,,,n,\nb,p,e,,,n, \n", "row 3, column 'image': got blanks"),
        (f"{HEADER}\na,p,e,,,n\n\nb,p,e,,,n\n", "row 3: got an empty row between others, expected an image"),
        (f'{HEADER}\n"a,p,e,,,n\n', "not a CSV file at line"),
        (f"{HEADER.replace(',', ';')}\n", "row 1: got columns separated by semicolons or tabs, expected commas"),
        (f"{HEADER},version\na,p,e,,,n,1\nb,p,e,,,n,2\n", "row 3, column 'version': got another version .* expected 1"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ManifestError, match=sentence):
        read_manifest(written(tmp_path, text))


def test_a_patient_in_two_splits_is_refused_without_being_named(tmp_path: Path) -> None:
    text = f"{HEADER},split\na,Jane Doe,e,,,n,train\nb,Jane Doe,e,,,n,test\n"
    with pytest.raises(ManifestError, match="row 3, column 'split': got 'test', expected 'train'") as caught:
        read_manifest(written(tmp_path, text))
    assert "Jane" not in str(caught.value)
    with pytest.raises(ManifestError, match="row 3, column 'split'"):
        write_manifest(tmp_path / "x.csv", [row(1, split="train"), row(2, patient="p1", exam="e1", split="val")])
    assert not (tmp_path / "x.csv").exists()
    with pytest.raises(ManifestError, match="row 3, column 'split'"):
        Manifest(tmp_path, (row(1, split="train"), row(2, patient="p1", split="test")), "digest")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"cannot read the file \(No such file or directory\), expected a CSV file"):
        read_manifest(tmp_path / "none.csv")


@given(st.lists(st.tuples(*[st.floats(0, 4000, width=32)] * 2, *[st.floats(1, 900, width=32)] * 2), min_size=1))
def test_boxes_survive_their_cell_exactly(edges: list[tuple[float, float, float, float]]) -> None:
    boxes = tuple(Box(top=t, left=x, bottom=t + h, right=x + w) for t, x, h, w in edges)
    assert parse_boxes(format_boxes(boxes)) == boxes


def test_every_row_that_is_written_says_its_version_and_one_without_it_is_the_first(tmp_path: Path) -> None:
    lines = write_manifest(tmp_path / "manifest.csv", [row(1), row(2)]).read_text().splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["version", "1", "1"]
    plain = read_manifest(written(tmp_path, f"{HEADER},version\na,p,e,,,n,\n\n"))
    assert plain.rows == read_manifest(written(tmp_path, f"{HEADER}\na,p,e,,,n\n")).rows


@pytest.mark.parametrize("column", ["side", "split", "age_years", "boxes", "region", "version"])
def test_a_name_in_the_wrong_column_is_not_repeated(tmp_path: Path, column: str) -> None:
    cells = dict.fromkeys(("path", "patient", "exam", "view", "label"), "x") | {column: "Zebedee^Planted"}
    text = ",".join(["side", *cells] if column != "side" else cells)
    text += "\n" + ",".join(["", *cells.values()] if column != "side" else cells.values()) + "\n"
    with pytest.raises(ManifestError, match=f"row 2, column '{column}'") as caught:
        read_manifest(written(tmp_path, text))
    whole = "".join(traceback.format_exception(caught.value))
    assert "Zebedee" not in str(caught.value)
    assert "Zebedee" not in whole


def test_rows_find_their_files_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "1.dcm").write_bytes(b"x")
    (tmp_path / "masks" / "1.png").write_bytes(b"y")
    rows = [row(1, path="1.dcm", mask="masks/1.png"), row(2, path="/data/2.dcm")]
    manifest = read_manifest(write_manifest(tmp_path / "manifest.csv", rows))
    moved = read_manifest(write_manifest(tmp_path / "elsewhere" / "m.csv", rebased(manifest, tmp_path / "elsewhere")))
    assert moved.file(moved.rows[0]).read_bytes() == b"x"
    mask = moved.mask(moved.rows[0])
    assert mask is not None
    assert mask.read_bytes() == b"y"
    assert moved.rows[1].path == "/data/2.dcm"
    assert rebased(manifest, tmp_path) == manifest.rows


def test_a_large_manifest_is_read_in_seconds(tmp_path: Path) -> None:
    rows = [row(n, side="L", view="CC", split="train", boxes=(BOX,), vendor="maker") for n in range(10_000)]
    path = write_manifest(tmp_path / "manifest.csv", rows)
    began = time.process_time()
    assert len(read_manifest(path).rows) == 10_000
    assert time.process_time() - began < 3
