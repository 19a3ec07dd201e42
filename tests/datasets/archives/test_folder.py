"""A plain folder: every file ends in the manifest or in the list of those left out, and no identifier in either."""

from __future__ import annotations

import csv
import hashlib
import os
import stat
from pathlib import Path

import pytest

from medproto.datasets.archives.folder import FolderOrder, list_folder
from medproto.datasets.archives.folder_journal import Entry, Journal, LeftOut
from medproto.datasets.manifest import ManifestRow, read_manifest, write_manifest
from medproto.errors import InputError
from medproto.records import Box
from tests.ingest.factory import BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Recipe, breast_values, write, write_dicom

#: A surname as hospitals put it in file names.
SURNAME = "Zebedee-4711"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two views of one patient under her name, one of another, a text, a cut file and a copy."""
    source = tmp_path / "source"
    (source / SURNAME).mkdir(parents=True)
    first = write(source / SURNAME / f"{SURNAME}_R_CC.dcm", ViewPosition="CC", Manufacturer="GE", PatientAge="049Y")
    write(source / SURNAME / f"{SURNAME}_R_MLO.dcm")
    write(source / "other.dcm", PatientID="another", StudyInstanceUID="1.2.3", ImageLaterality="L", PatientAge="000Y")
    (source / "notes.txt").write_text(SURNAME)
    (source / "cut.dcm").write_bytes(first.read_bytes()[:3000])
    (source / f"copy of {SURNAME}.dcm").write_bytes(first.read_bytes())
    return source


def rows_of(source: Path, target: Path, labels: Path | None = None) -> tuple[ManifestRow, ...]:
    """The manifest's rows, written and read again."""
    listing = list_folder(FolderOrder(source, target, labels))
    return read_manifest(write_manifest(target, listing.rows)).rows


