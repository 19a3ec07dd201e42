"""mini-MIAS: films become real mammography DICOM, and its coordinates, pairs and gaps are read as they are meant."""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from medproto.datasets.archives.mini_mias import import_mini_mias, parse_info
from medproto.datasets.manifest import Manifest, read_manifest
from medproto.errors import InputError
from medproto.ingest.reading import read_mammogram
from tests.datasets.archives.films import FILMS, INFO, film, shared_archive, write_archive


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("mias")
    return read_manifest(import_mini_mias(write_archive(folder / "all-mias.tar.gz"), folder / "out"))


def test_lesion_rows_count_from_the_bottom_and_pairs_are_one_patient(imported: Manifest) -> None:
    rows = {row.image: row for row in imported.rows}
    (box,) = rows["mdb001"].boxes
    assert (box.top, box.left, box.bottom, box.right) == (1023 - 600 - 40, 360, 1023 - 600 + 41, 441)
    assert [len(rows[f"mdb{n:03d}"].boxes) for n in FILMS] == [1, 0, 0, 2, 0, 0]
    assert [len(members) for members in imported.patients().values()] == [2, 2, 2]
    assert rows["mdb003"].patient == rows["mdb004"].patient == "mini-MIAS-002"


def test_labels_findings_and_densities_are_those_of_the_table(imported: Manifest) -> None:
    told = [(row.label, row.finding, row.density, row.side, row.view) for row in imported.rows]
    assert told == [
        ("benign", "CIRC", "G", None, "MLO"),
        ("normal", None, "G", None, "MLO"),
        ("normal", None, "D", None, "MLO"),
        ("malignant", "CALC+SPIC", "D", None, "MLO"),
        ("normal", None, "F", None, "MLO"),
        ("benign", "CALC", "F", None, "MLO"),
    ]
    assert all("Suckling" in (row.licence or "") for row in imported.rows)


def test_films_keep_their_pixels_and_are_read_as_mammograms(imported: Manifest) -> None:
    row = imported.rows[0]
    original = np.asarray(Image.open(io.BytesIO(film(1))))
    ds = pydicom.dcmread(imported.file(row))
    np.testing.assert_array_equal(ds.pixel_array, original)
    assert (ds.PatientID, ds.ImageLaterality, ds.ViewPosition) == ("mini-MIAS-001", "", "MLO")
    assert (ds.BurnedInAnnotation, ds.PixelSpacing, ds.PatientName) == ("YES", [0.2, 0.2], "")
    mammogram = read_mammogram(imported.file(row))
    np.testing.assert_allclose(mammogram.pixels, original / 255, atol=1e-6)
    assert "SIDE_MISSING" in {finding.code for finding in mammogram.findings}


def test_archive_and_folder_give_the_same_bytes_every_time(imported: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / "Info.txt").write_text(INFO)
    for number in FILMS:
        (folder / f"mdb{number:03d}.pgm").write_bytes(film(number))
    for _ in range(2):
        again = read_manifest(import_mini_mias(folder, tmp_path / "out"))
        assert again.digest == imported.digest
        for row in again.rows:
            assert again.file(row).read_bytes() == imported.file(row).read_bytes()


@pytest.mark.parametrize(
    ("info", "extra", "sentence"),
    [
        (None, None, "holds no Info.txt"),
        ("mdb001 G NORM\n", None, "film mdb002 has no row in Info.txt"),
        (INFO + "mdb007 G CIRC\n", None, "line 10 of Info.txt is 'mdb007 G CIRC'"),
        (INFO, ("../evil.pgm", b"x"), "names a file outside of itself"),
        (INFO, ("/etc/evil", b"x"), "names a file outside of itself"),
        (INFO + "mdb008 G NORM\n", ("mdb008.pgm", b"P5 no picture"), "film mdb008 is damaged"),
        (INFO + "mdb008 G NORM\n", ("mdb008.pgm", b"P5\n2 2\n255\nabcd"), "film mdb008 is 2 x 2 L, expected 1024"),
    ],
)
def test_a_bad_archive_is_one_clear_sentence(
    tmp_path: Path, info: str | None, extra: tuple[str, bytes] | None, sentence: str
) -> None:
    archive = write_archive(tmp_path / "all-mias.tar.gz", info, extra)
    with pytest.raises(InputError, match=sentence):
        import_mini_mias(archive, tmp_path / "out")
    assert not (tmp_path / "evil.pgm").exists()


def test_a_cut_archive_and_no_archive_are_refused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "all-mias.tar.gz")
    archive.write_bytes(archive.read_bytes()[:500_000])
    other = tmp_path / "other.tar.gz"
    other.write_text("no archive")
    for path in (archive, other, tmp_path / "absent.tar.gz"):
        with pytest.raises(InputError, match=f"cannot read '{re.escape(path.name)}'"):
            import_mini_mias(path, tmp_path / "out")


def test_a_film_of_a_hostile_size_is_refused_unread(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all-mias.tar.gz", "w:gz") as archive:
        for name, content in (("Info.txt", INFO.encode()), ("mdb001.pgm", bytes(10_000_001))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match=r"mdb001\.pgm: got 10000001 bytes, expected at most 10000000"):
        import_mini_mias(tmp_path / "all-mias.tar.gz", tmp_path / "out")
    folder = tmp_path / "films"
    with tarfile.open(tmp_path / "all-mias.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    with pytest.raises(InputError, match=r"mdb001\.pgm: got 10000001 bytes, expected at most 10000000"):
        import_mini_mias(folder, tmp_path / "out")


def test_the_published_table_is_read_as_its_readme_says() -> None:
    path = shared_archive().with_name("Info.txt")
    if not path.exists():
        pytest.skip(f"the mini-MIAS archive is not here: set MEDPROTO_SHARED, or put it at {path.parent}")
    found = parse_info(path.read_text(encoding="latin-1"))
    severest = Counter(
        "malignant" if any(row.label == "malignant" for row in rows) else rows[0].label for rows in found.values()
    )
    assert severest == {"normal": 144, "benign": 44, "malignant": 36}
    assert {film for film, rows in found.items() if len(rows) > 1} <= {5, 132, 144, 223, 226, 239, 249}
    without = {film for film, rows in found.items() if rows[0].label != "normal" and rows[0].box is None}
    assert without == {59, 216, 233, 245}
