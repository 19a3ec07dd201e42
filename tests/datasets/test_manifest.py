"""Manifests: what is read is what was written, and what is wrong is named by row and column."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medproto.datasets.manifest import ManifestRow, format_boxes, parse_boxes, read_manifest, write_manifest
from medproto.errors import ManifestError
from medproto.records import Box

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


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"cannot read 'none\.csv'"):
        read_manifest(tmp_path / "none.csv")


@given(st.lists(st.tuples(*[st.floats(0, 4000, width=32)] * 2, *[st.floats(1, 900, width=32)] * 2), min_size=1))
def test_boxes_survive_their_cell_exactly(edges: list[tuple[float, float, float, float]]) -> None:
    boxes = tuple(Box(top=t, left=x, bottom=t + h, right=x + w) for t, x, h, w in edges)
    assert parse_boxes(format_boxes(boxes)) == boxes
