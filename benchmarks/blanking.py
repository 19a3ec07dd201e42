"""Which kind of box is shown first: what blanking each of them takes from the strongest match, beyond random boxes.

`python -m benchmarks.blanking BUNDLE MANIFEST [EXAMS]` checks exams of the manifest's test split.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from medproto.bundle import load_bundle
from medproto.datasets.manifest import read_manifest
from medproto.evaluation.blanking import MOST_CHECKED, measure_blanking
from medproto.evaluation.run import load_split


def blanking(bundle_path: Path, manifest_path: Path, exams: int) -> None:
    """Print, for each kind of box, the mean share at the cell, that of random boxes, and their difference."""
    bundle, manifest = load_bundle(bundle_path), read_manifest(manifest_path)
    data = load_split(bundle, manifest, "test")
    began = time.perf_counter()
    found = measure_blanking(bundle, data, exams)
    seconds = (time.perf_counter() - began) / (found.exams + found.without_share)
    print(f"{found.exams} exams, {found.without_share} without a share, {found.random_boxes} random boxes each")
    for box in found.boxes:
        print(
            f"{box.kind:<12} at cell {box.at_cell}, random {box.random_at_cell}, gain {box.gain}, "
            f"anywhere {box.gain_anywhere}, better than random {box.better}",
            flush=True,
        )
    print(f"{seconds:.2f} s an exam, one match")


def main() -> None:
    """Run on two threads."""
    torch.set_num_threads(2)
    bundle_path, manifest_path, *rest = sys.argv[1:]
    blanking(Path(bundle_path), Path(manifest_path), int(rest[0]) if rest else MOST_CHECKED)


if __name__ == "__main__":
    main()
