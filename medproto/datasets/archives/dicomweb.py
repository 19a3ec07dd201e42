"""Mammograms of a DICOMweb server on disk: found with QIDO-RS, fetched with WADO-RS, and listed as a folder is.

Files have pseudonymous names, digests of the SOP Instance UID. Beside the folder stands `FOLDER.sha256`, one line for
each file that arrived whole, as `sha256sum` writes it: an interrupted run goes on with what is missing or was altered,
and `sha256sum -c` checks the folder without medproto. Writing back to the server is not done here.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from medproto.datasets.archives.dicomweb_server import Instance, Server, is_uid
from medproto.datasets.archives.folder import FolderOrder, list_folder
from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.tree import Progress, unwatched
from medproto.errors import DicomwebError, InputError
from medproto.ingest.opening import read_identity

SOURCE = "dicomweb"
#: Larger images are not taken from a server.
MAX_BYTES = 1_000_000_000
#: After so many images in a row for which the server does not answer, it is taken to be gone.
GONE = 2


@dataclass(frozen=True)
class Search:
    """Which studies are wanted.

    Args:
        modality: of the series, such as `MG`.
        since: day of the study, that day included; None for no limit.
        until: as `since`.
        studies: Study Instance UIDs; empty for all that match. The other limits hold for these too, but for the days.
    """

    modality: str = "MG"
    since: date | None = None
    until: date | None = None
    studies: tuple[str, ...] = ()

    def filters(self) -> dict[str, str]:
        """The same as QIDO-RS attributes (PS3.18 8.3.4.1); days as a range (PS3.4 C.2.2.2.5)."""
        days = "-".join(f"{day:%Y%m%d}" if day else "" for day in (self.since, self.until))
        return {"ModalitiesInStudy": self.modality} | ({"StudyDate": days} if days != "-" else {})


@dataclass(frozen=True)
class Download:
    """What was fetched.

    Args:
        files: images that lie in the folder, whole.
        kept: how many of them were there before.
        failed: why images or whole studies could not be had, with how often each.
    """

    files: tuple[Path, ...]
    kept: int
    failed: Counter[str]


def list_dicomweb(
    url: str, order: FolderOrder, search: Search, progress: tuple[Progress, Progress] = (unwatched, unwatched)
) -> Listing:
    """The mammograms of a server as manifest rows, fetched into `order.source` and listed as `list_folder` does.

    What an earlier search brought into the folder is listed too. `absent` counts images and whole studies that could
    not be had.

    Args:
        url: root of the service, such as `https://pacs.example/dicom-web`.
        order: where to fetch to and how to list; the folder is made where it does not exist.
        search: which studies.
        progress: called with images fetched and all images, then with files read and all files.

    Raises:
        DicomwebError: the server cannot be reached, refuses, or has no such image.
        InputError: none of the images is a usable mammogram.
    """
    fetching, reading = progress
    got = download(url, order.source, search, fetching)
    listing = list_folder(order, reading)
    lost = sum(got.failed.values())
    rows = tuple(row.model_copy(update={"source": SOURCE}) for row in listing.rows)
    remarks = tuple(f"not fetched, {count} times: {reason}" for reason, count in sorted(got.failed.items()))
    return replace(listing, rows=rows, absent=listing.absent + lost, remarks=(*listing.remarks, *remarks))


def download(url: str, folder: Path, search: Search, progress: Progress = unwatched) -> Download:
    """Fetch the images that match into a folder.

    1. A file is there whole or not at all, whenever the run or the server ends, and says the UID that was asked for.
    2. Files that are there and unaltered are not fetched again.
    3. No file name, message or list of files tells a name, an identifier or a birth date.

    Raises:
        DicomwebError: the server cannot be reached, refuses, has no such image, or ends; what arrived stays.
    """
    with Server(url) as server:
        instances, failed = _find(server, search)
        if not instances:
            none = f"DICOMweb: the server has no image of modality {search.modality} that matches"
            raise DicomwebError("; ".join(sorted(failed)) or none)
        folder.mkdir(parents=True, exist_ok=True)
        got = _fetch_all(server, instances, _Arrived(folder), progress)
    if not got.files:
        reasons = "; ".join(sorted(got.failed))
        raise DicomwebError(f"DICOMweb: none of {len(instances)} images could be had: {reasons}")
    return replace(got, failed=got.failed + failed)


def _fetch_all(server: Server, instances: Sequence[Instance], arrived: _Arrived, progress: Progress) -> Download:
    files, kept, failed, gone = list[Path](), 0, Counter[str](), 0
    for done, instance in enumerate(instances, start=1):
        name = _file_name(instance)
        file = arrived.find(name)  # 2
        kept += file is not None
        try:
            files.append(file or arrived.add(name, server.fetch(instance, MAX_BYTES), instance.sop))
            gone = 0
        except DicomwebError as err:
            failed[str(err)] += 1
            gone = gone + 1 if err.gone else 0
            if gone == GONE:
                raise DicomwebError(
                    f"{err}; {len(files)} of {len(instances)} images are there and stay, run again to go on", gone=True
                ) from err
        progress(done, len(instances))
    return Download(tuple(files), kept, failed)


def _find(server: Server, search: Search) -> tuple[tuple[Instance, ...], Counter[str]]:
    """The images that match, each once, in an order that does not depend on the server's; and why studies have none."""
    wrong = next((place for place, uid in enumerate(search.studies, start=1) if not is_uid(uid)), None)
    if wrong is not None:
        raise InputError(f"studies: number {wrong} is no UID, expected digits and dots")
    found: dict[str, Instance] = {}
    failed = Counter[str]()
    for study in search.studies or tuple(server.studies(search.filters())):
        try:
            for series in server.series(study, search.modality):
                found |= {instance.sop: instance for instance in server.instances(study, series)}
        except DicomwebError as err:
            if err.gone:
                raise
            failed[f"a study cannot be listed to its end: {err}"] += 1
    return tuple(sorted(found.values(), key=_file_name)), failed


