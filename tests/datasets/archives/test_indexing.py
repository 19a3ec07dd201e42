"""`medproto data index`: every source from its folder or a zip of it to a manifest that is read again."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medproto.commands.data import app
from medproto.datasets.archives.indexing import IndexOrder, Source, index
from medproto.datasets.archives.tree import Progress, unwatched
from medproto.datasets.manifest import Manifest, read_manifest
from medproto.errors import InputError
from tests.datasets.archives import test_rsna, test_vindr
from tests.datasets.archives.films import FILMS, INFO, film, write_archive
from tests.datasets.archives.orthanc import READER, binary, running
from tests.datasets.archives.published import cbis_row, write_image, write_table
from tests.datasets.archives.test_dicomweb import PLANTED, STUDIES
from tests.datasets.archives.test_dicomweb import image as stored
from tests.ingest.factory import write


def silent(title: str) -> Progress:
    """A reporter without bars."""
    return unwatched


def made(source: Source, place: Path, out: Path, tables_only: bool = False) -> Manifest:
    """The manifest that the source gives."""
    return read_manifest(index(IndexOrder(source, str(place), out, tables_only=tables_only), silent).manifest)


def rsna_archive(root: Path, patients: int = 10) -> Path:
    """An RSNA archive of as many patients, every fifth with a cancer; images are there."""
    rows = [test_rsna.image(n, 100 + n, "L", cancer=int(n % 5 == 0)) for n in range(1, patients + 1)]
    write_table(root / "train.csv", rows)
    source = write_image(root / "one.dcm")
    for row in rows:
        path = root / "train_images" / str(row["patient_id"]) / f"{row['image_id']}.dcm"
        path.parent.mkdir(parents=True)
        shutil.copyfile(source, path)
    return root


def packed(folder: Path, path: Path) -> Path:
    """The folder as a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path("archive") / file.relative_to(folder))
    return path


def test_an_archive_without_a_split_is_divided_by_patient_and_seed(tmp_path: Path) -> None:
    root = rsna_archive(tmp_path / "rsna")
    manifest = made("rsna", root, tmp_path / "out" / "m.csv")
    assert {name: len(manifest.split(name)) for name in ("train", "val", "test")} == {"train": 6, "val": 2, "test": 2}
    assert all(manifest.file(row).is_file() for row in manifest.rows)
    assert made("rsna", root, tmp_path / "out" / "again.csv").digest == manifest.digest
    other = index(IndexOrder("rsna", str(root), tmp_path / "out" / "other.csv", seed=1), silent)
    assert [row.split for row in other.rows] != [row.split for row in manifest.rows]


def test_an_official_split_is_kept_exactly(tmp_path: Path) -> None:
    write_table(tmp_path / "v" / "breast-level_annotations.csv", test_vindr.IMAGES)
    made_index = index(IndexOrder("vindr", str(tmp_path / "v"), tmp_path / "m.csv", tables_only=True), silent)
    assert {row.patient: row.split for row in made_index.rows} == {test_vindr.STUDY: "train", test_vindr.OTHER: "test"}
    assert any("has no val" in remark for remark in made_index.remarks)


def test_a_zip_of_an_archive_gives_the_same_rows(tmp_path: Path) -> None:
    root = rsna_archive(tmp_path / "rsna")
    plain = made("rsna", root, tmp_path / "plain" / "m.csv")
    path = packed(root, tmp_path / "rsna.zip")
    for _ in range(2):
        zipped = made("rsna", path, tmp_path / "zipped" / "m.csv")
        assert [row.image for row in zipped.rows] == [row.image for row in plain.rows]
        assert [row.split for row in zipped.rows] == [row.split for row in plain.rows]
        assert all(zipped.file(row).is_file() for row in zipped.rows)
        assert zipped.rows[0].path.startswith("m.unpacked/archive/train_images/")


