"""`make results`: train and score every model on every fold and seed, and print the table; finished folds are kept."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.results.cohorts import Name, load_cohort, prepare_mini_mias, prepare_phantom
from benchmarks.results.pool import compute_units
from benchmarks.results.table import table
from medproto.console import bars

#: Seeds of folds and networks.
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
        size = (options.seeds, options.processes)
        units = compute_units(manifests, options.work, size, report("training and scoring"))
    print(table(units))


if __name__ == "__main__":
    main()
