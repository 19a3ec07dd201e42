"""Draws how proofs grow with the size of a log, as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 420, 280, 50


@dataclass(frozen=True)
class Curve:
    """Measurements at several sizes of a log: hashes in a proof, and milliseconds to make and check one."""

    sizes: list[int]
    hashes: list[float]
    milliseconds: list[float]


def draw(path: Path, curve: Curve) -> None:
    """Two panels over a logarithmic axis of sizes: what grows as log n is a straight line."""
    panels = ((curve.hashes, "hashes in a proof"), (curve.milliseconds, "ms to make and check a proof"))
    drawn = "".join(_panel(place * WIDTH, curve.sizes, values, name) for place, (values, name) in enumerate(panels))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>{drawn}</svg>\n',
        encoding="utf-8",
    )


def _panel(left: float, sizes: list[int], values: list[float], name: str) -> str:
    widest, highest = math.log10(max(sizes)), max(values)
    right, bottom = left + WIDTH - 20, HEIGHT - MARGIN
    points = [
        (left + MARGIN + (WIDTH - MARGIN - 20) * math.log10(n) / widest, bottom - (bottom - 40) * value / highest)
        for n, value in zip(sizes, values, strict=True)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5f8b"/>' for x, y in points)
    ticks = "".join(
        f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{n:.0e}</text>'
        f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle">{value:.3g}</text>'
        for n, value, (x, y) in zip(sizes, values, points, strict=True)
    )
    return (
        f'<path d="M{left + MARGIN} 30V{bottom}H{right}" fill="none" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f5f8b" stroke-width="1.5"/>{marks}{ticks}'
        f'<text x="{left + MARGIN}" y="20" font-weight="bold">{name}</text>'
        f'<text x="{right}" y="{HEIGHT - 10}" text-anchor="end">entries in the log</text>'
    )