def test_a_zip_of_a_folder_leaves_no_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "Zebedee-4711").mkdir()
    write(tmp_path / "Zebedee-4711" / "Zebedee-4711.dcm")
    manifest = made("folder", packed(tmp_path / "Zebedee-4711", tmp_path / "f.zip"), tmp_path / "out" / "m.csv")
    assert manifest.file(manifest.rows[0]).is_file()
    assert not any("Zebedee" in path.name for path in (tmp_path / "out").rglob("*"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["m.csv", "m.files", "m.key", "m.left-out.csv"]


def test_paths_are_found_from_another_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rsna_archive(tmp_path / "rsna")
    monkeypatch.chdir(tmp_path)
    index(IndexOrder("rsna", "rsna", Path("out/m.csv")), silent)
    monkeypatch.chdir(os.sep)
    manifest = read_manifest(tmp_path / "out" / "m.csv")
    assert all(manifest.file(row).is_file() for row in manifest.rows)
    assert not Path(manifest.rows[0].path).is_absolute()


@pytest.mark.parametrize("form", ["tar", "folder of the tar", "unpacked", "zip"])
def test_mini_mias_is_read_in_every_form_it_comes_in(tmp_path: Path, form: str) -> None:
    place = tmp_path / "source"
    place.mkdir()
    if form in ("tar", "folder of the tar"):
        archive = write_archive(place / "all-mias.tar.gz")
        place = archive if form == "tar" else place
    else:
        (place / "Info.txt").write_text(INFO)
        for number in FILMS:
            (place / f"mdb{number:03d}.pgm").write_bytes(film(number))
        place = packed(place, tmp_path / "mias.zip") if form == "zip" else place
    manifest = made("mini-mias", place, tmp_path / "out" / "m.csv")
    assert len(manifest.rows) == 6
    assert all(row.split is not None for row in manifest.rows)
    assert len(manifest.patients()) == 3
    assert all(manifest.file(row).is_file() for row in manifest.rows)
    assert [len(row.boxes) for row in manifest.rows] == [1, 0, 0, 2, 0, 0]


def test_mini_mias_tables_alone_give_rows_and_write_no_film(tmp_path: Path) -> None:
    (tmp_path / "Info.txt").write_text(INFO)
    listed = index(IndexOrder("mini-mias", str(tmp_path), tmp_path / "m.csv", tables_only=True), silent)
    assert (len(listed.rows), listed.absent) == (6, 6)
    assert not (tmp_path / "images").exists()
    with pytest.raises(InputError, match="holds no film"):
        made("mini-mias", tmp_path, tmp_path / "m.csv")


def test_a_server_is_indexed_as_a_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if binary() is None:
        pytest.skip("Orthanc and its DICOMweb plugin are not installed: apt-get install orthanc orthanc-dicomweb")
    monkeypatch.setenv("MEDPROTO_DICOMWEB_USER", READER[0])
    monkeypatch.setenv("MEDPROTO_DICOMWEB_PASSWORD", READER[1])
    with running(tmp_path / "orthanc") as server:
        server.store(stored(0), stored(1), stored(4))
        arguments = ["index", "dicomweb", server.url, "--out", str(tmp_path / "out" / "m.csv"), "--study", STUDIES[0]]
        shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    manifest = read_manifest(tmp_path / "out" / "m.csv")
    assert sorted(str(row.side) for row in manifest.rows) == ["L", "R"]
    assert all(manifest.file(row).is_file() for row in manifest.rows)
    assert {row.source for row in manifest.rows} == {"dicomweb"}
    for path in (tmp_path / "out").rglob("*"):
        content = b"" if path.suffix in (".dcm", ".key") or path.is_dir() else path.read_bytes()
        assert not any(planted.encode() in content for planted in PLANTED)


def test_wishes_that_a_source_cannot_fulfil_are_refused(tmp_path: Path) -> None:
    order = IndexOrder("rsna", str(tmp_path), tmp_path / "m.csv", labels=tmp_path / "labels.csv")
    with pytest.raises(InputError, match="labels: got a table for source rsna, which has its own"):
        index(order, silent)
    with pytest.raises(InputError, match="tables only: source folder has no tables"):
        made("folder", tmp_path, tmp_path / "m.csv", tables_only=True)
    write_table(tmp_path / "train.csv", test_rsna.ROWS)
    with pytest.raises(InputError, match="rsna: none of the 4 images that the tables name is in the folder"):
        made("rsna", tmp_path, tmp_path / "m.csv")


def test_a_table_that_puts_a_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a", "b"):
        write(tmp_path / "d" / f"{name}.dcm")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label,split\na.dcm,benign,train\nb.dcm,benign,test\n")
    with pytest.raises(
        InputError, match="column 'split': got 'test', expected 'train' as in row 2 of the same patient"
    ):
        index(IndexOrder("folder", str(tmp_path / "d"), tmp_path / "m.csv", labels), silent)
    assert not (tmp_path / "m.csv").exists()


def test_the_command_says_what_it_wrote_and_what_is_missing(tmp_path: Path) -> None:
    film_name = "Mass-Training_P_00001_LEFT_CC"
    write_table(tmp_path / "c" / "mass.csv", [cbis_row(film_name, 1, "MALIGNANT")])
    arguments = ["index", "cbis-ddsm", str(tmp_path / "c"), "--out", str(tmp_path / "out"), "--tables-only"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()[-4:]
    assert lines[0].endswith("manifest.csv: 1 images of 1 patients") or "1 images of 1 patients" in shown.output
    assert "absent: 1 of the images that are named are not there; kept" in shown.output
    assert "train" in shown.output
    assert "malignant         1" in shown.output
    assert "note: The split is the archive's own and has no val" in shown.output


def test_the_command_indexes_a_folder_with_its_labels(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    write(tmp_path / "d" / "a.dcm", Modality="CR")
    (tmp_path / "d" / "b.dcm").write_text("no picture")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\na.dcm,benign\n")
    arguments = ["index", "folder", str(tmp_path / "d"), "--out", str(tmp_path / "m.csv"), "--labels", str(labels)]
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, InputError)
    shown = CliRunner().invoke(app, [*arguments, "--admit", "CR"])
    assert shown.exit_code == 0, shown.output
    assert "benign         1" in shown.output
    assert "note: Files left out: 1 (NOT_DICOM 1); each with its reason in m.left-out.csv." in shown.output
    assert "note: Fewer than 3 patients cannot be split" in shown.output
