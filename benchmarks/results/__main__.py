"""`make results`: train and score every model on every fold and seed, and print the table; finished folds are kept."""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path

import torch

from benchmarks.results.cohorts import (
    FOLDS,
    Cohort,
    Name,
    load_cohort,
    prepare_mini_mias,
    prepare_phantom,
)
from benchmarks.results.table import table
from benchmarks.results.units import Unit, kept_unit
from medproto.console import bars
from medproto.training.inputs import Progress

SEEDS = 5


def main() -> None:
    """Read the arguments, compute what is not kept yet in two processes of one thread each, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("archive", type=Path, help="mini-MIAS: all-mias.tar.gz or its folder")
    parser.add_argument("--work", type=Path, default=Path("runs/results"), help="where images and results are kept")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of folds and networks")
    parser.add_argument("--processes", type=int, default=2, help="folds at a time, one thread each")
    options = parser.parse_args()
    with bars() as report:
        manifests: dict[Name, Path] = {
            "mini-MIAS regions": prepare_mini_mias(options.archive, options.work / "mini-mias", report),
            "phantom exams": prepare_phantom(options.work, report),
        }
        for name, path in manifests.items():  # fills the cache of inputs, from which the processes read
            load_cohort(name, path, options.work, report)
        units = _units(
            manifests, options.work, (options.seeds, options.processes), report("training and scoring folds")
        )
    print(table(units))


def _units(manifests: dict[Name, Path], work: Path, size: tuple[int, int], progress: Progress) -> list[Unit]:
    """Units of all data sets, seeds and folds, in this order; each is written down as soon as it is there."""
    seeds, processes = size
    jobs = [
        (name, path, work, seed, fold)
        for name, path in manifests.items()
        for seed in range(seeds)
        for fold in range(FOLDS)
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: list[Future[Unit]] = [pool.submit(_unit, *job) for job in jobs]
        for done, finished in enumerate(as_completed(waiting), start=1):
            finished.result()
            progress(done, len(jobs))
    return [future.result() for future in waiting]


def _unit(name: Name, path: Path, work: Path, seed: int, fold: int) -> Unit:
    return kept_unit(_cohort(name, path, work), seed, fold, work / "folds")


@lru_cache(maxsize=2)
def _cohort(name: Name, path: Path, work: Path) -> Cohort:
    return load_cohort(name, path, work, lambda _: lambda done, total: None)


if __name__ == "__main__":
    main()
