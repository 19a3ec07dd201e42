"""Where the source files of predictions are: found by their SHA-256, never by their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from audit.filters import LedgerFilter
from audit.room import Room
from audit.service import file_digest
from medproto.datasets.manifest import read_manifest
from medproto.errors import InputError, ManifestError, UnreadableImage


def find_sources(
    room: Room, wanted: Collection[str], paths: Sequence[Path], progress: Callable[[int, int], None]
) -> dict[str, Path]:
    """SHA-256 -> file, for those of the wanted files that are at hand; stops as soon as all are found.

    Args:
        wanted: SHA-256 of the files to look for.
        paths: files and folders to look in first.
        room: the room whose registered data sets are looked through next, where their manifests are at hand.
        progress: told (found, wanted).

    Raises:
        InputError: one of the paths does not exist, or a folder holds no DICOM file.
    """
    found: dict[str, Path] = {}
    for path in _candidates(room, paths):
        if len(found) == len(set(wanted)):
            break
        try:
            digest = file_digest(path)
        except UnreadableImage:
            continue  # what cannot be read is not at hand: the replay says which file it misses
        if digest in wanted:
            found[digest] = path
            progress(len(found), len(set(wanted)))
    return found


def _candidates(room: Room, paths: Sequence[Path]) -> Iterator[Path]:
    # The audit trail starts without numpy, which reading pictures takes.
    from medproto.ingest.exam import find_candidates

    for path in paths:
        if not path.exists():
            raise InputError("source: got a path that does not exist, expected files or folders")
        yield from find_candidates(path).paths if path.is_dir() else [path]
    for entry in room.ledger.entries(LedgerFilter(kind="dataset registered")):
        yield from _registered(entry.payload.get("manifest_path"))


def _registered(manifest_path: object) -> Iterator[Path]:
    """Files of a manifest, where it is still at hand."""
    if isinstance(manifest_path, str):
        try:
            manifest = read_manifest(Path(manifest_path))
        except ManifestError:
            return
        yield from (manifest.file(row) for row in manifest.rows)