def test_every_file_is_in_the_manifest_or_listed_with_its_reason(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "index" / "cohort.csv"
    rows = rows_of(folder, target)
    assert sorted((row.side, row.view) for row in rows) == [("L", "MLO"), ("R", "CC"), ("R", "MLO")]
    assert all((target.parent / row.path).is_file() for row in rows)
    assert {row.label for row in rows} == {"unknown"}
    assert {(row.vendor, row.age_years) for row in rows if row.view == "CC"} == {("GE", 49)}
    assert {row.age_years for row in rows if row.side == "L"} == {None}
    with (tmp_path / "index" / "cohort.left-out.csv").open() as handle:
        left_out = list(csv.DictReader(handle))
    digests = {hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("cut.dcm", "notes.txt")}
    assert {one["sha256"] for one in left_out if one["codes"] != "SAME_FILE"} == digests
    assert sorted(one["codes"] for one in left_out) == ["NOT_DICOM", "SAME_FILE", "TRUNCATED"]
    assert all(one["sentence"] and one["number"] for one in left_out)


def test_nothing_that_is_written_holds_an_identifier(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"file,label,patient\n{SURNAME}/{SURNAME}_R_CC.dcm,benign,{SURNAME}\n")
    target = tmp_path / "index" / "cohort.csv"
    rows_of(folder, target, table)
    for path in target.parent.rglob("*"):
        assert SURNAME not in path.name
        content = b"" if path.suffix in (".dcm", ".key") or path.is_dir() else path.read_bytes()
        for planted in (SURNAME, PATIENT_NAME, PATIENT_ID, BIRTH_DATE, "another"):
            assert planted.encode() not in content
    assert stat.S_IMODE((target.parent / "cohort.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((target.parent / "cohort.files").stat().st_mode) == 0o700


def test_pseudonyms_are_the_same_under_one_key_and_others_under_another(folder: Path, tmp_path: Path) -> None:
    first = rows_of(folder, tmp_path / "one" / "m.csv")
    assert rows_of(folder, tmp_path / "one" / "m.csv") == first
    other = rows_of(folder, tmp_path / "two" / "m.csv")
    assert len({row.patient for row in first}) == len({row.exam for row in first}) == 2
    assert len({row.image for row in first}) == 3
    assert not {row.patient for row in first} & {row.patient for row in other}


def test_patients_that_share_a_study_have_an_exam_each(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for patient in ("one", "two"):
        write(source / f"{patient}.dcm", PatientID=patient, SOPInstanceUID="1.2.3")
    rows = rows_of(source, tmp_path / "m.csv")
    assert len({row.exam for row in rows}) == len({row.image for row in rows}) == 2


def test_images_are_links_where_the_disk_can_and_take_no_room(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.csv"
    rows_of(folder, target)
    linked = {path.stat().st_ino for path in (tmp_path / "m.files").iterdir()}
    assert linked <= {path.stat().st_ino for path in folder.rglob("*.dcm")}
    assert len(linked) == 3


def test_a_manifest_within_the_folder_does_not_index_its_own_files(folder: Path) -> None:
    first = rows_of(folder, folder / "m.csv")
    left_out = (folder / "m.left-out.csv").read_text()
    again = list_folder(FolderOrder(folder, folder / "m.csv"))
    assert again.rows == first
    assert (folder / "m.left-out.csv").read_text() == left_out
    assert len(list((folder / "m.files").iterdir())) == 3


def test_the_table_completes_what_the_files_say(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "file,label,side,view,patient,split,boxes,density,birads,age_years,site,finding\n"
        f'{SURNAME}/{SURNAME}_R_CC.dcm,malignant,l,ML,X,test,"1,2,3,4;5,6,7,8",C,4,61,north,mass\n'
        "other.dcm,benign,,,,,,,,,,\nabsent.dcm,benign,,,,,,,,,,\n"
    )
    listing = list_folder(FolderOrder(folder, tmp_path / "m.csv", table))
    rows = {row.label: row for row in listing.rows}
    row = rows["malignant"]
    assert (row.side, row.view, row.split, row.density, row.birads) == ("L", "ML", "test", "C", "4")
    assert (row.age_years, row.site, row.finding) == (61, "north", "mass")
    assert row.boxes == (Box(top=1, left=2, bottom=3, right=4), Box(top=5, left=6, bottom=7, right=8))
    assert (rows["benign"].side, rows["benign"].view) == ("L", "MLO")
    # the table tells patients apart that the headers do not
    assert len({row.patient for row in listing.rows}) == len({row.exam for row in listing.rows}) == 3
    assert listing.absent == 1
    assert "ABSENT" in (tmp_path / "m.left-out.csv").read_text()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,label\na,b\n", "labels: got no row under columns file and label"),
        ("file,label,colour\na.dcm,x,Zebedee-4711\n", "row 1: got 1 unknown columns, expected only file, label, side"),
        ("file,label\na.dcm,\n", "labels: row 2, column 'label': got nothing"),
        ("file,label\na.dcm,x\na.dcm,y\n", "row 3, column 'file': got the same file again"),
        ("file,label,side\nother.dcm,x,Zebedee-4711\n", "row 2, column 'side': got something else, expected L, R"),
        ("file,label,split\nother.dcm,x,Zebedee-4711\n", "row 2, column 'split': got something else, expected train"),
        ("file,label,boxes\nother.dcm,x,Zebedee-4711\n", "row 2, column 'boxes': got something else, expected top"),
    ],
)
def test_a_wrong_table_is_named_by_row_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "source").mkdir()
    write(tmp_path / "source" / "other.dcm")
    table = tmp_path / f"{SURNAME}.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        list_folder(FolderOrder(tmp_path / "source", tmp_path / "m.csv", table))
    assert SURNAME not in str(caught.value)
    # found before any file was read
    assert not (tmp_path / "m.key").exists()


def test_an_interrupted_run_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    order = FolderOrder(folder, tmp_path / "m.csv")

    class Stopped(Exception):
        """The user had enough."""

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise Stopped("enough")

    with pytest.raises(Stopped, match="enough"):
        list_folder(order, stop)
    journal = tmp_path / "m.journal"
    known = journal.read_text().splitlines()
    assert len(known) >= 4
    assert SURNAME not in journal.read_text()
    # what was read is not read again: spoilt behind the journal's back, it is still as it was found
    first = folder / SURNAME / f"{SURNAME}_R_MLO.dcm"
    before = first.stat()
    first.chmod(0o600)
    first.write_bytes(b"x" * before.st_size)
    os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(list_folder(order).rows) == 3
    assert not journal.exists()


def test_a_cut_line_of_the_journal_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.journal"
    with Journal(path) as journal:
        journal.add(Entry(mark="a", sha256="", left_out=LeftOut(codes="TRUNCATED", sentence="Cut.")))
        journal.add(Entry(mark="b", sha256="", left_out=LeftOut(codes="TRUNCATED", sentence="Cut.")))
    path.write_bytes(path.read_bytes()[:-20])
    with Journal(path) as journal:
        assert (journal.get("a") is None, journal.get("b") is None) == (False, True)
        journal.add(Entry(mark="c", sha256="", left_out=LeftOut(codes="TRUNCATED", sentence="Cut.")))
    with Journal(path) as journal:
        assert journal.get("c") is not None
        journal.done()
    assert not path.exists()


def test_a_hostile_file_is_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write(source / "a.dcm", Rows=60_000, Columns=60_000)
    write_dicom(source / "b.dcm", Recipe(values=breast_values(64, 48)))
    os.mkfifo(source / "c.dcm")
    os.symlink(source / "gone.dcm", source / "d.dcm")
    listing = list_folder(FolderOrder(source, tmp_path / "m.csv"))
    assert len(listing.rows) == 1
    assert listing.remarks == ("Files left out: 1 (HOSTILE_SIZE 1); each with its reason in m.left-out.csv.",)


def test_a_folder_without_a_mammogram_is_refused_and_its_files_listed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    order = FolderOrder(source, tmp_path / "out" / "m.csv")
    with pytest.raises(InputError, match="archive: got an empty folder"):
        list_folder(order)
    (source / "a.txt").write_text("x")
    with pytest.raises(InputError, match="none of 1 files is a usable mammogram"):
        list_folder(order)
    assert len((tmp_path / "out" / "m.left-out.csv").read_text().splitlines()) == 2
    with pytest.raises(InputError, match="archive: got no folder of that name"):
        list_folder(FolderOrder(tmp_path / "absent", tmp_path / "out" / "m.csv"))
