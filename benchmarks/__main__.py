"""`make bench`: our way against the plain way of the same job, alternated in one process; a ratio below 1 is faster."""

from __future__ import annotations

import subprocess
import sys


def main() -> None:
    """Run all benchmarks."""
    print(f"{'job':<58} {'ours':>12}  {'plain':>12}", flush=True)
    # programs of their own: their workers, as the readers of untrusted files, start without torch
    names = ("ledger", "ingest", "loading", "layer", "warm_up", "projection", "last_layer", "explanation", "report")
    for name in (*names, "worklist"):
        print(flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
