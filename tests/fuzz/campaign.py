"""Many mutated files, each read in the sandbox and in this process, and held against the plain pipeline.

Case number and seed give the same bytes on every machine that has the same whole files to start from.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from medproto.config import IngestSettings
from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from medproto.ingest.sandbox import Reader, Sandbox
from tests.fuzz.anatomy import fragments, opened
from tests.fuzz.mutations import HEADER_MUTATIONS, extreme_numbers
from tests.fuzz.reference import reference
from tests.fuzz.seeds import Seed
from tests.fuzz.stream_mutations import STREAM_MUTATIONS

SETTINGS = IngestSettings(admit_modalities=("MG", "RG", "CR", "OT"), max_pixels=16_000_000)
ADMITTED = "admitted"
#: Pixels may differ from the plain pipeline's by so much.
TOLERANCE = 1e-6
#: What ended a worker by a signal or by the clock would end or hang this process too: it is not tried again here.
CONTAINED = ("TIMEOUT", "OUT_OF_MEMORY", "signal")
#: Cases that one process takes at a time, and so often in a round.
CHUNK, ROUND = 25, 10
#: One in so many cases has extreme numbers; the others, and cases found among them, stay what they were.
EXTREMES = 23


class Case(NamedTuple):
    """A mutated file, and how it came about."""

    number: int
    seed: Seed
    mutation: str
    data: bytes


class Outcome(NamedTuple):
    """What reading a case gave: `admitted` or a reason code, and what was wrong with that, empty where nothing was."""

    number: int
    syntax: str
    origin: str
    mutation: str
    result: str
    fault: str = ""


def make_case(number: int, chance_seed: int, seeds: Sequence[Seed]) -> Case:
    """The case of that number."""
    chance = Random(f"{chance_seed}/{number}")
    seed = seeds[number % len(seeds)]
    file = opened(seed.data, seed.syntax)
    compressed = fragments(file) is not None
    # half of the compressed files are broken in their streams
    mutations = STREAM_MUTATIONS if compressed and chance.random() < 0.5 else HEADER_MUTATIONS
    mutation = chance.choice(mutations) if (number + 1) % EXTREMES else extreme_numbers
    return Case(number, seed, mutation.__name__, mutation(file, chance))


def judge(case: Case, path: Path, sandboxed: Reader) -> Outcome:
    """Read the case both ways, and compare what is admitted with the plain pipeline."""
    path.write_bytes(case.data)
    there = _read(path, sandboxed)
    result = there if isinstance(there, str) else ADMITTED
    outcome = Outcome(case.number, case.seed.syntax, case.seed.name, case.mutation, result.split(":")[0])
    if isinstance(there, str) and any(word in there for word in CONTAINED):
        return outcome
    here = _read(path, lambda file: read_mammogram(file, SETTINGS))
    if isinstance(there, str) or isinstance(here, str):
        return outcome if here == there else outcome._replace(fault=f"here {_named(here)}, sandboxed {_named(there)}")
    if here.pixels_sha256 != there.pixels_sha256:
        return outcome._replace(fault="here and sandboxed differ")
    return outcome._replace(fault=compare(case.data, here))


def compare(data: bytes, mammogram: Mammogram) -> str:
    """How an admitted file differs from the plain pipeline; empty where it does not."""
    try:
        bounds = reference(data, mammogram.breast)
    except Exception as err:  # noqa: BLE001 whatever the plain pipeline stumbles over, the reader should have refused
        return f"admitted, and the plain pipeline raises {type(err).__name__}: {str(err)[:200]}"
    pixels = mammogram.pixels.astype(np.float64)
    if pixels.shape != bounds.low.shape:
        return f"shape {pixels.shape}, the plain pipeline's is {bounds.low.shape}"
    if not (pixels.min() >= 0.0 and pixels.max() <= 1.0):
        return "pixels are not in [0, 1]"
    off = np.maximum(bounds.low - pixels, pixels - bounds.high)
    if not np.max(off) <= TOLERANCE:
        return f"{int((~(off <= TOLERANCE)).sum())} pixels differ, by up to {np.max(off):.3g}"
    return ""


def run_cases(numbers: Iterable[int], chance_seed: int, seeds: Sequence[Seed]) -> Iterator[Outcome]:
    """Judge these cases in this process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(SETTINGS) as sandbox,
        warnings.catch_warnings(),
    ):
        # the plain pipeline's, of broken values
        warnings.simplefilter("ignore")
        for number in numbers:
            yield judge(make_case(number, chance_seed, seeds), Path(folder) / "case.dcm", sandbox.read)


def run_campaign(
    count: int, chance_seed: int, seeds: Sequence[Seed], processes: int, seen: Callable[[Outcome], None]
) -> None:
    """Judge cases 0 to `count` - 1 in several processes; one that dies is a fault of the case it died of."""
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    # a process that dies takes the pool with it: only so many chunks are lost that way
    for first in range(0, len(chunks), ROUND * processes):
        for chunk in _lost(chunks[first : first + ROUND * processes], chance_seed, seeds, processes, seen):
            for number in chunk:
                seen(_run_alone(number, chance_seed, seeds))


def _lost(
    chunks: list[range], chance_seed: int, seeds: Sequence[Seed], processes: int, seen: Callable[[Outcome], None]
) -> list[range]:
    """Judge the chunks in a pool; those in which a process died, tried again one by one, are returned."""
    lost: list[range] = []
    with _pool(min(processes, len(chunks)), seeds) as pool:
        tasks = {pool.submit(_run_chunk, list(chunk), chance_seed): chunk for chunk in chunks}
        for task in as_completed(tasks):
            try:
                for outcome in task.result():
                    seen(outcome)
            except BrokenProcessPool:
                lost.append(tasks[task])
    if len(lost) < 2:
        return lost
    return [chunk for one in lost for chunk in _lost([one], chance_seed, seeds, 1, seen)]


def _run_alone(number: int, chance_seed: int, seeds: Sequence[Seed]) -> Outcome:
    """One case in a process of its own."""
    case = make_case(number, chance_seed, seeds)
    with _pool(1, seeds) as pool:
        try:
            return pool.submit(_run_chunk, [number], chance_seed).result()[0]
        except BrokenProcessPool:
            origin = (case.seed.syntax, case.seed.name, case.mutation)
            return Outcome(number, *origin, "crash", "reading it here ends the process")


#: Whole files of a process of the pool.
_SEEDS: list[Seed] = []


def _equip(seeds: list[Seed]) -> None:
    _SEEDS[:] = seeds


def _pool(processes: int, seeds: Sequence[Seed]) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_equip, initargs=(list(seeds),))


def _run_chunk(numbers: list[int], chance_seed: int) -> list[Outcome]:
    return list(run_cases(numbers, chance_seed, _SEEDS))


def _read(path: Path, reader: Reader) -> Mammogram | str:
    """The mammogram, or the code and sentence of its refusal; a foreign exception by its name."""
    try:
        return reader(path)
    except UnreadableImage as err:
        return f"{err.code}: {err}"
    except RefusedImage as err:
        return f"{next(one.code for one in err.findings if one.severity == 'refuse')}: {err}"
    except Exception as err:  # noqa: BLE001 finding these is what all this is for
        return f"foreign {type(err).__name__}: {str(err)[:200]}"


def _named(read: Mammogram | str) -> str:
    return read if isinstance(read, str) else ADMITTED
