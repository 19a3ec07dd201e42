"""What the units come to: AUROC with intervals by patient, paired differences, and what became of the prototypes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.units import BLACK_BOX, METHODS, OURS, PUBLISHED, Unit
from medproto.evaluation.classification import Interval

Matrix = NDArray[np.float64]
DRAWS = 2000
#: How much lower an AUROC may be and still count as no worse.
MARGIN = 0.05


@dataclass(frozen=True)
class Paired:
    """Difference of two methods on the same patients, and whether its lower bound shows what was to be shown."""

    claim: str
    difference: Interval
    shown: bool

    def __str__(self) -> str:
        low, value, high = self.difference.low, self.difference.value, self.difference.high
        return f"{self.claim}: {value:+.3f} ({low:+.3f} to {high:+.3f}), {'shown' if self.shown else 'not shown'}"


def table(units: Sequence[Unit]) -> str:
    """Markdown: one line per method of each data set, then the differences."""
    head = (
        "| data set | method | AUROC (95 % interval) | distinct prototypes | nearest of a wrong class | s per epoch |"
    )
    lines, notes = [head, "|---|---|---|---|---|---|"], [""]
    for cohort in dict.fromkeys(unit.cohort for unit in units):
        own = [unit for unit in units if unit.cohort == cohort]
        drawn = Draws.of(own)
        lines += [_line(own, drawn, method) for method in METHODS]
        notes += [f"{cohort}: {_size(own)}", *(f"- {paired}" for paired in differences(drawn))]
    return "\n".join(lines + notes)


@dataclass(frozen=True)
class Draws:
    """AUROC of each method, mean over folds and seeds: of all patients (first), then of each bootstrap draw."""

    of_method: dict[str, Matrix]

    @classmethod
    def of(cls, units: Sequence[Unit], seed: int = 0, draws: int = DRAWS) -> Draws:
        """Draw patients, alike for every method, fold and seed; AUROC within each fold that has both classes."""
        patients = sorted({patient for unit in units for patient in unit.patients})
        generator = np.random.default_rng(seed)
        times = generator.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=draws)
        times = np.vstack([np.ones(len(patients)), times]).astype(np.float64)
        place = {patient: i for i, patient in enumerate(patients)}
        found: dict[str, Matrix] = {}
        for method in METHODS:
            folds = [weighted_auroc(unit, method, times[:, [place[p] for p in unit.patients]]) for unit in units]
            found[method] = np.nanmean(np.array(folds), axis=0)
        return cls(found)

    def interval(self, values: Matrix) -> Interval:
        """The first value with the middle 95 % of the others."""
        low, high = np.percentile(values[1:], [2.5, 97.5])
        return Interval(float(values[0]), float(low), float(high))


def weighted_auroc(unit: Unit, method: str, times: Matrix) -> Matrix:
    """AUROC of one fold with each exam counted so many times (draws, N); NaN for draws without one of the classes."""
    scores, positive = np.array(unit.scores[method]), np.array(unit.positive)
    above = scores[positive][:, None] - scores[~positive][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    of_positive, of_negative = times[:, positive], times[:, ~positive]
    pairs = of_positive.sum(axis=1) * of_negative.sum(axis=1)
    won = ((of_positive @ wins) * of_negative).sum(axis=1)
    found: Matrix = np.divide(won, pairs, out=np.full(len(times), np.nan), where=pairs > 0)
    return found


def differences(drawn: Draws) -> Iterator[Paired]:
    """Ours against the black box, which it is not to trail, and against the published network, which it is to beat."""
    values = drawn.of_method
    against_box = drawn.interval(values[OURS] - values[BLACK_BOX])
    claim = f"{OURS} no worse than the black box, by a margin of {MARGIN}"
    yield Paired(claim, against_box, against_box.low > -MARGIN)
    against_published = drawn.interval(values[OURS] - values[PUBLISHED])
    yield Paired(f"{OURS} above the published network", against_published, against_published.low > 0)


def _line(units: Sequence[Unit], drawn: Draws, method: str) -> str:
    prototypes = sum(unit.prototypes.get(method, 0) for unit in units)
    distinct = sum(unit.distinct.get(method, 0) for unit in units)
    cells = [
        units[0].cohort,
        method,
        str(drawn.interval(drawn.of_method[method])),
        f"{distinct / prototypes:.1%}" if prototypes else "",
        _mean((unit.wrong[method] for unit in units if method in unit.wrong), "{:.1%}"),
        _mean((unit.seconds_per_epoch[method] for unit in units if method in unit.seconds_per_epoch), "{:.1f}"),
    ]
    return f"| {' | '.join(cells)} |"


def _mean(values: Iterable[float], form: str) -> str:
    known = list(values)
    return form.format(np.mean(known)) if known else ""


def _size(units: Sequence[Unit]) -> str:
    one_seed = [unit for unit in units if unit.seed == units[0].seed]
    exams = sum(len(unit.exams) for unit in one_seed)
    positives = sum(sum(unit.positive) for unit in one_seed)
    patients = len({patient for unit in one_seed for patient in unit.patients})
    seeds = len({unit.seed for unit in units})
    folds = len({unit.fold for unit in units})
    return f"{exams} exams of {patients} patients, {positives} positive; {folds} folds by patient, {seeds} seeds"
