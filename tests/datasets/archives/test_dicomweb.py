"""DICOMweb against a real server: what is fetched is what it holds, and whatever goes wrong is one sentence."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, RLELossless

from medproto.datasets.archives import dicomweb_server
from medproto.datasets.archives.dicomweb import Search, download, list_dicomweb
from medproto.datasets.archives.folder import FolderOrder
from medproto.datasets.manifest import read_manifest, write_manifest
from medproto.errors import DicomwebError, InputError
from tests.datasets.archives.orthanc import READER, Orthanc, binary, running
from tests.ingest.factory import BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Recipe, breast_values, mammogram_dataset

PLANTED = (PATIENT_NAME, PATIENT_NAME.partition("^")[2], PATIENT_ID, BIRTH_DATE)
STUDIES = ("1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if binary() is None:
        pytest.skip("Orthanc and its DICOMweb plugin are not installed: apt-get install orthanc orthanc-dicomweb")
    with running(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture
def archive(server: Orthanc, monkeypatch: pytest.MonkeyPatch) -> Orthanc:
    """A server with nothing on it and a reader who may enter."""
    server.empty()
    monkeypatch.setenv(dicomweb_server.USER, READER[0])
    monkeypatch.setenv(dicomweb_server.PASSWORD, READER[1])
    monkeypatch.setattr(dicomweb_server, "FIRST_WAIT_S", 0.01)
    return server


def image(number: int, **elements: object) -> Dataset:
    """A mammogram of one of two studies; even numbers are right breasts."""
    values = {
        "StudyInstanceUID": STUDIES[number // 4 % 2],
        "StudyDate": f"2020010{1 + number // 4}",
        "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.9.{number}",
        "ImageLaterality": "RL"[number % 2],
        "ViewPosition": ("CC", "MLO")[number // 2 % 2],
    }
    dataset = mammogram_dataset(Recipe(values=breast_values(brightest=3000 + number), elements=values | elements))
    dataset.preamble = bytes(128)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def name_of(dataset: Dataset) -> str:
    return f"image-{hashlib.sha256(dataset.SOPInstanceUID.encode()).hexdigest()[:32]}.dcm"


def assert_tells_nobody(text: str) -> None:
    assert [planted for planted in PLANTED if planted in text] == []


def test_images_arrive_byte_by_byte_in_the_syntax_they_are_stored_in(archive: Orthanc, tmp_path: Path) -> None:
    datasets = [image(0), image(1), image(2)]
    datasets[1].compress(RLELossless, generate_instance_uid=False)
    datasets[2].compress(JPEGLSLossless, generate_instance_uid=False)
    archive.store(*datasets)
    steps: list[tuple[int, int]] = []
    got = download(archive.url, tmp_path / "images", Search(), lambda *step: steps.append(step))
    assert sorted(file.name for file in got.files) == sorted(map(name_of, datasets))
    stored = {hashlib.sha256(file.read_bytes()).hexdigest() for file in archive.stored_files()}
    assert {hashlib.sha256(file.read_bytes()).hexdigest() for file in got.files} <= stored
    assert (got.kept, got.failed, steps) == (0, {}, [(1, 3), (2, 3), (3, 3)])


def test_a_server_becomes_a_manifest_without_a_patient_in_it(archive: Orthanc, tmp_path: Path) -> None:
    archive.store(*(image(number) for number in range(8)), image(8, PresentationIntentType="FOR PROCESSING"))
    target = tmp_path / "manifest.csv"
    listing = list_dicomweb(archive.url, FolderOrder(tmp_path / "images", target), Search())
    manifest = read_manifest(write_manifest(target, listing.rows))
    assert {(row.side, row.view, row.source) for row in manifest.rows} == {
        (side, view, "dicomweb") for side in "LR" for view in ("CC", "MLO")
    }
    assert (len(manifest.rows), len(manifest.patients()), len(manifest.exams())) == (8, 1, 2)
    assert all(manifest.file(row).is_file() for row in manifest.rows)
    texts = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".dcm"]
    assert "FOR_PROCESSING" in (tmp_path / "manifest.left-out.csv").read_text()
    for path in texts:
        assert_tells_nobody(path.read_bytes().decode("utf-8", "replace"))
    assert_tells_nobody("\n".join(map(str, tmp_path.rglob("*"))))


def test_an_interrupted_download_goes_on_and_alterations_are_mended(archive: Orthanc, tmp_path: Path) -> None:
    archive.store(*(image(number) for number in range(4)))
    folder = tmp_path / "images"
    first = download(archive.url, folder, Search())
    times = {file: file.stat().st_mtime_ns for file in first.files}
    gone, altered, unlisted = first.files[:3]
    gone.unlink()
    altered.write_bytes(altered.read_bytes()[:-7] + b"altered")
    listed = (tmp_path / "images.sha256").read_text()
    cut = "".join(line for line in listed.splitlines(keepends=True) if unlisted.name not in line)
    (tmp_path / "images.sha256").write_text(cut + listed[:30])
    second = download(archive.url, folder, Search())
    assert (second.files, second.kept) == (first.files, 1)
    assert [file.stat().st_mtime_ns == times[file] for file in second.files] == [False, False, False, True]
    assert b"altered" not in altered.read_bytes()
    assert download(archive.url, folder, Search()).kept >= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "images.sha256"]


def test_the_list_of_digests_is_one_that_sha256sum_checks(archive: Orthanc, tmp_path: Path) -> None:
    archive.store(image(0), image(1))
    files = download(archive.url, tmp_path / "images", Search()).files
    check = ["sha256sum", "--strict", "-c", "images.sha256"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"images/{file.name}: OK" for file in files]


@pytest.mark.parametrize(
    ("search", "numbers"),
    [
        (Search(since=date(2020, 1, 2)), {4, 5}),
        (Search(until=date(2020, 1, 1)), {0, 1}),
        (Search(since=date(2020, 1, 1), until=date(2020, 1, 2)), {0, 1, 4, 5}),
        (Search(studies=STUDIES[1:]), {4, 5}),
        (Search(modality="CR"), {6}),
    ],
)
def test_a_search_limits_what_is_fetched(archive: Orthanc, tmp_path: Path, search: Search, numbers: set[int]) -> None:
    archive.store(image(0), image(1), image(4), image(5), image(6, Modality="CR"))
    files = download(archive.url, tmp_path / "images", search).files
    assert {file.name for file in files} == {name_of(image(number)) for number in numbers}


def test_results_are_asked_for_page_by_page(archive: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb_server, "PAGE", 2)
    shared = {"SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.77", "StudyInstanceUID": STUDIES[0]}
    archive.store(*(image(number, **shared) for number in range(7)))
    assert len(download(archive.url, tmp_path / "images", Search()).files) == 7


def test_an_archive_without_mammograms_is_one_sentence(archive: Orthanc, tmp_path: Path) -> None:
    with pytest.raises(DicomwebError, match="the server has no image of modality MG that matches"):
        download(archive.url, tmp_path / "images", Search())
    with pytest.raises(DicomwebError, match=r"no image of modality MG|has nothing there \(404\)"):
        download(archive.url, tmp_path / "images", Search(studies=("1.2.3",)))
    with pytest.raises(InputError, match="studies: number 2 is no UID"):
        download(archive.url, tmp_path / "images", Search(studies=("1.2.3", "Zebedee")))
    assert not (tmp_path / "images").exists()


def test_a_wrong_address_is_one_sentence(archive: Orthanc, tmp_path: Path) -> None:
    for address, sentence in (
        (f"{archive.root}/no-such-service", r"nothing there \(404\), expected the address of a DICOMweb service"),
        (archive.root, r"refuses the question \(400\), expected a DICOMweb service"),
        (f"{archive.root}/app/explorer.html#", "answer is no DICOM JSON, expected the address of a DICOMweb service"),
        (f"{archive.url}?token=secret", "got an address with credentials or a query"),
        ("http://reader:secret@127.0.0.1/dicom-web", "got an address with credentials or a query, expected them in"),
        ("ftp://127.0.0.1/", "got an address that is none, expected such as https://"),
        ("http://[::1", "got an address that is none, expected such as https://"),
        ("http://127.0.0.1:9/dicom-web", "the server cannot be reached or breaks off"),
    ):
        with pytest.raises(DicomwebError, match=sentence) as caught:
            download(address, tmp_path / "images", Search())
        assert "secret" not in str(caught.value)


def test_wrong_or_half_credentials_are_one_sentence(
    archive: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(dicomweb_server.PASSWORD, "wrong one")
    with pytest.raises(DicomwebError, match=r"refuses access \(401\), expected credentials in MEDPROTO_") as caught:
        download(archive.url, tmp_path / "images", Search())
    assert "wrong one" not in str(caught.value)
    monkeypatch.setenv(dicomweb_server.TOKEN, "no token that counts")
    with pytest.raises(DicomwebError, match=r"refuses access \(401\)"):
        download(archive.url, tmp_path / "images", Search())
    monkeypatch.delenv(dicomweb_server.TOKEN)
    monkeypatch.delenv(dicomweb_server.PASSWORD)
    with pytest.raises(DicomwebError, match="got one of MEDPROTO_DICOMWEB_USER and MEDPROTO_DICOMWEB_PASSWORD"):
        download(archive.url, tmp_path / "images", Search())


def test_one_image_that_is_damaged_on_the_server_leaves_the_others_and_is_told(
    archive: Orthanc, tmp_path: Path
) -> None:
    broken = image(0)
    broken.compress(JPEGLSLossless, generate_instance_uid=False)
    archive.store(broken)
    (damaged,) = archive.stored_files()
    archive.store(image(1), image(2))
    bytes_stored = damaged.read_bytes()
    damaged.write_bytes(bytes_stored[:-3000] + bytes(2900) + bytes_stored[-100:])
    listing = list_dicomweb(archive.url, FolderOrder(tmp_path / "images", tmp_path / "manifest.csv"), Search())
    assert len(listing.rows) == 2
    (left_out,) = (tmp_path / "manifest.left-out.csv").read_text().splitlines()[1:]
    assert "UNDECODABLE" in left_out
    # Orthanc looks into its files to answer a search, and refuses it where one of them is no DICOM any more.
    damaged.write_bytes(bytes(9))
    with pytest.raises(DicomwebError, match=r"the server refuses the question \(400\)"):
        download(archive.url, tmp_path / "images", Search())


def test_a_server_that_is_killed_leaves_whole_files_and_a_sentence(
    tmp_path: Path, archive: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "other") as doomed:
        doomed.store(*(image(number) for number in range(6)))

        def kill(done: int, total: int) -> None:
            if done == 3:
                doomed.process.kill()
                doomed.process.wait()

        with pytest.raises(DicomwebError, match=r"breaks off, .*; 3 of 6 images are there and stay, run again"):
            download(doomed.url, tmp_path / "images", Search(), kill)
    archive.store(*(image(number) for number in range(6)))
    got = download(archive.url, tmp_path / "images", Search())
    assert (len(got.files), got.kept) == (6, 3)