def _file_name(instance: Instance) -> str:
    return f"image-{hashlib.sha256(instance.sop.encode()).hexdigest()[:32]}.dcm"


class _Arrived:
    """The files of a folder that arrived whole, with their digests, as `FOLDER.sha256` lists them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._list = folder.with_name(f"{folder.name}.sha256")
        # Outside of the folder: what is in it is whole.
        self._part = folder.with_name(f"{folder.name}.part")
        self._digests = dict(_listed(self._list, folder.name))

    def find(self, name: str) -> Path | None:
        """That file, if it is there as it arrived."""
        file = self._folder / name
        return file if name in self._digests and file.is_file() and _sha256(file) == self._digests[name] else None

    def add(self, name: str, content: bytes, sop_uid: str) -> Path:
        """Take a file in under its name; it is listed once it is on the disk.

        Raises:
            DicomwebError: it is not DICOM, or not the image of that UID.
        """
        with self._part.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        identity = read_identity(self._part)
        if identity is None or identity.sop_uid != sop_uid:  # 1
            self._part.unlink()
            raise DicomwebError("DICOMweb: got a file that is damaged or another image, expected the image asked for")
        file = self._part.replace(self._folder / name)
        digest = self._digests[name] = hashlib.sha256(content).hexdigest()
        with self._list.open("a", encoding="utf-8") as listing:
            listing.write(f"{digest}  {self._folder.name}/{name}\n")
        return file


def _listed(path: Path, folder: str) -> Iterable[tuple[str, str]]:
    """Name and digest of each line; the last one of a killed run may be cut."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        digest, _, name = line.partition(f"  {folder}/")
        if len(digest) == hashlib.sha256().digest_size * 2 and name.endswith(".dcm"):
            yield name, digest


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
