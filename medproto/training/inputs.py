"""Manifest rows as tensors: read once, kept in memory, with the cells that may win and those in a lesion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from medproto.config import IngestSettings
from medproto.datasets.manifest import Manifest, ManifestRow
from medproto.errors import InputError, TrainingError
from medproto.ingest.reading import read_mammogram
from medproto.records import Box
from medproto.transforms import Geometry, InputSettings, model_input, to_input_plane

#: Called with (done, total); progress bars are drawn by whoever owns the terminal.
Progress = Callable[[int, int], None]
#: From original pixels in [0, 1] to numbers; a module-level function, for it travels to other processes.
Measure = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True)
class SourceImage:
    """Where a row of an `InputSet` came from, as prototypes and records name it."""

    row: ManifestRow
    pixels_sha256: str
    geometry: Geometry
    synthetic: bool
    crop: Box
    #: What `measure` gave for the whole original image, where `load_inputs` was asked to measure.
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
    left_out: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, chosen: Sequence[int]) -> InputSet:
        """The images at those places, bags renumbered from 0."""
        index = torch.as_tensor(list(chosen), dtype=torch.long)
        _, bags = torch.unique(self.bags[index], return_inverse=True)
        return InputSet(
            self.images[index],
            self.breast[index],
            self.lesion[index],
            self.labels[index],
            bags,
            tuple(self.sources[i] for i in index.tolist()),
            self.left_out,
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
class _Job:
    manifest: Manifest
    row: ManifestRow
    inputs: InputSettings
    ingest: IngestSettings
    measure: Measure | None


@dataclass(frozen=True)
class _Read:
    image: NDArray[np.float32]
    breast: NDArray[np.uint8]
    lesion: NDArray[np.uint8]
    source: SourceImage


def load_inputs(
    manifest: Manifest,
    labels: Sequence[int],
    settings: tuple[InputSettings, IngestSettings],
    workers: int = 2,
    progress: Progress | None = None,
    measure: Measure | None = None,
) -> InputSet:
    """Read every row of a manifest; rows that cannot be read or are refused are left out and named.

    Args:
        labels: class index of each row.
        measure: computed on the whole original pixels in passing, kept in `SourceImage.measured`.
    """
    jobs = [_Job(manifest, row, *settings, measure) for row in manifest.rows]
    results: list[_Read | str] = []
    for result in _map(jobs, workers):
        results.append(result)
        if progress:
            progress(len(results), len(jobs))
    read = [(i, result) for i, result in enumerate(results) if isinstance(result, _Read)]
    if not read:
        raise TrainingError(f"manifest: got {len(jobs)} rows of which none could be read, expected mammograms")
    _, bags = np.unique([r.source.row.exam for _, r in read], return_inverse=True)
    return InputSet(
        torch.from_numpy(np.stack([r.image for _, r in read])),
        torch.from_numpy(np.stack([r.breast for _, r in read])),
        torch.from_numpy(np.stack([r.lesion for _, r in read])),
        torch.tensor([labels[i] for i, _ in read]),
        torch.from_numpy(bags),
        tuple(r.source for _, r in read),
        tuple(f"row {i + 1}: {result}" for i, result in enumerate(results) if isinstance(result, str)),
    )


def _map(jobs: list[_Job], workers: int) -> Iterator[_Read | str]:
    if workers < 2 or len(jobs) < 8:
        yield from map(_read, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver"), initializer=_one_thread) as pool:
        yield from pool.map(_read, jobs, chunksize=4)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _read(job: _Job) -> _Read | str:
    try:
        mammogram = read_mammogram(job.manifest.file(job.row), job.ingest)
        view = model_input(mammogram, job.inputs, job.row.region)
    except InputError as err:
        return str(err)
    lesion = to_input_plane(_lesion_mask(job, mammogram.pixels.shape), view)
    measured = tuple(job.measure(mammogram.pixels).tolist()) if job.measure else ()
    source = SourceImage(job.row, mammogram.pixels_sha256, view.geometry, mammogram.synthetic, view.crop, measured)
    return _Read(
        view.image.numpy(),
        view.breast.numpy().astype(np.uint8),
        (lesion.numpy() > 0.25).astype(np.uint8),
        source,
    )


def _lesion_mask(job: _Job, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The annotated lesion on the original pixels: the mask where there is one, else the boxes."""
    if job.row.mask:
        with Image.open(job.manifest.path.parent / job.row.mask) as picture:
            mask: NDArray[np.bool_] = np.asarray(picture) > 0
        return mask
    mask = np.zeros(shape, dtype=bool)
    for box in job.row.boxes:
        mask[max(int(box.top), 0) : int(box.bottom), max(int(box.left), 0) : int(box.right)] = True
    return mask
