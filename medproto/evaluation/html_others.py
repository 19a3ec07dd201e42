"""Sections of an evaluation's page on what was asked for beside the split, and on the prototypes."""

from __future__ import annotations

from dataclasses import asdict

from medproto.evaluation.abstention import RiskCurve
from medproto.evaluation.blanking import BlankingGain
from medproto.evaluation.classification import Interval
from medproto.evaluation.drawings import Series, plot
from medproto.evaluation.html_parts import figure, note, section, table
from medproto.evaluation.quality import Quality
from medproto.evaluation.quality_curves import ORDERS, Curves
from medproto.evaluation.strangers import Strangers
from medproto.evaluation.whole import Others
from medproto.evaluation.words import flat

#: Told above the table, or drawn.
_ELSEWHERE = ("images", "patients", "changed")


def strangers_section(others: Others) -> str:
    """Whether exams of other manifests were marked; nothing where none were given."""
    if not others.strangers:
        return ""
    counts = ("exams of", "exams / patients", "marked unlike", "told apart", "labelled / positive")
    head = (*counts, "AUROC", "wrong, all decided", "wrong, unmarked decided")
    body = [_stranger_row(one) for one in others.strangers]
    refused = "; ".join(
        f"{one.name}: {one.left_out} images left out, {one.refused_exams} exams with all of theirs"
        for one in others.strangers
        if one.left_out
    )
    words = (
        "Exams that the bundle should mark as unlike its training data. Told apart: the chance that one of them lies "
        "farther from the training data than an exam of this split; 0.5 is by chance. Decisions are judged where "
        "labels are those of the bundle's classes." + (f" {refused}." if refused else "")
    )
    drawn = [
        f"<div>{note(one.name)}{_risk_plot(one.name, one.decided.curves)}</div>"
        for one in others.strangers
        if one.decided
    ]
    return section("Strangers", note(words), table(head, body), f'<div class="side">{"".join(drawn)}</div>')


def _stranger_row(one: Strangers) -> list[str]:
    decided = one.decided
    risks = (decided.risk, decided.risk_kept) if decided else (None, None)
    counts = (f"{one.name} ({one.rows})", f"{one.exams} / {one.patients}", str(one.unlike), str(one.told_apart))
    return [*counts, f"{one.labelled} / {one.positives}", *map(figure, (one.auroc, *risks))]


def beside_section(others: Others, own: Interval) -> str:
    """Other models on the same exams; nothing where none were given.

    Args:
        own: AUROC of the bundle's exams.
    """
    if not others.beside:
        return ""
    rows = [[one.method, str(one.auroc), str(one.difference)] for one in others.beside]
    words = f"On the same {others.beside[0].exams} exams; the difference is taken on the same draws of patients."
    head = ("method", "AUROC, exam", "this bundle less the method")
    return section("Beside other models", note(words), table(head, [["this bundle", str(own), ""], *rows]))


def blanking_section(found: BlankingGain | None) -> str:
    """Whether the boxes that are shown hold what the network saw."""
    if found is None:
        words = "Not defined: in no exam of the positive class does blanking the whole breast lower the similarity."
        return section("Blanking the box", note(words))
    head = (
        "box",
        "drop, its share",
        "drop by random boxes",
        "gain",
        "gain after the maximum anew",
        "better than random",
    )
    body = [
        [box.kind, *map(str, (box.at_cell, box.random_at_cell, box.gain, box.gain_anywhere, box.better))]
        for box in found.boxes
    ]
    words = (
        f"The strongest match of {found.exams} exams of the positive class: its box is replaced by its blurred "
        "surround. The drop of the similarity is a share of that when the whole breast is blanked; the gain is what it "
        f"lies above the mean of {found.random_boxes} random boxes of the same area in the same breast. The first "
        "kind is the one that is shown."
    )
    if found.without_share:
        words += f" In {found.without_share} more exams blanking the whole breast does not lower the similarity."
    return section("Blanking the box", note(words), table(head, body))


def quality_section(quality: Quality) -> str:
    """Every figure of the prototypes, and the curves."""
    words = (
        f"Measured on {quality.images} images of {quality.patients} patients, of which {quality.changed} were changed "
        "for stability. What needs annotations is not defined where the manifest has none. Intervals: bootstrap by "
        "patient; where all cases agree they have no width, however few there are."
    )
    body = [[name, value] for name, value in flat(asdict(quality)) if name not in _ELSEWHERE]
    drawn = _curves(quality.curves) if quality.curves else ""
    return section("Prototype quality", note(words), table(("measure", "value"), body), drawn)


def _risk_plot(name: str, curves: tuple[RiskCurve, ...]) -> str:
    series = [Series(curve.signal, tuple(zip(curve.coverage, curve.risk, strict=True))) for curve in curves]
    return plot(f"Risk and coverage, {name}", ("share of exams decided", "share of them decided wrongly"), series)


def _curves(found: Curves) -> str:
    """Deletion and insertion beside each other."""
    most = found.patches[-1]
    drawn = []
    for title, start in (("deletion", 1.0), ("insertion", 0.0)):
        series = []
        for order in ORDERS:
            curve = found.curves[order]
            left = curve.deletion if title == "deletion" else curve.insertion
            points = zip((0, *found.patches), (start, *left), strict=True)
            series.append(Series(order, tuple((count / most, max(value, 0.0)) for count, value in points)))
        shown = "taken away" if title == "deletion" else "shown alone"
        drawn.append(plot(title.capitalize(), (f"patches {shown}, of {most}", "share of the margin left"), series))
    words = f"Margins of {found.images} images of the positive class while patches are taken away, and shown alone."
    return f'{note(words)}<div class="side">{"".join(drawn)}</div>'
