"""Findings that look benign, malignant or anything between, and whose class their look makes likely, not certain.

The severity of a finding's look lies between 0 (benign) and 1 (malignant). It is drawn from Beta(3, 1) where the
finding is malignant and from Beta(1, 3) where it is benign. Both being as frequent, a finding of severity s is then
malignant with odds of (s / (1 - s))^2: pathology follows what is seen by chance, as in life. Part of the malignant
findings is round and smooth, part of the benign ones is spiculated. Who sees every severity without error tells
malignant from benign findings with an AUROC of 0.95, and nobody does better.
"""

from __future__ import annotations

import numpy as np

from medproto.datasets.phantom.anatomy import Field
from medproto.datasets.phantom.shapes import Window, edge, lobed, polar, with_spicules

#: The first parameter of the Beta distribution of the malignant findings' severity; the second is 1.
LIKELIER = 3.0
#: Findings beside the one an exam is about are plainly benign: their severity is at most this.
PLAINLY_BENIGN = 0.15


def severity(rng: np.random.Generator, malignant: bool) -> float:
    """Severity of the look of a finding of that class."""
    drawn = float(rng.beta(LIKELIER, 1.0))
    return drawn if malignant else 1 - drawn


def plainly_benign(rng: np.random.Generator) -> float:
    """Severity of the look of a finding that leaves no doubt."""
    return float(rng.uniform(0, PLAINLY_BENIGN))


def mass(severe: float, rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """A dense body; the more severe, the more irregular and ill-defined it is, and the more and longer lines radiate
    from it."""
    distance, angle = polar(rng, window)
    waves = lobed(rng, angle, range(2, 4 + round(3 * severe)), _between(0.1, 0.3, severe))
    inside = radius_mm * _between(1.0, 0.8, severe) * waves - distance
    body = edge(inside, _between(0.5, 1.6, severe)) * (0.78 + 0.22 * np.sqrt(np.clip(inside / radius_mm, 0, 1)))
    body -= (1 - severe) * 0.22 * np.exp(-(((inside + 1.1) / 0.7) ** 2))
    count = round(18 * severe)
    longest = _between(1.2, 2.2, severe)
    return with_spicules(rng, window, body, count, lambda: radius_mm * rng.uniform(0.85, 1.15) * longest)


def calcifications(severe: float, rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """A group of bright bodies: few, large and round, or the more severe, the more, the finer and the more rod-like."""
    shape = np.zeros((window.y.size, window.x.size), dtype=np.float32)
    for number in range(round(_between(3, 20, severe))):
        reach, direction = (0.0 if number == 0 else radius_mm * rng.uniform(0, 1) ** 0.5), rng.uniform(0, 2 * np.pi)
        size = rng.uniform(0.8, 1.25) * float(np.exp(_between(np.log(1.5), np.log(0.34), severe)))
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, _between(1.2, 1.8, severe))
        y, x = window.y - np.float32(reach * np.sin(direction)), window.x - np.float32(reach * np.cos(direction))
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        body = edge(size - np.hypot(along / stretch, across), _between(0.25, 0.12, severe))
        np.maximum(shape, np.float32(rng.uniform(0.75, 1.0)) * body, out=shape)
    return shape


def _between(benign: float, malignant: float, severe: float) -> float:
    """What lies so far on the way from the benign to the malignant value."""
    return benign + (malignant - benign) * severe
