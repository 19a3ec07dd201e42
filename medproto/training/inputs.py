"""Manifest rows as tensors: read once, kept in memory, with the cells that may win and those in a lesion."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medproto.config import IngestSettings
from medproto.datasets.cache import CacheSettings, open_cache
from medproto.datasets.manifest import Manifest, ManifestRow
from medproto.errors import ConfigError, InputError, RefusedImage, TrainingError
from medproto.ingest.reading import read_mammogram
from medproto.ingest.sandbox import Reader, Sandbox
from medproto.records import Box
from medproto.training.input_cache import InputCache
from medproto.training.rendering import Measure, View, render
from medproto.transforms import Geometry, InputSettings

#: Called with (done, total); progress bars are drawn by whoever owns the terminal.
Progress = Callable[[int, int], None]

#: So many files at least are worth processes to read them.
WORTH_PROCESSES = 16


@dataclass(frozen=True)
class SourceImage:
    """Where a row of an `InputSet` came from, as prototypes and records name it."""

    row: ManifestRow
    pixels_sha256: str
    geometry: Geometry
    synthetic: bool
    crop: Box
    #: What `measure` gave for the whole original image, where `Loading` asks to measure.
    measured: tuple[float, ...] = ()


@dataclass(frozen=True)
class InputSet:
    """V images ready for the network.

    images (V, 1, Y, X) float32 in [0, 1]; breast and lesion (V, Y, X) uint8; labels (V,); bags (V,) exam of each image.
    """

    images: Tensor
    breast: Tensor
    lesion: Tensor
    labels: Tensor
    bags: Tensor
    sources: tuple[SourceImage, ...]
    #: Rows that are not here, and why; a row has the number that a spreadsheet shows.
    left_out: tuple[str, ...]
    #: What went wrong without costing an image, a sentence each.
    remarks: tuple[str, ...] = ()
    #: How many images came from the cache.
    reused: int = 0

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, chosen: Sequence[int]) -> InputSet:
        """The images at those places, bags renumbered from 0."""
        index = torch.as_tensor(list(chosen), dtype=torch.long)
        _, bags = torch.unique(self.bags[index], return_inverse=True)
        return replace(
            self,
            images=self.images[index],
            breast=self.breast[index],
            lesion=self.lesion[index],
            labels=self.labels[index],
            bags=bags,
            sources=tuple(self.sources[i] for i in index.tolist()),
        )

    def split(self, name: str) -> InputSet:
        """The images of that split.

        Raises:
            TrainingError: the split is empty.
        """
        chosen = [i for i, source in enumerate(self.sources) if source.row.split == name]
        if not chosen:
            raise TrainingError(f"split: got no image in {name!r}, expected some; check the manifest's split column")
        return self.select(chosen)

    def patients(self) -> list[str]:
        """Patient of each image."""
        return [source.row.patient for source in self.sources]

    def bag_labels(self) -> Tensor:
        """The most severe label of each bag; classes are ordered from least to most severe. Shape (N,)."""
        labels = torch.zeros(int(self.bags.max()) + 1, dtype=torch.long)
        return labels.scatter_reduce(0, self.bags, self.labels, "amax")

    def bag_patients(self) -> list[str]:
        """Patient of each bag."""
        first = {int(bag): i for i, bag in reversed(list(enumerate(self.bags)))}
        return [self.sources[first[bag]].row.patient for bag in range(len(first))]


@dataclass(frozen=True)
class Loading:
    """How rows are read.

    Args:
        workers: files read at once; with two or more each is read in a process of its own, which loads no torch.
        cache: where finished inputs are kept; None reads every file.
        progress: called with rows done and all rows.
        measure: computed on the whole original pixels in passing, kept in `SourceImage.measured`.
    """

    workers: int = 2
    cache: CacheSettings | None = None
    progress: Progress | None = None
    measure: Measure | None = None


#: Two processes, no cache, silent.
PLAINLY = Loading()


@dataclass(frozen=True)
class _Job:
    """What rendering a row takes beside the row."""

    manifest: Manifest
    settings: tuple[InputSettings, IngestSettings]
    measure: Measure | None
    cache: InputCache | None


#: Place of a row among those wanted, what was made of it or why nothing was, and whether it came from the cache.
_Outcome = tuple[int, View | str, bool]


def load_inputs(
    manifest: Manifest,
    labels: Sequence[int | None],
    settings: tuple[InputSettings, IngestSettings],
    loading: Loading = PLAINLY,
) -> InputSet:
    """Read the rows of a manifest; rows that cannot be read or are refused are left out and named.

    The images are the same with and without a cache, and whatever the number of workers. With a cache, a run that was
    killed goes on where it ended.

    Args:
        labels: class index of each row; a row without one is not wanted.

    Raises:
        TrainingError: none of the wanted rows can be used.
        ConfigError: the input's size cannot be.
    """
    wanted = [i for i, label in enumerate(labels) if label is not None]
    rows = [manifest.rows[i] for i in wanted]
    with ExitStack() as stack:
        kept = stack.enter_context(open_cache(loading.cache)) if loading.cache else None
        cache = InputCache(kept, manifest, settings, loading.measure) if kept else None
        planes, sources, reused = _gather(_Job(manifest, settings, loading.measure, cache), rows, loading)
        remarks = kept.remarks() if kept else ()
    # The header is row 1.
    left_out = tuple(f"row {i + 2}: {why}" for i, why in zip(wanted, sources, strict=True) if isinstance(why, str))
    here = [i for i, source in enumerate(sources) if isinstance(source, SourceImage)]
    if not here:
        first = f"; {left_out[0]}" if left_out else ""
        raise TrainingError(f"manifest: got {len(rows)} rows of which none could be read, expected mammograms{first}")
    return InputSet(
        *planes.only(here),
        labels=torch.tensor([labels[wanted[i]] for i in here]),
        bags=torch.from_numpy(np.unique([rows[i].exam for i in here], return_inverse=True)[1]),
        sources=tuple(source for source in sources if isinstance(source, SourceImage)),
        left_out=left_out,
        remarks=remarks,
        reused=reused,
    )


@dataclass(frozen=True)
class _Planes:
    """Room for the images of all wanted rows, so that none is copied twice."""

    images: Tensor
    breast: Tensor
    lesion: Tensor

    @classmethod
    def empty(cls, count: int, settings: InputSettings) -> _Planes:
        size = (settings.rows, settings.columns)
        masks = (torch.empty(count, *size, dtype=torch.uint8) for _ in range(2))
        return cls(torch.empty(count, 1, *size), *masks)

    def fill(self, place: int, view: View, row: ManifestRow) -> SourceImage:
        self.images[place].numpy()[...] = view.image
        self.breast[place].numpy()[...] = view.breast
        self.lesion[place].numpy()[...] = view.lesion
        return SourceImage(row, view.pixels_sha256, view.geometry, view.synthetic, view.crop, view.measured)

    def only(self, places: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """The filled places, which ascend, moved together."""
        planes = (self.images, self.breast, self.lesion)
        for new, old in enumerate(places):
            for plane in planes if new != old else ():
                plane[new] = plane[old]
        images, breast, lesion = (plane[: len(places)] for plane in planes)
        return images, breast, lesion


def _gather(job: _Job, rows: Sequence[ManifestRow], loading: Loading) -> tuple[_Planes, list[SourceImage | str], int]:
    """The rows' planes, their sources or why they are left out, and how many came from the cache."""
    planes = _Planes.empty(len(rows), job.settings[0])
    sources: list[SourceImage | str] = [""] * len(rows)
    reused = 0
    for done, (place, made, known) in enumerate(_outcomes(job, rows, loading.workers), start=1):
        sources[place] = planes.fill(place, made, rows[place]) if isinstance(made, View) else made
        reused += known and isinstance(made, View)
        if loading.progress:
            loading.progress(done, len(rows))
    return planes, sources, reused


