"""Whether leaving the unlikeliest exams undecided would lower the share of wrong decisions (El-Yaniv and Wiener 2010).

Exams are ranked by a signal that knows neither label nor decision, least unlike first. At a coverage c the first c of
them are decided; the risk is the share of these whose decision is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medproto.evaluation.classification import Interval, Vector
from medproto.evaluation.held_out import HeldOut, Unit
from medproto.evaluation.intervals import Flags, Places, clustered_share, one_by_patient

#: Points that are kept of a curve, at most.
POINTS = 101


@dataclass(frozen=True)
class RiskCurve:
    """Risk against coverage for one signal.

    Args:
        area: mean risk over all coverages (AURC, Geifman and El-Yaniv 2017); `gain` is what this is below the risk of
            deciding everything, which is the area of an order by chance: above 0 the signal helps.
    """

    signal: str
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: float
    gain: Interval


@dataclass(frozen=True)
class Abstention:
    """Exams that the bundle would decide and those that it marks as unlike the training data.

    Args:
        risk: share of wrong decisions when every exam is decided; `risk_kept` and `risk_marked` are those of exams
            within and beyond the bundle's threshold, None where there is none.
    """

    risk: Interval
    risk_kept: Interval | None
    risk_marked: Interval | None
    kept: int
    marked: int
    curves: tuple[RiskCurve, ...]


@dataclass(frozen=True)
class Judged:
    """N exams, what was decided of each, and how strange each is: whether it is flagged, its distance to the training
    data and its largest similarity to any prototype, each of shape (N,)."""

    exams: Unit
    flagged: Flags
    distance: Vector
    resemblance: Vector


def judged(held: HeldOut) -> Judged:
    """The exams of a scored split."""
    return Judged(held.exams, held.flagged, held.distance, held.best.double().amax(dim=1).numpy())


def abstention(found: Judged, threshold: float) -> Abstention:
    """Both signals: distance to the training data, and how little the exam resembles any prototype.

    Args:
        threshold: on the distance; exams beyond it are marked as unlike the training data.
    """
    patients = found.exams.patients
    wrong, marked = found.flagged != found.exams.positive, found.distance > threshold
    signals = {"distance to the training data": found.distance, "resemblance to no prototype": -found.resemblance}
    return Abstention(
        risk=clustered_share(wrong, patients),
        risk_kept=_risk(wrong, ~marked, patients),
        risk_marked=_risk(wrong, marked, patients),
        kept=int((~marked).sum()),
        marked=int(marked.sum()),
        curves=tuple(risk_curve(name, signal, wrong, patients) for name, signal in signals.items()),
    )


def risk_curve(name: str, signal: Vector, wrong: Flags, patients: Sequence[str]) -> RiskCurve:
    """The curve of one signal (N,) that is higher for stranger cases."""

    def gain(places: Places) -> float:
        return float(wrong[places].mean() - risks(signal[places], wrong[places]).mean())

    found, found_gain = risks(signal, wrong), one_by_patient(gain, patients)
    shown = np.unique(np.linspace(0, len(found) - 1, min(POINTS, len(found))).astype(int))
    coverage = (shown + 1) / len(found)
    return RiskCurve(name, tuple(coverage.tolist()), tuple(found[shown].tolist()), float(found.mean()), found_gain)


def risks(signal: Vector, wrong: Flags) -> Vector:
    """Risk at coverages 1/N, 2/N ... 1, shape (N,); cases of the same signal share their errors evenly."""
    _, group, count = np.unique(signal, return_inverse=True, return_counts=True)
    shared = np.bincount(group, weights=wrong)[group] / count[group]
    found: Vector = np.cumsum(shared[np.argsort(signal, kind="stable")]) / np.arange(1, len(signal) + 1)
    return found


def _risk(wrong: Flags, chosen: Flags, patients: Sequence[str]) -> Interval | None:
    if not chosen.any():
        return None
    return clustered_share(wrong[chosen], [patients[i] for i in np.flatnonzero(chosen).tolist()])
