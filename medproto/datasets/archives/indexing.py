"""From an archive as published to a manifest: unpack, list, split by patient, write."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from medproto.config import IngestSettings
from medproto.datasets.archives.cbis_ddsm import list_cbis_ddsm
from medproto.datasets.archives.cmmd import list_cmmd
from medproto.datasets.archives.dicomweb import Search, list_dicomweb
from medproto.datasets.archives.folder import FolderOrder, list_folder
from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.mini_mias import list_mini_mias
from medproto.datasets.archives.rsna import list_rsna
from medproto.datasets.archives.tree import Progress
from medproto.datasets.archives.vindr import list_vindr
from medproto.datasets.archives.zipped import unzip
from medproto.datasets.manifest import ManifestRow, Split, write_manifest
from medproto.datasets.splits import split_patients
from medproto.errors import InputError
from medproto.ingest.reading import DEFAULTS

#: Gives a progress callback (done, total) for a title.
Reporter = Callable[[str], Progress]
Published = Literal["cbis-ddsm", "cmmd", "vindr", "rsna"]
Source = Published | Literal["mini-mias", "folder", "dicomweb"]
#: Sources that name no image in tables of their own.
PLAIN = ("folder", "dicomweb")
ARCHIVES: Mapping[Published, Callable[[Path, bool, Progress], Listing]] = {
    "cbis-ddsm": list_cbis_ddsm,
    "cmmd": list_cmmd,
    "vindr": list_vindr,
    "rsna": list_rsna,
}
#: Shares of patients per split where an archive has no split of its own.
FRACTIONS: Mapping[Split, float] = {"train": 0.6, "val": 0.2, "test": 0.2}


EVERYTHING = Search()


@dataclass(frozen=True)
class IndexOrder:
    """What to index.

    Args:
        source: which archive it is.
        place: its folder, or a zip of it; for mini-MIAS also the published tar; for dicomweb the URL of the service.
        target: the manifest to be, a `.csv`; unpacked and written images lie beside it.
        labels: table of labels of a plain folder or a server's images.
        tables_only: keep images that the archive's tables name and the folder does not hold.
        seed: seed of the split.
        workers: files of a plain folder that are read at a time.
        settings: how files of a plain folder become mammograms.
        search: which studies of a server.
    """

    source: Source
    place: str
    target: Path
    labels: Path | None = None
    tables_only: bool = False
    seed: int = 0
    workers: int = 1
    settings: IngestSettings = DEFAULTS
    search: Search = EVERYTHING


@dataclass(frozen=True)
class Indexed:
    """A manifest that was written.

    Args:
        manifest: the CSV.
        rows: its rows.
        absent: images that the archive's tables or the server name and that are not there.
        remarks: what a user should know, a sentence each.
    """

    manifest: Path
    rows: tuple[ManifestRow, ...]
    absent: int
    remarks: tuple[str, ...]


def index(order: IndexOrder, report: Reporter) -> Indexed:
    """Write the manifest of an archive.

    1. An official split is kept exactly; otherwise patients are split 0.6/0.2/0.2, stratified, by the seed.
    2. No patient is in two splits, and no row lacks a column that is required: the manifest is read as it is written.

    Raises:
        InputError: the archive cannot be used; names the table's row and column where it is one.
    """
    _check(order)
    place = Path(order.place)
    if order.source != "dicomweb" and place.is_file() and zipfile.is_zipfile(place):
        place = unzip(place, order.target.with_suffix(".unpacked"), progress=report("unpacking"))
    root, listing = _listed(order, place, report)
    if order.source == "folder" and place != Path(order.place):
        # the images have their pseudonymous names beside; these ones may be patients' names
        shutil.rmtree(place)
    if not listing.rows:
        raise InputError(
            f"{order.source}: none of the {listing.absent} images that the tables name is in the folder, expected some "
            "(option --tables-only keeps them all the same)"
        )
    rows, remarks = _split(_moved(listing.rows, root, order.target), order.seed)
    path = write_manifest(order.target, rows)
    return Indexed(path, tuple(rows), listing.absent, (*listing.remarks, *remarks))


def _check(order: IndexOrder) -> None:
    """Refuse a wish that the source cannot fulfil."""
    own_tables = order.source not in PLAIN
    if order.labels is not None and own_tables:
        raise InputError(f"labels: got a table for source {order.source}, which has its own, expected none")
    if order.tables_only and not own_tables:
        raise InputError(f"tables only: source {order.source} has no tables, expected the name of an archive")


def _listed(order: IndexOrder, place: Path, report: Reporter) -> tuple[Path, Listing]:
    """The listing, and the folder that its paths are relative to."""
    target = order.target
    beside = FolderOrder(place, target, order.labels, order.workers, order.settings)
    if order.source == "folder":
        return target.parent, list_folder(beside, report("reading files"))
    if order.source == "dicomweb":
        fetched = replace(beside, source=target.with_suffix(".fetched"))
        progress = report("fetching images"), report("reading files")
        return target.parent, list_dicomweb(order.place, fetched, order.search, progress)
    if order.source == "mini-mias":
        return target.parent, list_mini_mias(place, target.parent, order.tables_only, report("writing films"))
    return place, ARCHIVES[order.source](place, order.tables_only, report("looking up images"))


def _moved(rows: tuple[ManifestRow, ...], root: Path, target: Path) -> list[ManifestRow]:
    """The rows with paths as seen from the manifest's folder."""
    if root == target.parent:
        return list(rows)
    way = Path(os.path.relpath(root.resolve(), target.parent.resolve()))
    return [row.model_copy(update={"path": (way / row.path).as_posix()}) for row in rows]


def _split(rows: list[ManifestRow], seed: int) -> tuple[list[ManifestRow], list[str]]:
    """The rows with a split each, and what is to be said of it."""
    given = {row.split for row in rows}
    if given == {None}:
        if len({row.patient for row in rows}) < len(FRACTIONS):
            return rows, [f"Fewer than {len(FRACTIONS)} patients cannot be split: column split is empty."]
        shares = ", ".join(f"{name} {share:g}" for name, share in FRACTIONS.items())
        return split_patients(rows, FRACTIONS, seed), [f"Split by patient with seed {seed}: {shares}."]
    if "train" in given and "val" not in given:
        return rows, [
            "The split is the archive's own and has no val: `medproto data split --official` takes it from train."
        ]
    return rows, []
