"""CBIS-DDSM's files on disk: which is the full mammogram, which the mask and which the crop, and boxes from masks.

Folders named `ROI mask images` hold crops too, and the tables' paths of both are sometimes swapped. So content decides:
a mask has the size of the full mammogram and two values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medproto.config import IngestSettings
from medproto.datasets.archives.tree import dicom_files, facts, read_header
from medproto.errors import UnreadableImage
from medproto.ingest.decoding import decode, read_layout
from medproto.ingest.header import text
from medproto.ingest.opening import parse, read_bytes
from medproto.records import Box

#: A folder or a PatientID: the image's name, and for masks and crops the number of the abnormality.
FOLDER = re.compile(r"(?P<name>(?:Mass|Calc)-(?:Training|Test)_P_\d{5}_(?:LEFT|RIGHT)_(?:CC|MLO))(?:_(?P<number>\d+))?")
FULL = "FULL MAMMOGRAM IMAGES"
SETTINGS = IngestSettings()


@dataclass(frozen=True)
class Shelf:
    """Files of one image: candidates for the full mammogram, and masks and crops by number of the abnormality."""

    full: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Outlines:
    """Boxes of an image's masks in its pixels, and how many of its abnormalities have files but no usable mask."""

    boxes: tuple[Box, ...]
    without: int


def shelve(root: Path, files: Sequence[str], read: bool) -> dict[str, Shelf]:
    """DICOM files by image name, told by their folder, else by their PatientID.

    Args:
        root: the archive's folder.
        files: relative paths.
        read: whether files in folders of other names may be opened for their PatientID.
    """
    full: dict[str, list[str]] = {}
    parts: dict[str, dict[str, list[str]]] = {}
    for file in dicom_files(files):
        matches = [match for folder in file.split("/")[:-1] if (match := FOLDER.fullmatch(folder))]
        if not matches and read and (match := FOLDER.fullmatch(facts(read_header(root / file)).patient)):
            matches = [match]
        if matches and (number := matches[-1]["number"]):
            parts.setdefault(matches[-1]["name"], {}).setdefault(number, []).append(file)
        elif matches:
            full.setdefault(matches[-1]["name"], []).append(file)
    return {
        name: Shelf(
            tuple(full.get(name, ())), tuple(tuple(parts.get(name, {})[n]) for n in sorted(parts.get(name, {})))
        )
        for name in full.keys() | parts.keys()
    }


def full_mammogram(root: Path, shelf: Shelf, published: str) -> str | None:
    """The image's file; None where it is not there.

    Args:
        root: the archive's folder.
        shelf: the image's files.
        published: its path in the tables: name, study UID, series UID, file.
    """
    exact = [file for file in shelf.full if file == published or file.endswith(f"/{published}")]
    if exact or len(shelf.full) < 2:
        return next(iter(exact or shelf.full), None)
    headers = {file: read_header(root / file) for file in shelf.full}
    same = [file for file, header in headers.items() if (uid := facts(header).series) and uid in published.split("/")]
    told = [file for file, header in headers.items() if text(header, "SeriesDescription") == FULL]
    return next(iter(same or told), None)


def outline(root: Path, film: str, shelf: Shelf) -> Outlines:
    """The boxes around the masks that belong to a film.

    Args:
        root: the archive's folder.
        film: the full mammogram.
        shelf: the files of its image.
    """
    size = facts(read_header(root / film)).size
    found = [[box for file in files if (box := _box(root / file, size)) is not None] for files in shelf.parts]
    return Outlines(tuple(box for boxes in found for box in boxes), sum(not boxes for boxes in found))


def _box(path: Path, size: tuple[int | None, int | None]) -> Box | None:
    """The rectangle that holds a mask's foreground; None where the file is no mask of a film of this size."""
    # the header is read alone first: a crop is told by its size without reading its pixels
    if None in size or facts(read_header(path)).size != size:
        return None
    try:
        dataset = parse(read_bytes(path, SETTINGS), SETTINGS)
        stored = decode(dataset, read_layout(dataset, SETTINGS.max_pixels)).stored
    except UnreadableImage:
        return None
    low, high = int(stored.min()), int(stored.max())
    inside = stored == high
    if low == high or np.count_nonzero(inside) + np.count_nonzero(stored == low) < stored.size:
        return None
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return Box(top=int(rows[0]), left=int(columns[0]), bottom=int(rows[-1]) + 1, right=int(columns[-1]) + 1)
