"""The same measures in parts of the split: density, vendor, age and view, where the manifest tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medproto.datasets.manifest import ManifestRow
from medproto.evaluation.classification import Interval, auroc, auroc_interval
from medproto.evaluation.held_out import HeldOut, Unit, unit_of
from medproto.evaluation.intervals import Flags, clustered_share

#: A group with fewer positives or negatives is called small.
ENOUGH = 10
DRAWS = 500
UNKNOWN = "not known"


@dataclass(frozen=True)
class Subgroup:
    """One group, with intervals by patient; a measure is None where the group has no case for it.

    Args:
        others: AUROC of the cases outside of the group.
        notes: a sentence for each reason to be careful.
    """

    field: str
    value: str
    unit: str
    cases: int
    positives: int
    auroc: Interval | None
    others: float | None
    sensitivity: Interval | None
    specificity: Interval | None
    notes: tuple[str, ...]


def subgroups(held: HeldOut) -> tuple[Subgroup, ...]:
    """Groups of exams by density, vendor and age band, and of images by view; a field that no row tells is left out."""
    rows = [source.row for source in held.data.sources]
    images = unit_of(held, "image", [(i, i) for i in range(len(rows))])
    exams = [[rows[i] for i in np.flatnonzero(held.data.bags.numpy() == bag)] for bag in range(len(held.exams.margins))]
    fields: tuple[tuple[str, Unit, Sequence[Sequence[ManifestRow]], Callable[[ManifestRow], str | None]], ...] = (
        ("density", held.exams, exams, lambda row: row.density),
        ("vendor", held.exams, exams, lambda row: row.vendor),
        ("age", held.exams, exams, lambda row: age_band(row.age_years)),
        ("view", images, [[row] for row in rows], lambda row: row.view),
    )
    found: list[Subgroup] = []
    for field, unit, cases, read in fields:
        values = np.array([_value([read(row) for row in members]) for members in cases])
        for value in sorted(set(values.tolist())) if (values != UNKNOWN).any() else []:
            found.append(_subgroup(held, (field, value), unit, values == value))
    return tuple(found)


def age_band(years: int | None) -> str | None:
    """Ten years at a time from 40 to 69, and what lies before and after."""
    if years is None:
        return None
    if years < 40:
        return "under 40"
    return "70 and over" if years >= 70 else f"{years // 10 * 10} to {years // 10 * 10 + 9}"


def _value(values: Sequence[str | None]) -> str:
    """What the images of a case agree on."""
    known = sorted({value for value in values if value is not None})
    return "mixed" if len(known) > 1 else known[0] if known else UNKNOWN


def _subgroup(held: HeldOut, name: tuple[str, str], unit: Unit, chosen: Flags) -> Subgroup:
    inside = _part(unit, chosen)
    flagged = inside.margins >= held.bundle.manifest.operating_point.margin
    found, others = _auroc(inside), _part(unit, ~chosen)
    rest = auroc(others.margins, others.positive) if _both(others) else None
    return Subgroup(
        field=name[0],
        value=name[1],
        unit=unit.name,
        cases=len(inside.margins),
        positives=int(inside.positive.sum()),
        auroc=found,
        others=rest,
        sensitivity=_share(flagged, inside.positive, inside.patients),
        specificity=_share(~flagged, ~inside.positive, inside.patients),
        notes=notes_of(inside.positive, found, rest),
    )


def notes_of(positive: Flags, found: Interval | None, others: float | None) -> tuple[str, ...]:
    """Whether the group is too small to judge, and whether its AUROC lies wholly below that of the other cases."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    notes = []
    if min(positives, negatives) < ENOUGH:
        notes.append(f"too small to judge: {positives} positive and {negatives} negative, fewer than {ENOUGH} of each")
    if found is not None and others is not None and found.high < others:
        notes.append(f"WARNING: AUROC lies below that of all others ({others:.3f})")
    return tuple(notes)


def _part(unit: Unit, chosen: Flags) -> Unit:
    patients = tuple(unit.patients[i] for i in np.flatnonzero(chosen))
    return Unit(unit.name, unit.margins[chosen], unit.positive[chosen], patients)


def _both(unit: Unit) -> bool:
    return bool(unit.positive.any() and not unit.positive.all())


def _auroc(unit: Unit) -> Interval | None:
    """AUROC by patient; None where a class is missing, or where there are not two patients to draw from."""
    if not _both(unit) or len(set(unit.patients)) < 2:
        return None
    return auroc_interval(unit.margins, unit.positive, unit.patients, draws=DRAWS)


def _share(hits: Flags, of: Flags, patients: Sequence[str]) -> Interval | None:
    if not of.any():
        return None
    return clustered_share(hits[of], [patients[i] for i in np.flatnonzero(of).tolist()])
