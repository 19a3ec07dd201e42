"""An evaluation as one HTML page: self-contained, readable on screen and in print."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape

from medproto.bundle import Bundle
from medproto.evaluation.detail import UnitResult
from medproto.evaluation.drawings import Series, forest, plot
from medproto.evaluation.html_others import beside_section, blanking_section, quality_section, strangers_section
from medproto.evaluation.html_parts import figure, note, section, table
from medproto.evaluation.shortcut_page import shortcut_section
from medproto.evaluation.subgroups import ENOUGH, UNKNOWN
from medproto.evaluation.whole import Whole
from medproto.evaluation.words import rows_of
from medproto.training.inputs import InputSet

#: Prototypes whose patches are shown, strongest weight on the margin first.
SHOWN = 24
#: The plot of abstention ends a little above its highest risk, but not below this.
SMALLEST_TOP = 0.1
_CSS = """
body{font:15px/1.45 system-ui,sans-serif;color:#111;background:#fff;max-width:980px;margin:24px auto;padding:0 16px}
h1{font-size:24px;margin:0}h2{font-size:18px;margin:28px 0 6px;border-bottom:1px solid #999}
table{border-collapse:collapse;margin:8px 0;font-size:13.5px}th,td{border:1px solid #bbb;padding:3px 8px;
text-align:left;vertical-align:top}th{background:#eee}td{font-variant-numeric:tabular-nums}
.side{display:flex;flex-wrap:wrap;gap:20px;align-items:flex-start}
.plot{max-width:100%;height:auto;font:12px system-ui,sans-serif}.note{color:#333;font-size:13px;max-width:80ch}
.warn{font-weight:bold}figure{margin:0;width:112px;font-size:12px}figure img{width:112px;height:112px;display:block}
code{font-size:12px;overflow-wrap:anywhere}section,tr,figure{break-inside:avoid}
@media print{body{margin:0;max-width:none;font-size:11pt}}@page{margin:15mm}
"""


@dataclass(frozen=True)
class Page:
    """What the page is made from."""

    bundle: Bundle
    whole: Whole
    data: InputSet


def write_page(page: Page) -> str:
    """The whole page; it names neither patients nor files, and loads nothing."""
    parts = [_head(page), _classification(page), _operating_point(page), _calibration(page), _abstention(page)]
    whole = page.whole
    parts += [strangers_section(whole.others), beside_section(whole.others, whole.result.auroc["exam"])]
    parts += [_subgroups(page), _evidence(page), blanking_section(whole.blanking)]
    parts += [shortcut_section(whole.shortcut, page.data), quality_section(whole.quality), _left_out(page)]
    title = escape(f"Evaluation of {page.bundle.manifest.name}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_CSS}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _head(page: Page) -> str:
    bundle, result = page.bundle.manifest, page.whole.result
    synthetic = " All of its training data are SYNTHETIC." if bundle.synthetic else ""
    facts = (
        f"{result.exams} exams of {result.patients} patients, {result.positives} of them positive "
        f"({bundle.model.positive_class}), {result.images} images; split {result.split!r}, on which nothing was chosen."
    )
    return (
        f"<h1>Evaluation of {escape(bundle.name)}</h1><p>{escape(facts)}{synthetic} Brackets hold 95 % intervals. "
        "Research use only, not for primary diagnosis.</p>"
        f'<p class="note">Bundle <code>{result.bundle_id}</code><br>Manifest <code>{result.manifest_digest}</code></p>'
    )


def _classification(page: Page) -> str:
    fixed = f"{page.whole.details.units[0].fixed:.0%}"
    at_fixed = (f"sensitivity at {fixed} specificity", f"specificity at {fixed} sensitivity")
    head = ("unit", "cases / positive", "AUROC", "by DeLong", "AUPRC; by chance", *at_fixed)
    body = [_unit_row(unit) for unit in page.whole.details.units]
    curves = [
        Series(unit.unit, unit.roc) for unit in page.whole.details.units if unit.unit in ("exam", "breast", "image")
    ]
    chance = Series("chance", ((0, 0), (1, 1)), reference=True)
    words = (
        "Intervals: bootstrap by patient, percentiles; DeLong's where each patient is one case. Where all pairs are in "
        "order neither can have a width, however few the cases are."
    )
    drawn = plot("ROC curves", ("1 - specificity", "sensitivity"), [*curves, chance])
    return section("Classification", table(head, body), note(words), drawn)


def _unit_row(unit: UnitResult) -> list[str]:
    auprc = f"{figure(unit.auprc)}; {unit.positives / unit.cases:.3f}"
    fixed = (unit.sensitivity_at_fixed_specificity, unit.specificity_at_fixed_sensitivity)
    figures = [figure(unit.auroc), figure(unit.auroc_delong), auprc, *map(figure, fixed)]
    return [unit.unit, f"{unit.cases} / {unit.positives}", *figures]


def _operating_point(page: Page) -> str:
    point = page.bundle.manifest.operating_point
    words = f"Flagged at a margin of {point.margin:+.3f} and above, chosen for exams: {point.rule}. "
    words += f"There: sensitivity {point.sensitivity:.3f}, specificity {point.specificity:.3f}."
    head = ("unit", "positive: flagged / not", "negative: flagged / not", "sensitivity", "specificity", "recall rate")
    body = []
    for unit in page.whole.details.units:
        (hit, missed), (alarm, spared) = unit.confusion
        counts = [unit.unit, f"{hit} / {missed}", f"{alarm} / {spared}"]
        body.append([*counts, *map(figure, (unit.sensitivity, unit.specificity, unit.recall))])
    return section("At the operating point", note(words), table(head, body))


def _calibration(page: Page) -> str:
    found = page.whole.details.calibration
    low, high = found.ece_if_perfect
    slope = figure(found.slope) if found.slope else "none: the probabilities separate the classes"
    body = [
        ["slope (ideal 1)", slope],
        ["intercept at slope 1 (ideal 0)", figure(found.intercept)],
        ["Brier score", figure(found.brier)],
        ["Brier score of always saying the prevalence", f"{found.brier_of_prevalence:.3f}"],
        ["expected calibration error (ECE)", f"{found.ece:.3f}"],
        ["ECE that 95 % of perfect models of this size get", f"{low:.3f} to {high:.3f}"],
    ]
    points = tuple((group.predicted, group.observed.value) for group in found.bins)
    spans = tuple((group.observed.low, group.observed.high) for group in found.bins)
    series = [Series("exams in bins of equal counts", points, spans), Series("ideal", ((0, 0), (1, 1)), reference=True)]
    drawn = plot("Reliability", ("predicted probability", "share that is positive"), series)
    prevalence = page.bundle.manifest.calibration.prevalence
    share = page.whole.result.positives / page.whole.result.exams
    words = (
        f"Probabilities of exams; their map was fitted on validation exams alone, {prevalence:.1%} of them positive. "
        f"Here {share:.1%} are: another share alone moves the intercept."
    )
    return section("Calibration", note(words), f'<div class="side">{drawn}{table(("measure", "value"), body)}</div>')


def _abstention(page: Page) -> str:
    found = page.whole.details.abstention
    body = [
        [f"all {found.kept + found.marked} decided", figure(found.risk)],
        [f"the {found.kept} within the threshold on the distance", figure(found.risk_kept)],
        [f"the {found.marked} marked as unlike the training data", figure(found.risk_marked)],
    ]
    signals = [[curve.signal, f"{curve.area:.3f}", figure(curve.gain)] for curve in found.curves]
    series = [Series(curve.signal, tuple(zip(curve.coverage, curve.risk, strict=True))) for curve in found.curves]
    top = min(1.0, max(SMALLEST_TOP, 1.1 * max(max(curve.risk) for curve in found.curves)))
    chance = Series("by chance", ((0, found.risk.value), (1, found.risk.value)), reference=True)
    drawn = plot(
        "Risk and coverage", ("share of exams decided", "share of them decided wrongly"), [*series, chance], top
    )
    words = (
        "Wrong is flagged though negative, or not flagged though positive. Exams are left undecided from the strangest "
        "on; the gain is how far the mean risk lies below that of an order by chance, and above 0 the signal helps."
    )
    tables = table(("exams", "wrong"), body) + table(("signal", "mean risk", "gain"), signals)
    return section("Abstention", note(words), f'<div class="side">{drawn}<div>{tables}</div></div>')


def _subgroups(page: Page) -> str:
    found = page.whole.details.subgroups
    if not found:
        return section("Subgroups", note("The manifest tells neither density nor vendor, age or view."))
    head = ("field", "value", "unit", "cases / positive", "AUROC", "sensitivity", "specificity", "note")
    body, rows = [], []
    for group in found:
        figures = map(figure, (group.auroc, group.sensitivity, group.specificity))
        body.append([group.field, group.value, group.unit, f"{group.cases} / {group.positives}", *figures])
        body[-1].append("; ".join(group.notes))
        interval = None if group.auroc is None else (group.auroc.value, group.auroc.low, group.auroc.high)
        rows.append((f"{group.field} {group.value}", interval))
    told = {group.field for group in found if group.value != UNKNOWN}
    missing = sorted({"density", "vendor", "age", "view"} - told)
    words = f"A group with fewer than {ENOUGH} positives or negatives is too small to judge."
    words += f" The manifest does not tell: {', '.join(missing)}." if missing else ""
    drawn = forest("AUROC of subgroups", rows, page.whole.result.auroc["exam"].value)
    words += " The dashed line is the AUROC of all exams."
    return section("Subgroups", note(words), table(head, body), drawn)


def _evidence(page: Page) -> str:
    weights = page.bundle.margin_weights.tolist()
    order = sorted(range(len(weights)), key=lambda place: -abs(weights[place]))[:SHOWN]
    figures = []
    for place in order:
        entry = page.bundle.manifest.prototypes[place]
        picture = base64.b64encode(page.bundle.pictures[entry.source.patch]).decode()
        figures.append(
            f'<figure><img alt="training patch" src="data:image/png;base64,{picture}"><figcaption>'
            f"{escape(entry.prototype_id)}<br>{escape(entry.prototype_class)}<br>{weights[place]:+.2f}</figcaption></figure>"
        )
    measures = [list(row) for row in rows_of(page.whole.result) if not row[0].startswith("AUROC")]
    words = f"The {len(order)} prototypes of the largest weight on the margin, each the training patch that it is."
    gallery = f'<div class="side">{"".join(figures)}</div>'
    return section("Evidence", table(("measure", "value"), measures), note(words), gallery)


def _left_out(page: Page) -> str:
    reasons = page.whole.result.left_out
    if not reasons:
        return ""
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return section("Left out", f"<ul>{items}</ul>")
