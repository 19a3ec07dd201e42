"""Plots as SVG text: drawn without a library, sharp in print, told apart by dash and mark as well as by colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

#: Blue, orange and green that colour-blind eyes tell apart (Okabe and Ito 2008), and grey for what is compared with.
COLOURS = ("#0072b2", "#d55e00", "#009e73")
GREY = "#767676"
DASHES = ("", "7 4", "2 3")
#: Side of the plotting area, and the margins left and below for the numbers, in SVG units.
SIDE, LEFT, BELOW, TOP = 260, 52, 44, 10
LINE = 18


@dataclass(frozen=True)
class Series:
    """Points (x, y) joined by a line.

    Args:
        spans: low and high end of a bar at each point, such as its interval; empty for none. With spans the points are
            marked with dots.
        reference: drawn thin and grey.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    spans: tuple[tuple[float, float], ...] = ()
    reference: bool = False


def plot(title: str, axes: tuple[str, str], series: Sequence[Series], top: float = 1.0) -> str:
    """Series in a square from 0 to 1 along x and from 0 to `top` along y, their labels below."""
    width, height = LEFT + SIDE + 16, TOP + SIDE + BELOW + LINE * len(series) + 4
    parts = [
        f'<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(title)}">',
        *_frame(axes, top),
    ]
    coloured = 0
    for place, one in enumerate(series):
        colour, dash = (GREY, "4 3") if one.reference else (COLOURS[coloured % 3], DASHES[coloured % 3])
        coloured += not one.reference
        parts += _series(one, (colour, dash), top)
        y = TOP + SIDE + BELOW + LINE * place + 6
        parts.append(f'<path d="M{LEFT} {y} h30" stroke="{colour}" stroke-dasharray="{dash}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 38}" y="{y + 4}">{escape(one.label)}</text>')
    return "".join([*parts, "</svg>"])


def forest(title: str, rows: Sequence[tuple[str, tuple[float, float, float] | None]], line: float) -> str:
    """A dot with its interval (value, low, high) on a scale from 0 to 1 for each row, and a line to compare with."""
    names, height = 190, TOP + LINE * len(rows) + 34
    width = names + SIDE + 16
    bottom = TOP + LINE * len(rows)
    parts = [
        f'<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(title)}">',
        f'<path d="M{names + line * SIDE:.1f} {TOP} V{bottom}" stroke="{GREY}" stroke-dasharray="4 3"/>',
        f'<path d="M{names} {bottom} h{SIDE}" stroke="#000"/>',
    ]
    for tick in range(6):
        x = names + SIDE * tick / 5
        parts.append(f'<path d="M{x:.1f} {bottom} v4" stroke="#000"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick / 5:.1f}</text>')
    for place, (name, found) in enumerate(rows):
        y = TOP + LINE * place + LINE / 2
        parts.append(f'<text x="{names - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        if found is not None:
            value, low, high = (names + SIDE * figure for figure in found)
            parts.append(f'<path d="M{low:.1f} {y} H{high:.1f}" stroke="{COLOURS[0]}" stroke-width="2"/>')
            parts.append(f'<circle cx="{value:.1f}" cy="{y}" r="4" fill="{COLOURS[0]}"/>')
    return "".join([*parts, "</svg>"])


def _frame(axes: tuple[str, str], top: float) -> list[str]:
    """The square, five steps along each side, and what the axes are."""
    parts = [f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#000"/>']
    for tick in range(6):
        x, y = LEFT + SIDE * tick / 5, TOP + SIDE * (1 - tick / 5)
        parts.append(f'<path d="M{x:.1f} {TOP + SIDE} v4 M{LEFT} {y:.1f} h-4" stroke="#000"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{tick / 5:.1f}</text>')
        number = f"{top * tick / 5:.2f}" if top < 1 else f"{top * tick / 5:.1f}"
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{number}</text>')
    middle = TOP + SIDE / 2
    parts.append(f'<text x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 33}" text-anchor="middle">{escape(axes[0])}</text>')
    turned = f'transform="rotate(-90 12 {middle})"'
    parts.append(f'<text x="12" y="{middle}" text-anchor="middle" {turned}>{escape(axes[1])}</text>')
    return parts


def _series(one: Series, style: tuple[str, str], top: float) -> list[str]:
    def placed(x: float, y: float) -> tuple[float, float]:
        return LEFT + SIDE * x, TOP + SIDE * (1 - min(y / top, 1))

    colour, dash = style
    way = " ".join("{:.1f},{:.1f}".format(*placed(x, y)) for x, y in one.points)
    width = 1.5 if one.reference else 2
    parts = [
        f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-dasharray="{dash}" stroke-width="{width}"/>'
    ]
    for (x, y), (low, high) in zip(one.points[: len(one.spans)], one.spans, strict=True):
        across, down = placed(x, y)
        parts.append(f'<path d="M{across:.1f} {placed(x, low)[1]:.1f} V{placed(x, high)[1]:.1f}" stroke="{colour}"/>')
        parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4" fill="{colour}"/>')
    return parts
