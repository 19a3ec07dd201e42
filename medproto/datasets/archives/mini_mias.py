"""mini-MIAS: the published archive of 8-bit films in, real mammography DICOM and a manifest out.

What the archive says and what it means (each checked on the films): lesion centres count from the bottom-left corner;
images 2k-1 and 2k are one patient; some images have several lesions, some abnormal ones no coordinates; laterality by
file number contradicts the markers burnt into the films, so it is left unknown. Research use only; cite J Suckling et
al 1994.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.tree import Progress, unwatched
from medproto.datasets.dicom_file import derived_uid, new_mammogram, save_mammogram, set_pixels, set_view
from medproto.datasets.manifest import ManifestRow, write_manifest
from medproto.datasets.splits import severity
from medproto.errors import InputError
from medproto.records import Box

SOURCE = "mini-MIAS"
LICENCE = "research only, mini-MIAS licence; cite J Suckling et al 1994"
SIZE_PX = 1024
SPACING_MM = 0.2
#: A film has 1 MiB, the table 8 KiB: nothing larger is taken into memory.
MAX_BYTES = 10_000_000
REMARKS = ("Sides are unknown: the archive's own statements on them contradict one another.",)
_LABELS = {"B": "benign", "M": "malignant"}
_FILM = re.compile(r"mdb(\d{3})\.pgm")
_NOTHING = re.compile(r"(?!)")
_ROW = re.compile(
    r"mdb(?P<film>\d{3})\s+(?P<density>[FGD])\s+(?P<finding>[A-Z]{4})(?:\s+(?P<severity>[BM]))?"
    r"(?:\s+(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<radius>\d+))?"
)


@dataclass(frozen=True)
class Abnormality:
    """One row of `Info.txt`.

    Args:
        film: number of the film.
        density: F, G or D.
        finding: CALC, CIRC, SPIC, MISC, ARCH, ASYM or NORM.
        label: normal, benign or malignant.
        box: square around the circle, in pixels of the film; None where it has no coordinates.
    """

    film: int
    density: str
    finding: str
    label: str
    box: Box | None


def import_mini_mias(source: Path, out: Path, progress: Progress = unwatched) -> Path:
    """Write the films as DICOM and return the path of their manifest, without splits; again gives the same bytes.

    Args:
        source: as for `list_mini_mias`.
        out: folder of the films and of `manifest.csv`, made where it does not exist.
        progress: called with films done and all films.
    """
    return write_manifest(out / "manifest.csv", list_mini_mias(source, out, False, progress).rows)


def list_mini_mias(source: Path, out: Path, tables_only: bool, progress: Progress = unwatched) -> Listing:
    """The films of the archive, written as DICOM to `out/images`; paths are relative to `out`.

    Args:
        source: the published `all-mias.tar.gz`, the folder it lies in, or a folder it was unpacked to; films may be
            missing.
        out: folder, made where it does not exist.
        tables_only: keep films that are not there, and write none.
        progress: called with films done and all films.

    Raises:
        InputError: the source is not the archive, or a film is damaged.
    """
    source = _archive_in(source)
    entries = _open(source)
    numbers = sorted(int(match[1]) for name in entries if (match := _FILM.fullmatch(name)))
    if "Info.txt" not in entries:
        raise InputError(f"mini-MIAS: '{source.name}' holds no Info.txt, expected the published archive")
    if not numbers and not tables_only:
        raise InputError(f"mini-MIAS: '{source.name}' holds no film, expected mdb001.pgm and so on")
    described = parse_info(_read_entry(source, "Info.txt").decode("latin-1"))
    missing = [number for number in numbers if number not in described]
    if missing:
        raise InputError(f"mini-MIAS: film mdb{missing[0]:03d} has no row in Info.txt, expected one for each film")
    absent = len(described.keys() - set(numbers))
    if tables_only:
        progress(len(described), len(described))
        return Listing(tuple(_row(number, described[number]) for number in sorted(described)), absent, REMARKS)
    (out / "images").mkdir(parents=True, exist_ok=True)
    for done, (number, content) in enumerate(_films(source), start=1):
        _write_film(out / "images" / f"mdb{number:03d}.dcm", number, _decode(number, content))
        progress(done, len(numbers))
    return Listing(tuple(_row(number, described[number]) for number in numbers), absent, REMARKS)


def parse_info(text: str) -> dict[int, tuple[Abnormality, ...]]:
    """Rows of `Info.txt` by film number.

    Raises:
        InputError: a row names a film and is not of the published form.
    """
    found: dict[int, list[Abnormality]] = {}
    for line_number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("mdb"):
            continue
        match = _ROW.match(line)
        if match is None or (match["severity"] is None) != (match["finding"] == "NORM"):
            raise InputError(
                f"mini-MIAS: line {line_number} of Info.txt is '{line.strip()}', "
                "expected film, tissue, class, severity and circle"
            )
        film = int(match["film"])
        label = _LABELS[match["severity"]] if match["severity"] else "normal"
        found.setdefault(film, []).append(
            Abnormality(film, match["density"], match["finding"], label, None if match["x"] is None else _box(match))
        )
    return {film: tuple(rows) for film, rows in found.items()}


def _box(match: re.Match[str]) -> Box:
    # Info.txt, note 3: the origin is the bottom-left corner, so rows run the other way.
    row, column, radius = SIZE_PX - 1 - int(match["y"]), int(match["x"]), int(match["radius"])
    return Box(
        top=max(0, row - radius),
        left=max(0, column - radius),
        bottom=min(SIZE_PX, row + radius + 1),
        right=min(SIZE_PX, column + radius + 1),
    )


def _row(number: int, abnormalities: tuple[Abnormality, ...]) -> ManifestRow:
    kinds = sorted({one.finding for one in abnormalities} - {"NORM"})
    return ManifestRow(
        path=f"images/mdb{number:03d}.dcm",
        patient=_patient(number),
        exam=f"{_patient(number)}-exam",
        image=f"mdb{number:03d}",
        side=None,
        view="MLO",
        label=max((one.label for one in abnormalities), key=severity),
        boxes=tuple(one.box for one in abnormalities if one.box is not None),
        finding="+".join(kinds) or None,
        density=abnormalities[0].density,
        source=SOURCE,
        licence=LICENCE,
    )


def _patient(number: int) -> str:
    """Films 2k-1 and 2k are one patient."""
    return f"mini-MIAS-{(number + 1) // 2:03d}"


def _write_film(path: Path, number: int, pixels: NDArray[np.uint8]) -> None:
    ds = new_mammogram()
    ds.PatientName = ""
    ds.PatientID = _patient(number)
    ds.SOPInstanceUID = derived_uid(SOURCE, "film", str(number))
    ds.SeriesInstanceUID = derived_uid(SOURCE, "series", str(number))
    ds.StudyInstanceUID = derived_uid(SOURCE, "study", _patient(number))
    ds.StudyDate = ds.StudyTime = ds.ContentDate = ds.ContentTime = ""
    ds.StudyDescription = "mini-MIAS database of mammograms"
    ds.SeriesDescription = "MLO, digitised film"
    ds.ImageComments = LICENCE
    ds.Manufacturer = "mini-MIAS"
    ds.SeriesNumber = ds.InstanceNumber = number
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ImageLaterality = ""
    ds.PatientOrientation = ""
    ds.DetectorType = "FILM"
    ds.PixelSpacing = ds.ImagerPixelSpacing = [SPACING_MM, SPACING_MM]
    set_view(ds, "MLO", "SCT")
    # PS3.3 C.11.2.1.2.1: with this window, LINEAR shows value x as x / 255.
    set_pixels(ds, pixels, 8, (128, 256))
    save_mammogram(path, ds)


def _decode(number: int, content: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content), formats=("PPM",)) as picture:
            size, mode = picture.size, picture.mode
            pixels = np.asarray(picture) if (size, mode) == ((SIZE_PX, SIZE_PX), "L") else None
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as err:
        raise InputError(f"mini-MIAS: film mdb{number:03d} is damaged, expected a PGM picture") from err
    if pixels is None:
        raise InputError(
            f"mini-MIAS: film mdb{number:03d} is {size[0]} x {size[1]} {mode}, expected 1024 x 1024, 8 bit"
        )
    return pixels


def _archive_in(source: Path) -> Path:
    """The tar archive or the folder of films that a folder holds; the source itself where it holds neither."""
    if not source.is_dir() or any(_FILM.fullmatch(path.name) for path in source.iterdir()):
        return source
    archives = sorted(source.glob("*mias*.tar*"))
    folders = sorted({path.parent for path in source.rglob("mdb*.pgm") if _FILM.fullmatch(path.name)})
    return next(iter(archives + folders), source)


def _open(source: Path) -> set[str]:
    """Names of the files in the archive or folder."""
    if source.is_dir():
        return {path.name for path in source.iterdir() if path.is_file()}
    return {name for name, _ in _members(source, _NOTHING)}


def _read_entry(source: Path, name: str) -> bytes:
    if source.is_dir():
        return _content(source / name)
    return next(content for found, content in _members(source, re.compile(re.escape(name))) if found == name)


def _films(source: Path) -> Iterator[tuple[int, bytes]]:
    if source.is_dir():
        files = ((path.name, path) for path in sorted(source.iterdir()))
        yield from ((int(match[1]), _content(path)) for name, path in files if (match := _FILM.fullmatch(name)))
        return
    for name, content in _members(source, _FILM):
        if match := _FILM.fullmatch(name):
            yield int(match[1]), content


def _content(path: Path) -> bytes:
    _check_size(path.name, path.stat().st_size)
    return path.read_bytes()


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise InputError(f"mini-MIAS: {name}: got {size} bytes, expected at most {MAX_BYTES}")


def _members(source: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """Name of every file of a tar archive, with its content where wanted; nothing is unpacked to a path it names."""
    try:
        with tarfile.open(source, "r:*") as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                if place.is_absolute() or ".." in place.parts or member.issym() or member.islnk():
                    raise InputError(f"mini-MIAS: '{source.name}' names a file outside of itself, expected plain films")
                handle = archive.extractfile(member) if member.isfile() and wanted.fullmatch(place.name) else None
                if handle is not None:
                    _check_size(place.name, member.size)
                if member.isfile():
                    yield place.name, b"" if handle is None else handle.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as err:
        raise InputError(f"mini-MIAS: cannot read '{source.name}', expected all-mias.tar.gz or its folder") from err
