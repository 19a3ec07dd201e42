"""Findings of the phantom: two benign kinds, two malignant ones, others that plain cohorts never show, and bright
specks that mean nothing.

A finding adds brightness in a bounded window; where it adds any is its mask. The same finding is drawn once per view,
of the same kind and about the same size, never twice alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from medproto.datasets.phantom import overlap
from medproto.datasets.phantom.anatomy import COARSE, HEIGHT_MM, SPACING_MM, Anatomy, Field, coarse_grid
from medproto.datasets.phantom.shapes import Window, edge, lobed, polar, with_spicules

Kind = Literal[
    "circumscribed mass",
    "coarse calcifications",
    "spiculated mass",
    "clustered microcalcifications",
    "architectural distortion",
    "focal asymmetry",
    "mass",
    "calcifications",
]
BENIGN: tuple[Kind, ...] = ("circumscribed mass", "coarse calcifications")
MALIGNANT: tuple[Kind, ...] = ("spiculated mass", "clustered microcalcifications")
#: Malignant too, but in a cohort of the variant `unseen` alone.
UNSEEN: tuple[Kind, ...] = ("architectural distortion", "focal asymmetry")
#: Benign or malignant, of any look between the two: in a cohort of the variant `overlap` alone.
OVERLAPPING: tuple[Kind, ...] = ("mass", "calcifications")
_MASSES: tuple[Kind, ...] = ("circumscribed mass", "spiculated mass")


@dataclass(frozen=True)
class Finding:
    """What both views of one finding share.

    Args:
        kind: one of `BENIGN`, `MALIGNANT`, `UNSEEN` or `OVERLAPPING`.
        radius_mm: radius of the mass, or of the group of calcifications.
        contrast: brightness it adds at its centre.
        depth: place between chest wall (0) and nipple (1).
        grown: share of its radius that it has reached; where it lies does not depend on it.
        severity: from 0, as benign ones look, to 1, as malignant ones do; of `OVERLAPPING` alone.
        malignant: of `OVERLAPPING` alone, whose kinds do not tell.
    """

    kind: Kind
    radius_mm: float
    contrast: float
    depth: float
    grown: float = 1.0
    severity: float = 0.0
    malignant: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator, kind: Kind) -> Finding:
        """A finding of that kind, of any size and place."""
        low, high, contrast = {
            "circumscribed mass": (5.5, 12.0, rng.uniform(0.17, 0.25)),
            "spiculated mass": (5.0, 11.0, rng.uniform(0.2, 0.28)),
            "clustered microcalcifications": (5.0, 9.0, rng.uniform(0.42, 0.6)),
            "coarse calcifications": (3.0, 7.0, rng.uniform(0.35, 0.5)),
        }[kind]
        return cls(kind, rng.uniform(low, high), contrast, rng.uniform(0.2, 0.75))

    @property
    def label(self) -> str:
        """Class of an image that shows it."""
        return "benign" if self.kind in BENIGN or (self.kind in OVERLAPPING and not self.malignant) else "malignant"

    def unseen(self, rng: np.random.Generator) -> Finding:
        """At the same depth a finding of a kind that plain cohorts never show."""
        if rng.random() < 0.5:
            return replace(
                self,
                kind="architectural distortion",
                radius_mm=rng.uniform(7.0, 11.0),
                contrast=rng.uniform(0.2, 0.28),
            )
        return replace(self, kind="focal asymmetry", radius_mm=rng.uniform(8.0, 13.0), contrast=rng.uniform(0.14, 0.2))

    def overlapping(self, rng: np.random.Generator, first: bool) -> Finding:
        """At the same depth, and of the same class, a finding whose look leaves that class in doubt.

        Args:
            first: whether it is what the exam is about, else what was found beside it.
        """
        malignant, is_mass = self.label == "malignant", self.kind in _MASSES
        # Of one range for both classes: neither size nor contrast tells.
        radius_mm, contrast = rng.uniform(6.0, 12.0), rng.uniform(0.19, 0.27)
        if not is_mass:
            radius_mm, contrast = rng.uniform(6.5, 10.5), rng.uniform(0.42, 0.56)
        return replace(
            self,
            kind="mass" if is_mass else "calcifications",
            radius_mm=radius_mm,
            contrast=contrast,
            severity=overlap.severity(rng, malignant) if first else overlap.plainly_benign(rng),
            malignant=malignant,
        )


def paint(rng: np.random.Generator, finding: Finding, anatomy: Anatomy, picture: Field) -> NDArray[np.bool_]:
    """Add the finding to the picture, in place, and return its mask; shapes (Y, X)."""
    centre, radius = _place(rng, finding, anatomy)
    radius *= rng.uniform(0.92, 1.08) * finding.grown
    window = Window.around(centre, 3 * radius + 4)
    draw: dict[Kind, Callable[[np.random.Generator, Window, float], Field]] = {
        "circumscribed mass": _circumscribed,
        "spiculated mass": _spiculated,
        "clustered microcalcifications": _cluster,
        "coarse calcifications": _popcorn,
        "architectural distortion": _distorted,
        "focal asymmetry": _asymmetric,
        "mass": partial(overlap.mass, finding.severity),
        "calcifications": partial(overlap.calcifications, finding.severity),
    }
    shape = draw[finding.kind](rng, window, radius)
    inside = picture[window.rows, window.columns] > 0
    picture[window.rows, window.columns] += finding.contrast * shape * inside
    mask = np.zeros(picture.shape, dtype=bool)
    mask[window.rows, window.columns] = _mask(finding.kind, shape) & inside
    return mask


def paint_specks(rng: np.random.Generator, mean: float, anatomy: Anatomy, picture: Field) -> None:
    """Add single scattered calcifications, as most breasts have: no finding, in every class alike.

    Args:
        mean: mean number in a view.
    """
    inside = np.argwhere((anatomy.skin_mm > 6) & (anatomy.pectoral < 0.5))
    for _ in range(int(rng.poisson(mean))):
        v, u = (inside[rng.integers(len(inside))] + 0.5) * SPACING_MM * COARSE
        window = Window.around((float(v), float(u)), 3)
        radius = rng.uniform(0.25, 0.65)
        speck = edge(radius - np.hypot(window.y, window.x), 0.15)
        picture[window.rows, window.columns] += np.float32(rng.uniform(0.3, 0.55)) * speck


def _place(rng: np.random.Generator, finding: Finding, anatomy: Anatomy) -> tuple[tuple[float, float], float]:
    """Centre (v, u) in millimetres with the finding inside the breast, and the radius that fits there."""
    v, u = coarse_grid()
    border = np.minimum(np.minimum(v, HEIGHT_MM - v), u)
    room = np.minimum(anatomy.skin_mm - 4, border) * (anatomy.pectoral < 0.05)
    radius = min(finding.radius_mm, float(room.max()) - 0.5)
    rows, columns = np.nonzero(room >= radius)
    depth_mm = anatomy.nipple_mm[1] * (finding.depth + rng.normal(0, 0.05))
    off_depth = np.abs(u[0, columns] - depth_mm)
    near = np.flatnonzero(
        off_depth <= np.partition(off_depth, min(120, len(off_depth) - 1))[min(120, len(off_depth) - 1)]
    )
    pick = near[rng.integers(len(near))]
    return (float(v[rows[pick], 0]), float(u[0, columns[pick]])), radius


def _mask(kind: Kind, shape: Field) -> NDArray[np.bool_]:
    if kind in (*_MASSES, "focal asymmetry"):
        return np.asarray(shape > 0.2)
    # What is of many parts, or has lines beside it, is annotated as one outlined area, as readers do: its hull with a
    # margin of 4 pixels.
    group = convex_hull_image(shape[::4, ::4] > 0.2)  # type: ignore[no-untyped-call]
    hull = ndimage.binary_dilation(group, iterations=1)
    return np.asarray(np.kron(hull, np.ones((4, 4), bool))[: shape.shape[0], : shape.shape[1]])


def _circumscribed(rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """Round, oval or gently lobulated, sharp margin, even inside, a thin dark halo around."""
    distance, angle = polar(rng, window)
    inside = radius_mm * lobed(rng, angle, range(2, 4), 0.1) - distance
    body = edge(inside, 0.5) * (0.82 + 0.18 * np.sqrt(np.clip(inside / radius_mm, 0, 1)))
    halo = np.exp(-(((inside + 1.1) / 0.7) ** 2))
    return np.asarray(body - 0.22 * halo, dtype=np.float32)


def _spiculated(rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """Irregular dense core with ill-defined margin and tapering lines that radiate from it."""
    distance, angle = polar(rng, window)
    inside = radius_mm * 0.8 * lobed(rng, angle, range(2, 7), 0.3) - distance
    body = edge(inside, 1.6) * (0.75 + 0.25 * np.clip(inside / radius_mm, 0, 1))
    count = int(rng.integers(13, 20))
    return with_spicules(rng, window, body, count, lambda: radius_mm * rng.uniform(1.5, 2.5))


def _cluster(rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """8 to 25 fine pleomorphic specks of 0.4 to 0.9 mm, crowded towards the middle."""
    shape = np.zeros((window.y.size, window.x.size), dtype=np.float32)
    turn, flat = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    for _ in range(int(rng.integers(12, 26))):
        reach, direction = radius_mm * rng.uniform(0, 1) ** 0.7, rng.uniform(0, 2 * np.pi)
        along, across = reach * np.cos(direction), flat * reach * np.sin(direction)
        column = along * np.cos(turn) - across * np.sin(turn)
        row = along * np.sin(turn) + across * np.cos(turn)
        _stamp(rng, shape, (row - float(window.y[0, 0]), column - float(window.x[0, 0])))
    return shape


def _stamp(rng: np.random.Generator, shape: Field, at_mm: tuple[float, float]) -> None:
    """One speck, round, angular or rod-like, into the window's array, in place."""
    row, column = (int(at / SPACING_MM) for at in at_mm)
    size = 6
    if not (size <= row < shape.shape[0] - size and size <= column < shape.shape[1] - size):
        return
    offset = np.arange(-size, size + 1, dtype=np.float32) * SPACING_MM
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.8)
    along = offset[None, :] * np.cos(turn) + offset[:, None] * np.sin(turn)
    across = offset[:, None] * np.cos(turn) - offset[None, :] * np.sin(turn)
    radius = rng.uniform(0.22, 0.45)
    speck = edge((radius - np.hypot(along / stretch, across)).astype(np.float32), 0.12)
    area = shape[row - size : row + size + 1, column - size : column + size + 1]
    np.maximum(area, np.float32(rng.uniform(0.7, 1.0)) * speck, out=area)


