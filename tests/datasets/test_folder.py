"""A plain folder: every file ends in the manifest or in the list of those left out, and no identifier in either."""

from __future__ import annotations

import csv
import hashlib
import stat
from pathlib import Path

import pydicom
import pytest

from medproto.datasets.folder import index_folder
from medproto.datasets.manifest import read_manifest
from medproto.datasets.phantom import Cohort, write_phantom
from medproto.errors import InputError

PLANTED = "Planted-4711"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    write_phantom(source, Cohort(1, 5))
    (source / "manifest.csv").unlink()
    for mask in (source / "masks").iterdir():
        mask.unlink()
    for file in (source / "images").iterdir():
        ds = pydicom.dcmread(file)
        ds.PatientID = PLANTED
        ds.PatientName = PLANTED
        ds.save_as(file)
    (source / "images" / "notes.txt").write_text("no picture")
    cut = next((source / "images").glob("*.dcm"))
    (source / "cut.dcm").write_bytes(cut.read_bytes()[:200_000])
    return source


def test_every_file_is_in_the_manifest_or_listed_with_its_reason(folder: Path, tmp_path: Path) -> None:
    out = index_folder(folder, None, tmp_path / "index" / "cohort.csv")
    manifest = read_manifest(out)
    assert len(manifest.rows) == 4
    assert {(row.side, row.view) for row in manifest.rows} == {("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")}
    assert all(manifest.file(row).is_file() for row in manifest.rows)
    assert {row.label for row in manifest.rows} == {"unknown"}
    with out.with_suffix(".left-out.csv").open() as handle:
        left_out = list(csv.DictReader(handle))
    assert {one["number"] for one in left_out} == {"1", "2"}
    digests = {hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("cut.dcm", "images/notes.txt")}
    assert {one["sha256"] for one in left_out} == digests
    assert all(one["codes"] and one["sentence"] for one in left_out)


def test_ids_are_pseudonyms_under_a_key_that_only_its_owner_reads(folder: Path, tmp_path: Path) -> None:
    out = index_folder(folder, None, tmp_path / "one")
    again = index_folder(folder, None, tmp_path / "one")
    other = index_folder(folder, None, tmp_path / "two")
    key = out.with_suffix(".key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    first, second, third = (read_manifest(path).rows for path in (out, again, other))
    assert first == second
    assert len({row.patient for row in first}) == len({row.exam for row in first}) == 1
    assert len({row.image for row in first}) == 4
    assert first[0].patient != third[0].patient
    for path in (out, out.with_suffix(".left-out.csv")):
        assert PLANTED not in path.read_text()


def test_labels_come_from_the_table_and_absent_files_are_counted(folder: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in (folder / "images").glob("*.dcm"))
    table = tmp_path / "labels.csv"
    table.write_text(f"file,label\nimages/{names[0]},malignant\nimages/absent.dcm,benign\n")
    out = index_folder(folder, table, tmp_path / "out")
    labels = {Path(row.path).name: row.label for row in read_manifest(out).rows}
    assert labels == {names[0]: "malignant"} | dict.fromkeys(names[1:], "unknown")
    assert "ABSENT" in out.with_suffix(".left-out.csv").read_text()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,label\n", "row 1: got columns .*, expected file and label"),
        ("file,label\na.dcm,\n", "row 2, column 'label': got nothing"),
        ("file,label\na.dcm,x\na.dcm,y\n", "row 3, column 'label': got 'y', expected 'x' as before"),
    ],
)
def test_a_wrong_table_is_named_by_row_and_column(folder: Path, tmp_path: Path, text: str, sentence: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=sentence):
        index_folder(folder, table, tmp_path / "out")


def test_a_folder_without_a_mammogram_is_refused_and_its_files_listed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(InputError, match="folder: got no file"):
        index_folder(source, None, tmp_path / "out")
    (source / "a.txt").write_text("x")
    with pytest.raises(InputError, match="none of 1 files is a usable mammogram"):
        index_folder(source, None, tmp_path / "out")
    assert len((tmp_path / "out" / "manifest.left-out.csv").read_text().splitlines()) == 2
