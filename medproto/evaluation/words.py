"""An evaluation as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medproto.evaluation.beside import Beside
from medproto.evaluation.blanking import BlankingGain
from medproto.evaluation.run import Evaluation
from medproto.evaluation.strangers import Strangers

#: A longer row of figures is counted, not shown.
LISTED = 12
#: Names of the parts of an interval and of a counted share.
INTERVAL, COUNTED = {"value", "low", "high"}, {"share", "count", "of"}


def table(result: Evaluation) -> str:
    """What was measured, one row each, with 95 % intervals."""
    head = (
        f"{result.exams} exams of {result.patients} patients ({result.positives} positive, {result.images} images), "
        f"split {result.split!r}"
    )
    lines = [f"| {name} | {value} |" for name, value in rows_of(result)]
    return "\n".join([head, "", "| measure | value (95 % interval) |", "|---|---|", *lines])


def rows_of(result: Evaluation) -> list[tuple[str, str]]:
    """Each measure and its value."""
    rows = [(f"AUROC, {name}", str(interval)) for name, interval in result.auroc.items()]
    rows += [
        ("sensitivity at the operating point", str(result.sensitivity)),
        ("specificity at the operating point", str(result.specificity)),
        ("prototypes / distinct training patches", f"{result.prototypes} / {result.distinct_prototypes}"),
        ("exams marked unlike the training data", str(result.unlike_training)),
    ]
    if result.top1_in_lesion is not None and result.random_in_lesion is not None:
        rows += [
            ("top-1 patch of a positive exam has its centre in the lesion", str(result.top1_in_lesion)),
            ("the same for a random in-breast patch", f"{result.random_in_lesion:.3f}"),
            ("positive exams with an annotation", str(result.annotated_exams)),
        ]
    return rows


def rows_of_strangers(strangers: Sequence[Strangers]) -> list[tuple[str, str]]:
    """Whether the exams of other manifests were marked, and what deciding them would cost."""
    rows: list[tuple[str, str]] = []
    for one in strangers:
        name = f"strangers, {one.name}"
        rows.append((f"{name}: {one.exams} exams ({one.rows}) marked unlike the training data", str(one.unlike)))
        rows.append((f"{name}: told apart from this split by the distance", str(one.told_apart)))
        if one.auroc:
            rows.append((f"{name}: AUROC of {one.labelled} labelled exams ({one.positives} positive)", str(one.auroc)))
        if one.decided:
            rows.append((f"{name}: wrong, were all {one.labelled} labelled exams decided", str(one.decided.risk)))
    return rows


def rows_of_beside(beside: Sequence[Beside]) -> list[tuple[str, str]]:
    """Other models on the same exams."""
    rows: list[tuple[str, str]] = []
    for one in beside:
        rows.append((f"AUROC, exam, of {one.method}", str(one.auroc)))
        rows.append((f"AUROC, exam, less that of {one.method}", str(one.difference)))
    return rows


def rows_of_blanking(found: BlankingGain | None) -> list[tuple[str, str]]:
    """What blanking the strongest match's box takes more than random boxes do, by kind of box."""
    if found is None:
        return [("blanking: gain over random boxes", _text(None))]
    words = f"of {found.exams} exams: gain over random boxes of equal area, share of the drop by blanking the breast"
    return [(f"blanking, {box.kind}, {words}", str(box.gain)) for box in found.boxes]


def flat(values: Mapping[str, object], above: str = "") -> list[tuple[str, str]]:
    """Each of nested figures under its full name, such as `coherence: relevance`, as text."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = (f"{above}: {key}" if above else key).replace("_", " ")
        if isinstance(value, Mapping) and set(value) in (INTERVAL, COUNTED):
            rows.append((name, _summed_up(value)))
        elif isinstance(value, Mapping):
            rows += flat(value, name)
        elif isinstance(value, list | tuple):
            listed = ", ".join(_text(one) for one in value)
            rows.append((name, listed if len(value) <= LISTED else f"{len(value)} values"))
        else:
            rows.append((name, _text(value)))
    return rows


def _summed_up(value: Mapping[str, object]) -> str:
    """An interval or a count in one line."""
    if set(value) == COUNTED:
        return f"{value['share']:.1%} ({value['count']} of {value['of']})"
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def _text(value: object) -> str:
    if value is None:
        return "not defined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