def _popcorn(rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """1 to 4 smooth bright bodies of 2 to 4 mm, each of a few merged lobes."""
    shape = np.zeros((window.y.size, window.x.size), dtype=np.float32)
    for number in range(int(rng.integers(1, 5))):
        reach, direction = (0.0 if number == 0 else radius_mm * rng.uniform(0.4, 1)), rng.uniform(0, 2 * np.pi)
        size = rng.uniform(1.3, 2.0)
        for _ in range(int(rng.integers(2, 5))):
            row = reach * np.sin(direction) + rng.normal(0, 0.4 * size)
            column = reach * np.cos(direction) + rng.normal(0, 0.4 * size)
            lobe = edge(size * rng.uniform(0.65, 0.85) - np.hypot(window.y - row, window.x - column), 0.25)
            np.maximum(shape, lobe, out=shape)
    return shape


def _distorted(rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """Thin lines that radiate from a point, and no mass where they meet."""
    shape = np.zeros((window.y.size, window.x.size), dtype=np.float32)
    count = int(rng.integers(11, 17))
    for start in (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * np.pi / count:
        length, width = radius_mm * rng.uniform(1.2, 1.9), rng.uniform(0.45, 0.7)
        along = window.x * np.cos(start) + window.y * np.sin(start)
        across = window.y * np.cos(start) - window.x * np.sin(start) - rng.normal(0, 0.015) * along**2
        line = edge(width - np.abs(across), 0.3) * edge(along - rng.uniform(1.5, 3.0), 0.8)
        faded = np.float32(rng.uniform(0.6, 1.0)) * line * np.sqrt(np.clip(1 - along / length, 0, 1))
        np.maximum(shape, faded, out=shape)
    return shape


def _asymmetric(rng: np.random.Generator, window: Window, radius_mm: float) -> Field:
    """More tissue than elsewhere: broad, without a margin, uneven as tissue is."""
    distance, angle = polar(rng, window)
    inside = radius_mm * lobed(rng, angle, range(2, 6), 0.3) - distance
    uneven = ndimage.gaussian_filter(rng.standard_normal(distance.shape, dtype=np.float32), 1.2 / SPACING_MM)
    return np.asarray(edge(inside, 0.45 * radius_mm) * (0.85 + 0.15 * uneven / uneven.std()), dtype=np.float32)
