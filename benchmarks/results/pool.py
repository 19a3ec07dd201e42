"""Many units side by side, in processes of one thread each."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path

import torch

from benchmarks.results.cohorts import FOLDS, Cohort, Name, load_cohort
from benchmarks.results.units import Unit, kept_unit
from medproto.training.inputs import Progress


def compute_units(manifests: dict[Name, Path], work: Path, size: tuple[int, int], progress: Progress) -> list[Unit]:
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
