"""A real DICOMweb server for tests: Debian's Orthanc with its DICOMweb plugin, on loopback and on a free port."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
READER = ("reader", "a password of tests")
_START_S = 20


def binary() -> str | None:
    """The server's program with its plugin, None where one of them is not installed."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    return program if PLUGIN.is_file() else None


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    process: subprocess.Popen[bytes]
    folder: Path
    root: str

    @property
    def url(self) -> str:
        """Its DICOMweb service."""
        return f"{self.root}/dicom-web"

    def store(self, *datasets: Dataset) -> None:
        """Send files by STOW-RS."""
        with requests.Session() as session:
            session.auth = READER
            DICOMwebClient(self.url, session=session).store_instances(list(datasets))

    def empty(self) -> None:
        """Forget all images."""
        for patient in self.get("patients"):
            requests.delete(f"{self.root}/patients/{patient}", auth=READER, timeout=10).raise_for_status()

    def get(self, path: str) -> list[str]:
        """What the server's own interface lists there."""
        answer = requests.get(f"{self.root}/{path}", auth=READER, timeout=10)
        answer.raise_for_status()
        found: list[str] = answer.json()
        return found

    def stored_files(self) -> list[Path]:
        """The files in which it keeps images, the largest last."""
        files = (path for path in (self.folder / "images").rglob("*") if path.is_file())
        return sorted(files, key=lambda path: path.stat().st_size)


@contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """A server that holds nothing; ended with the block."""
    program = binary()
    assert program is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "images"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        # Files that a test alters shall not come from memory.
        "MaximumStorageCacheSize": 0,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": dict([READER]),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    server = Orthanc(process, folder, f"http://127.0.0.1:{port}")
    try:
        _wait(server)
        yield server
    finally:
        process.kill()
        process.wait()


def _wait(server: Orthanc) -> None:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends:
        try:
            server.get("patients")
        except requests.ConnectionError:
            assert server.process.poll() is None, (server.folder / "log").read_text()
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"Orthanc did not start in {_START_S} s")
