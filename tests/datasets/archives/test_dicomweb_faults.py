"""What a DICOMweb server may answer wrongly: a real HTTP server says what the test tells it to; we say one sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from medproto.datasets.archives import dicomweb_server
from medproto.datasets.archives.dicomweb import Search, download, list_dicomweb
from medproto.datasets.archives.folder import FolderOrder
from medproto.errors import DicomwebError
from tests.ingest.factory import Recipe, mammogram_dataset


class _Answers(BaseHTTPRequestHandler):
    """A server that sends, for every question, the next of its answers: status, headers and body."""

    answers: list[tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        status, headers, body = self.answers.pop(0)
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """A real HTTP server that answers what the test says, for faults that Orthanc does not have."""
    monkeypatch.setattr(dicomweb_server, "FIRST_WAIT_S", 0.01)
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def mammogram(folder: Path) -> bytes:
    """The file of SOP."""
    path = folder / "mammogram"
    mammogram_dataset(Recipe(elements={"SOPInstanceUID": "1.2.3.5"})).save_as(path, enforce_file_format=True)
    return path.read_bytes()


JSON = {"Content-Type": "application/dicom+json"}
SERIES = (200, JSON, b'[{"0020000E": {"vr": "UI", "Value": ["1.2.3.4"]}}]')
SOP = (200, JSON, b'[{"00080018": {"vr": "UI", "Value": ["1.2.3.5"]}}]')
END = (200, JSON, b"[]")
MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary="b b"'}
ASK = Search(studies=("1.2.3",))
FOUND = [SERIES, SOP, END, END]


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([(200, {"Content-Type": "text/html"}, b"<html>log in</html>")], "the server's answer is no DICOM JSON"),
        ([(200, JSON, b'"Zebedee"')], "the server's answer is no DICOM JSON"),
        ([(200, JSON, b'[{"0020000E": {"Value": ["../../Zebedee"]}}]')], r"without a UID in \(0020,000E\)"),
        ([(200, JSON, b"[{}]")], r"without a UID in \(0020,000E\)"),
        ([(418, {}, b"Zebedee")], r"refuses the question \(418\)"),
        ([(503, {}, b"")] * dicomweb_server.ATTEMPTS, r"busy or away \(503\)"),
        ([*FOUND, (404, {}, b"Zebedee")], r"none of 1 images could be had: .* nothing there \(404\)"),
        ([*FOUND, (200, {"Content-Type": "text/html"}, b"Zebedee")], "got text/html, expected application/dicom"),
        ([*FOUND, (200, MULTIPART, b"Zebedee")], "without its first delimiter"),
        ([*FOUND, *[(200, MULTIPART, b"--b b\r\n\r\nZeb")] * dicomweb_server.ATTEMPTS], "got an answer that is cut"),
        ([*FOUND, (200, MULTIPART, b"--b b\r\n\r\nx\r\n--b b\r\n\r\ny\r\n--b b--")], "got several parts for one image"),
        ([*FOUND, (200, MULTIPART, b"--b b\r\n\r\nZebedee\r\n--b b--\r\n")], "damaged or another image"),
        ([*FOUND, *[(200, {"Content-Length": "99"}, b"x")] * dicomweb_server.ATTEMPTS], "be reached or breaks off"),
    ],
)
def test_what_a_server_may_answer_wrongly_is_one_sentence(
    odd: HTTPServer, tmp_path: Path, answers: list[tuple[int, dict[str, str], bytes]], sentence: str
) -> None:
    _Answers.answers = list(answers)
    with pytest.raises(DicomwebError, match=sentence) as caught:
        download(f"http://127.0.0.1:{odd.server_port}", tmp_path / "images", ASK)
    assert "Zebedee" not in str(caught.value)
    assert _Answers.answers == []
    assert [path.name for path in tmp_path.rglob("*.dcm")] == []


def test_a_server_that_is_busy_for_a_while_is_asked_again(odd: HTTPServer, tmp_path: Path) -> None:
    whole = mammogram(tmp_path)
    body = b"--b b\r\nContent-Type: application/dicom\r\n\r\n" + whole + b"\r\n--b b--"
    _Answers.answers = [(503, {}, b""), SERIES, (429, {}, b""), SOP, END, END, (502, {}, b""), (200, MULTIPART, body)]
    (file,) = download(f"http://127.0.0.1:{odd.server_port}/", tmp_path / "images", ASK).files
    assert file.read_bytes() == whole


def test_a_server_that_turns_no_pages_does_not_keep_us(
    odd: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb_server, "PAGE", 1)
    _Answers.answers = [SERIES, SOP, SOP]
    with pytest.raises(DicomwebError, match="the server repeats its first results, expected it to heed the offset"):
        download(f"http://127.0.0.1:{odd.server_port}", tmp_path / "images", ASK)


def test_more_bytes_than_an_image_has_are_not_taken(
    odd: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medproto.datasets.archives.dicomweb.MAX_BYTES", 1000)
    _Answers.answers = [*FOUND, (200, MULTIPART, bytes(3000))]
    with pytest.raises(DicomwebError, match="got an image of more than 1000 bytes, expected at most so many"):
        download(f"http://127.0.0.1:{odd.server_port}", tmp_path / "images", ASK)


def test_a_study_or_image_that_cannot_be_had_leaves_the_others_and_is_told(odd: HTTPServer, tmp_path: Path) -> None:
    good = (200, {"Content-Type": "application/dicom"}, mammogram(tmp_path))
    other = (200, JSON, b'[{"00080018": {"vr": "UI", "Value": ["1.2.3.6"]}}]')
    _Answers.answers = [(404, {}, b""), SERIES, SOP, other, END, END, good, good]
    search = Search(studies=("1.2.3.9", "1.2.3"))
    order = FolderOrder(tmp_path / "images", tmp_path / "manifest.csv")
    listing = list_dicomweb(f"http://127.0.0.1:{odd.server_port}", order, search)
    assert _Answers.answers == []
    assert (len(listing.rows), listing.absent) == (1, 2)
    assert [remark.split(":")[0] for remark in listing.remarks[-2:]] == ["not fetched, 1 times"] * 2
    assert "damaged or another image" in listing.remarks[-2]
    assert "a study cannot be listed to its end" in listing.remarks[-1]