def _outcomes(job: _Job, rows: Sequence[ManifestRow], workers: int) -> Iterator[_Outcome]:
    """What becomes of each row, file by file."""
    groups: dict[str, list[tuple[int, ManifestRow]]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row.path, []).append((place, row))
    files = list(groups.values())
    if workers < 2 or len(files) < WORTH_PROCESSES:
        reader = partial(read_mammogram, settings=job.settings[1])
        for file in files:
            yield from _take(job, reader, file)
        return
    with ExitStack() as stack:
        free = queue.SimpleQueue[Sandbox]()
        for _ in range(workers):
            # Its process starts with the first file that has to be read.
            free.put(stack.enter_context(closing(Sandbox(job.settings[1]))))
        pool = ThreadPoolExecutor(workers)
        stack.callback(pool.shutdown, cancel_futures=True)
        # In the order in which they are done: one slow file holds back neither the progress nor the room of the others.
        for done in as_completed([pool.submit(_take_apart, job, free, file) for file in files]):
            yield from done.result()


def _take_apart(job: _Job, free: queue.SimpleQueue[Sandbox], file: list[tuple[int, ManifestRow]]) -> list[_Outcome]:
    """Read a file, where that is needed, in the next free process; the rest is done in this thread."""
    sandbox = free.get()
    try:
        return _take(job, sandbox.read, file)
    finally:
        free.put(sandbox)


def _take(job: _Job, reader: Reader, file: list[tuple[int, ManifestRow]]) -> list[_Outcome]:
    """The rows of one file from the cache; the file is read for those that are not there."""
    found = [(place, row, job.cache.find(row) if job.cache else None) for place, row in file]
    known = [(place, made, True) for place, _, made in found if made is not None]
    missing = [(place, row) for place, row, made in found if made is None]
    return known + _read(job, reader, missing) if missing else known


def _read(job: _Job, reader: Reader, file: list[tuple[int, ManifestRow]]) -> list[_Outcome]:
    """Read one file for all rows that it holds, and keep what was made."""
    path = job.manifest.file(file[0][1])
    before = _state(path)
    try:
        mammogram = reader(path)
    except InputError as err:
        if job.cache and before and isinstance(err, RefusedImage):
            job.cache.keep_refusal(path, before, str(err))
        return [(place, str(err), False) for place, _ in file]
    made, refused = list[tuple[int, ManifestRow, View]](), list[_Outcome]()
    for place, row in file:
        try:
            made.append((place, row, render(mammogram, (job.manifest, row), job.settings[0], job.measure)))
        except ConfigError:  # no row's fault
            raise
        except InputError as err:
            refused.append((place, str(err), False))
    if job.cache and before and made:
        job.cache.keep(before, mammogram, [(row, view) for _, row, view in made])
    return [*((place, view, False) for place, _, view in made), *refused]


def _state(path: Path) -> os.stat_result | None:
    """The file's state before it is read; None where it cannot be seen, as reading it will say."""
    try:
        return path.stat()
    except OSError:
        return None
