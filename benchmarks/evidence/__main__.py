"""`make evidence`: what the README says of evidence, measured anew: on more than 1,000 synthetic exams that the bundle
never saw, on exams unlike its training data, on a cohort with a shortcut, and on real films.

Images are kept in the working folder, bundles and evaluations for as long as the code stays the same; a second run goes
on where the first was interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.evidence import cohorts
from benchmarks.evidence.pointing import count_at_marker
from benchmarks.evidence.table import REAL, bundle_table, marker_table
from benchmarks.results.cohorts import CONFIGS, prepare_films
from benchmarks.results.units import ROOT, source_digest
from medproto.console import bars
from medproto.datasets.phantom.cohort import MARKERS, Cohort

#: Looks leave the class in doubt: on plain exams a network makes no error, and no calibration slope is defined.
MAIN = Cohort(patients=1800, seed=11, variant="overlap")
MARKED = Cohort(patients=400, seed=12, variant="marker")
SHIFTED = tuple(Cohort(patients=120, seed=13, variant=name) for name in ("vendor", "blur", "unseen"))


@dataclass(frozen=True)
class Work:
    """The working folder, and the cache that all steps share."""

    root: Path

    @property
    def cache(self) -> Path:
        """Images as the networks see them."""
        return self.root / "cache"

    @cached_property
    def measurements(self) -> Path:
        """Bundles and evaluations of this code and these configurations."""
        sources = sorted([*(ROOT / "medproto").rglob("*.py"), *CONFIGS.glob("*.yaml")])
        return self.root / source_digest(sources)[:16]

    def run(self, name: str) -> Path:
        """Folder of a training run."""
        return self.measurements / name / "run"

    def measured(self, name: str, config: str, manifest: Path, strangers: Mapping[str, Path]) -> dict[str, Any]:
        """The evaluation of a bundle that is trained on a manifest's training patients, where it is not there yet."""
        run, out = self.run(name), self.measurements / name / "evaluation"
        if not (run / "bundle" / "manifest.json").is_file():
            begins = [str(CONFIGS / config), str(manifest), "--out", str(run)]
            self._call("train", *(["--resume", str(run)] if (run / "checkpoint.pt").is_file() else begins))
        if not (out / "evaluation.json").is_file():
            named = [part for key, path in strangers.items() for part in ("--strangers", f"{key}={path}")]
            self._call("evaluate", str(run), str(manifest), "--out", str(out), *named)
        found: dict[str, Any] = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
        return found

    def _call(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "medproto", *arguments, "--cache", str(self.cache)]
        subprocess.run(command, check=True, stdout=sys.stderr)


def main() -> None:
    """Measure what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("archive", type=Path, help="mini-MIAS: all-mias.tar.gz or its folder")
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"), help="where all of it is kept")
    options = parser.parse_args()
    work = Work(options.work.resolve())
    with bars() as report:
        main_cohort = cohorts.phantom(work.root / "overlap", MAIN, cohorts.SHARES, report)
        marked = cohorts.phantom(work.root / "marker", MARKED, cohorts.FEW, report)
        strangers = {
            f"phantom, {one.variant}": cohorts.phantom(work.root / one.variant, one, None, report) for one in SHIFTED
        }
        films = prepare_films(options.archive, work.root, report)
        regions = cohorts.regions(options.archive, work.root, report)
    strangers |= {"mini-MIAS films": films, REAL: cohorts.real_exams(work.root / "real.csv")}
    of_main = work.measured("overlap", "phantom.yaml", main_cohort, strangers)
    of_marked = work.measured("marker", "phantom.yaml", marked, {})
    of_regions = work.measured("regions", "mini_mias_regions.yaml", regions, {})
    at_marker = count_at_marker(work.run("marker"), marked, marked.parent / MARKERS, work.cache)
    print(bundle_table("SYNTHETIC exams whose looks leave the class in doubt", of_main))
    print(marker_table(of_marked, at_marker))
    print(bundle_table("mini-MIAS regions", of_regions))


if __name__ == "__main__":
    main()
