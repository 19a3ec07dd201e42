"""Waterfall: what every prototype counted, from the first bar to the sum, for the score or for one class alone."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from medproto.class_evidence import counted_for
from medproto.records import Prediction
from medproto.summary import number, opposing, signed, supporting

#: Prototypes that get a line of their own; the others are one line together.
_LINES: Final = 16


@dataclass(frozen=True)
class _Fall:
    """What each prototype counted, by falling amount, and the sum; `point` is None where there is none to compare."""

    counted: Mapping[str, float]
    name: str
    total: float
    point: float | None


def waterfall_html(prediction: Prediction) -> str:
    """Every contribution from the first to the last; the bars end at the margin."""
    counted = {match.prototype_id: match.contribution for match in prediction.matches}
    fall = _Fall(counted, "Score (margin)", prediction.margin, prediction.operating_point.margin)
    note = (
        "Each bar starts where the one before ends; the last is the score. Dashed line: operating point "
        f"{number(prediction.operating_point.margin)}, and how far the score is from it. Hatched bars lower the score."
    )
    return _table(prediction, fall, note)


def class_waterfall_html(prediction: Prediction, name: str) -> str:
    """What every prototype counted for one class; the bars end at its logit."""
    fall = _Fall(counted_for(prediction, name), f"Sum for “{name}” (logit)", prediction.logits[name], None)
    return _table(prediction, fall, f"Each bar starts where the one before ends. Hatched bars speak against “{name}”.")


def _table(prediction: Prediction, fall: _Fall, note: str) -> str:
    lines = _lines(prediction, fall.counted)
    low, span = _extent([value for _, _, value in lines], fall.point)
    line = "" if fall.point is None else f'<b style="left:{100 * (fall.point - low) / span:.2f}%"></b>'

    def bar(start: float, value: float, kind: str) -> str:
        left = 100 * (min(start, start + value) - low) / span
        return f'<i class="{kind}" style="left:{left:.2f}%;width:{100 * abs(value) / span:.2f}%"></i>{line}'

    rows, at = [], 0.0
    for label, name, value in lines:
        cell = bar(at, value, "minus" if value < 0 else "")
        at += value
        rows.append(_row((label, name, cell, signed(value), number(at)), ""))
    rows.append(_row(("", fall.name, bar(0.0, at, "total"), signed(fall.total), number(at)), "total"))
    if fall.point is not None:
        over = signed(fall.total - fall.point)
        rows.append(_row(("", "Operating point", bar(0.0, fall.point, "point"), over, number(fall.point)), ""))
    head = "<tr><th></th><th>Prototype</th><th></th><th class='n'>Counted</th><th class='n'>Sum</th></tr>"
    table = f'<table class="mp-fall">{head}{"".join(rows)}</table>'
    return f'{table}<p class="mp-quiet mp-small">{html.escape(note)}</p>'


def _extent(values: list[float], point: float | None) -> tuple[float, float]:
    """Where the axis begins, and how long it is: all sums on the way, zero and the operating point lie on it."""
    sums, at = [0.0] if point is None else [0.0, point], 0.0
    for value in values:
        at += value
        sums.append(at)
    return min(sums), (max(sums) - min(sums)) or 1.0


def _lines(prediction: Prediction, counted: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """Label, name and amount of the strongest and of those that have a card; the others together as the last line."""
    labels = {item.match.prototype_id: item.label for item in (*supporting(prediction), *opposing(prediction))}
    classes = {match.prototype_id: match.prototype_class for match in prediction.matches}
    strongest = set(sorted(counted, key=lambda name: abs(counted[name]), reverse=True)[:_LINES])
    shown = [name for name in counted if name in strongest or name in labels]
    others = [value for name, value in counted.items() if name not in shown]
    lines = [(labels.get(name, ""), f"{name} ({classes[name]})", counted[name]) for name in shown]
    return lines + ([("", f"{len(others)} further prototypes", sum(others))] if others else [])


def _row(cells: tuple[str, str, str, str, str], kind: str) -> str:
    label, name, bar, counted, total = cells
    return (
        f'<tr class="{kind}"><td>{label}</td><td>{html.escape(name)}</td><td class="bar">{bar}</td>'
        f'<td class="n">{counted}</td><td class="n">{total}</td></tr>'
    )
