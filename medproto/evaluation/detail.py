"""What an evaluation says beyond its table: every unit at its operating points, calibration, abstention, subgroups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from medproto.evaluation.abstention import Abstention, abstention, judged
from medproto.evaluation.calibration_report import CalibrationReport, calibration_report
from medproto.evaluation.classification import Interval
from medproto.evaluation.curves import average_precision, curve, sensitivity_at, specificity_at
from medproto.evaluation.held_out import HeldOut, Unit, units
from medproto.evaluation.intervals import Places, by_patient, clustered_share, delong_interval
from medproto.evaluation.subgroups import Subgroup, subgroups
from medproto.training.inputs import Progress

#: Where the other of sensitivity and specificity is read.
FIXED = 0.9
#: Points that are kept of a ROC curve, at most.
POINTS = 201


@dataclass(frozen=True)
class UnitResult:
    """One unit of scoring, with intervals by patient; `recall` is the share that is flagged.

    The operating point was chosen for exams; breasts and images are flagged at the same margin.

    Args:
        auroc_delong: DeLong's interval, where each patient is one case and there are two of each class.
        auprc: average precision, whose value by chance is the share of positives.
        confusion: [[true positive, false negative], [false positive, true negative]] at the operating point.
        roc: (1 - specificity, sensitivity) of the operating points, thinned for drawing.
    """

    unit: str
    cases: int
    positives: int
    patients: int
    auroc: Interval
    auroc_delong: Interval | None
    auprc: Interval | None
    sensitivity_at_fixed_specificity: Interval | None
    specificity_at_fixed_sensitivity: Interval | None
    fixed: float
    confusion: tuple[tuple[int, int], tuple[int, int]]
    sensitivity: Interval
    specificity: Interval
    recall: Interval
    roc: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Details:
    """All of it; calibration and abstention are of exams."""

    units: tuple[UnitResult, ...]
    calibration: CalibrationReport
    abstention: Abstention
    subgroups: tuple[Subgroup, ...]

    def plain(self) -> dict[str, object]:
        """The same as plain values, for JSON."""
        return asdict(self)


def details(held: HeldOut, aurocs: Mapping[str, Interval], progress: Progress | None = None) -> Details:
    """Measure a scored split in full; seconds to a minute, for the intervals are drawn.

    Args:
        aurocs: AUROC of each unit, as the table of the evaluation has it.
    """
    point, calibration = held.bundle.manifest.operating_point.margin, held.bundle.manifest.calibration
    found, all_units = [], units(held)
    for done, unit in enumerate(all_units, start=1):
        found.append(unit_result(unit, aurocs[unit.name], point))
        if progress:
            progress(done, len(all_units) + 2)
    probability = np.array([calibration.probability(margin) for margin in held.exams.margins])
    report = calibration_report(probability, held.exams.positive, held.exams.patients)
    if progress:
        progress(len(all_units) + 1, len(all_units) + 2)
    whole = Details(tuple(found), report, abstention(judged(held), held.bundle.likeness.threshold), subgroups(held))
    if progress:
        progress(len(all_units) + 2, len(all_units) + 2)
    return whole


def unit_result(unit: Unit, auroc: Interval, point: float) -> UnitResult:
    """One unit, flagged at and above that margin.

    Raises:
        TrainingError: only one class is there.
    """

    def measured(places: Places) -> list[float]:
        scores, positive = unit.margins[places], unit.positive[places]
        if not positive.any() or positive.all():
            return [np.nan] * 3
        points = curve(scores, positive)
        return [average_precision(points), sensitivity_at(points, FIXED), specificity_at(points, FIXED)]

    points = curve(unit.margins, unit.positive)
    whole = by_patient(measured, unit.patients)
    flagged, positive, patients = unit.margins >= point, unit.positive, np.asarray(unit.patients)
    single = len(set(unit.patients)) == len(positive) and 2 <= positive.sum() <= len(positive) - 2
    shown = np.unique(np.linspace(0, len(points.sensitivity) - 1, POINTS).astype(int))
    roc = zip((1 - points.specificity[shown]).tolist(), points.sensitivity[shown].tolist(), strict=True)
    return UnitResult(
        unit=unit.name,
        cases=len(positive),
        positives=int(positive.sum()),
        patients=len(set(unit.patients)),
        auroc=auroc,
        auroc_delong=delong_interval(unit.margins, positive) if single else None,
        auprc=whole[0],
        sensitivity_at_fixed_specificity=whole[1],
        specificity_at_fixed_sensitivity=whole[2],
        fixed=FIXED,
        confusion=(
            (int((flagged & positive).sum()), int((~flagged & positive).sum())),
            (int((flagged & ~positive).sum()), int((~flagged & ~positive).sum())),
        ),
        sensitivity=clustered_share(flagged[positive], patients[positive].tolist()),
        specificity=clustered_share(~flagged[~positive], patients[~positive].tolist()),
        recall=clustered_share(flagged, unit.patients),
        roc=tuple(roc),
    )
