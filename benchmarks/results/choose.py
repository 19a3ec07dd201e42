"""What the settings of the table were chosen by: candidates on inner folds of the training patients of one fold alone.

mini-MIAS: the training patients of fold 1 of seed 0. Phantom: another cohort altogether. Run it with
`python -m benchmarks.results.choose ARCHIVE`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.results.black_box import Rates, margins_of, train_black_box
from benchmarks.results.cohorts import (
    TRIAL_SEED,
    Cohort,
    load_cohort,
    prepare_mini_mias,
    prepare_phantom,
    settings_of,
)
from benchmarks.results.shared import CPU, lower
from benchmarks.results.units import by_exam, share_wrong
from medproto.console import bars
from medproto.datasets.splits import fold_patients
from medproto.evaluation.classification import auroc
from medproto.training.inputs import InputSet, Progress
from medproto.training.refining import Reporter
from medproto.training.run import fit
from medproto.training.similarities import margins, similarities

INNER_FOLDS = 4
#: What was tried instead of the value in the configuration.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "as configured": (),
    "logarithm of the distance": ("model.similarity=log",),
    "no margin": ("costs.margin=0.0",),
}
BLACK_BOX_RATES = tuple(
    Rates(backbone, head, decay=1e-3) for backbone, head in ((3e-5, 3e-3), (1e-4, 1e-3), (3e-4, 3e-3), (1e-3, 3e-3))
)


def main() -> None:
    """Print inner AUROC and the share of images whose nearest prototype is of a wrong class, per candidate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results.choose", description=__doc__)
    parser.add_argument("archive", type=Path, help="mini-MIAS: all-mias.tar.gz or its folder")
    parser.add_argument("--work", type=Path, default=Path("runs/results"), help="where images are kept")
    parser.add_argument("--only", choices=("mini-mias", "phantom"), help="one of the data sets")
    options = parser.parse_args()
    torch.set_num_threads(2)
    if options.only != "phantom":
        with bars() as report:
            regions = prepare_mini_mias(options.archive, options.work / "mini-mias", report)
            mias = load_cohort("mini-MIAS regions", regions, options.work, report)
        compare(replace(mias, data=mias.data.select(mias.fold(0, 0)[0])), _silent)
    if options.only != "mini-mias":
        with bars() as report:
            exams = prepare_phantom(options.work, report, TRIAL_SEED)
            phantom = load_cohort("phantom exams", exams, options.work, report)
        compare(phantom, _silent)


def compare(cohort: Cohort, report: Reporter) -> None:
    """Print a line per candidate: mean over the inner folds, and each of them."""
    parts = list(_inner(cohort))
    for name, overrides in CANDIDATES.items():
        settings = settings_of(cohort.name, overrides)
        found = []
        for training, unseen in parts:
            fitted = fit(settings, training, report)
            seen = similarities(fitted.model, unseen, CPU)
            scores = margins(seen.bags(unseen)[0], fitted.model.last_layer.detach(), cohort.positive)
            wrong = share_wrong(seen.images, fitted.model.prototype_class, unseen.labels)
            found.append((_auroc(cohort, scores, unseen), wrong))
        _tell(cohort, f"ours, {name}", found)
    for rates in BLACK_BOX_RATES:
        found = []
        for training, unseen in parts:
            below = lower(cohort.settings, (training, unseen), 0)
            model, _ = train_black_box(cohort.settings, below, 0, rates)
            scores = by_exam(margins_of(model, below, cohort.positive), unseen)
            found.append((_auroc(cohort, np.array(scores), unseen), np.nan))
        _tell(cohort, f"black box, {_named(rates)}", found)


def _inner(cohort: Cohort) -> Iterator[tuple[InputSet, InputSet]]:
    rows = [source.row for source in cohort.data.sources]
    for of in fold_patients(rows, INNER_FOLDS, seed=100):
        train, test = (
            [i for i, patient in enumerate(cohort.data.patients()) if of[patient] == part] for part in ("train", "test")
        )
        yield cohort.data.select(train), cohort.data.select(test)


def _auroc(cohort: Cohort, scores: np.ndarray[tuple[int], np.dtype[np.float64]], data: InputSet) -> float:
    return auroc(scores, data.bag_labels().numpy() == cohort.positive)


def _tell(cohort: Cohort, name: str, found: Sequence[tuple[float, float]]) -> None:
    rows = np.array(found)
    folds = " ".join(f"{value:.2f}" for value in rows[:, 0])
    wrong = "" if np.isnan(rows[:, 1]).any() else f"   nearest of a wrong class {rows[:, 1].mean():.1%}"
    print(f"{cohort.name:<18} {name:<36} AUROC {rows[:, 0].mean():.3f} ({folds}){wrong}", flush=True)


def _named(rates: Rates) -> str:
    return f"backbone {rates.backbone:g}, head {rates.head:g}"


def _silent(_: str) -> Progress:
    return lambda done, total: None


if __name__ == "__main__":
    main()
