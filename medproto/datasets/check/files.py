"""The files behind a manifest, each read in a process with limits: what `check` needs to know of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from PIL import Image

from medproto.config import IngestSettings
from medproto.datasets.manifest import Manifest
from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest.reading import read_mammogram
from medproto.ingest.sandbox import Reader, Sandbox
from medproto.records import Laterality

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MaskFacts:
    """A lesion mask.

    Args:
        present: whether it is there.
        readable: whether it is a picture; true where it was not read.
        size: (rows, columns) where it was read and is a picture.
        marked: whether it marks a pixel; true where it was not read.
    """

    present: bool
    readable: bool = True
    size: tuple[int, int] | None = None
    marked: bool = True


@dataclass(frozen=True)
class FileFacts:
    """One file and its mask.

    Args:
        present: whether the file is there.
        refused: reason codes where it cannot be read or scored; empty where it can, or was not read.
        warned: codes of what the input gate warns of, in a file that can be scored.
        size: (rows, columns); None where it was refused or not read.
        pixels_sha256: digest of the canonical pixels, where it was read.
        side: side by the file's header.
        view: view by the file's header.
        mask: None where the manifest names none.
    """

    present: bool
    refused: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    pixels_sha256: str | None = None
    side: Laterality | None = None
    view: str | None = None
    mask: MaskFacts | None = None


def look(manifest: Manifest) -> dict[str, FileFacts]:
    """Facts by path and mask without reading: whether the files are there."""
    return {key: FileFacts(file.is_file(), mask=_mask_presence(mask)) for key, (file, mask) in _jobs(manifest).items()}


def read_files(
    manifest: Manifest, ingest: IngestSettings, workers: int, progress: Progress | None = None
) -> dict[str, FileFacts]:
    """Facts by path and mask (`key_of`), every file read once.

    A file that breaks a decoder or takes too long is refused as any other, by its code.

    Args:
        ingest: settings that the files are read with.
        workers: files read at a time, each in a process of its own; 0 reads in this one.
        progress: called with files read and all files.
    """
    jobs = _jobs(manifest)
    facts: dict[str, FileFacts] = {}
    for (key, (_, mask)), fact in zip(jobs.items(), _map(list(jobs.values()), ingest, workers), strict=True):
        facts[key] = replace(fact, mask=_mask(mask))
        if progress is not None:
            progress(len(facts), len(jobs))
    return facts


def key_of(path: str, mask: str | None) -> str:
    """What facts are found under."""
    return f"{path}\0{mask or ''}"


_Job = tuple[Path, Path | None]


def _jobs(manifest: Manifest) -> Mapping[str, _Job]:
    return {key_of(row.path, row.mask): (manifest.file(row), manifest.mask(row)) for row in manifest.rows}


def _map(jobs: list[_Job], ingest: IngestSettings, workers: int) -> Iterator[FileFacts]:
    """Facts in the order of the jobs."""
    if workers == 0:
        yield from map(partial(_read, lambda path: read_mammogram(path, ingest)), jobs)
        return
    with ExitStack() as stack:
        idle: SimpleQueue[Reader] = SimpleQueue()
        for _ in range(workers):
            idle.put(stack.enter_context(Sandbox(ingest)).read)

        def read(job: _Job) -> FileFacts:
            reader = idle.get()
            try:
                return _read(reader, job)
            finally:
                idle.put(reader)

        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(read, jobs)


def _read(reader: Reader, job: _Job) -> FileFacts:
    file, _ = job
    if not file.is_file():
        return FileFacts(present=False)
    try:
        mammogram = reader(file)
    except UnreadableImage as err:
        return FileFacts(present=True, refused=(err.code,))
    except RefusedImage as err:
        return FileFacts(True, tuple(finding.code for finding in err.findings if finding.severity == "refuse"))
    return FileFacts(
        present=True,
        warned=tuple(finding.code for finding in mammogram.findings if finding.severity == "warn"),
        size=(mammogram.rows, mammogram.columns),
        pixels_sha256=mammogram.pixels_sha256,
        side=mammogram.laterality,
        view=mammogram.view,
    )


def _mask_presence(file: Path | None) -> MaskFacts | None:
    return None if file is None else MaskFacts(file.is_file())


def _mask(file: Path | None) -> MaskFacts | None:
    if file is None or not file.is_file():
        return _mask_presence(file)
    try:
        with warnings.catch_warnings():
            # Pillow only warns of pictures that are larger than any mammogram.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                marked = np.asarray(picture) > 0
    # Pillow raises SyntaxError and ValueError on broken PNG chunks, OSError on what is no picture.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return MaskFacts(present=True, readable=False)
    return MaskFacts(present=True, size=(marked.shape[0], marked.shape[1]), marked=bool(marked.any()))
