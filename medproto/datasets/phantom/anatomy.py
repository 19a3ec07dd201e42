"""Anatomy of the phantom: outline, pectoral muscle, parenchyma, vessels; never a finding.

Everything is drawn with the chest wall on the left edge; the writer mirrors right breasts. Lengths are millimetres, u
counted from the chest wall, v from the top. Shapes: Y X the pixels of the picture, y x a grid four times coarser on
which smooth fields are made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy import fft

Field = NDArray[np.float32]
View = Literal["CC", "MLO"]
Density = Literal["A", "B", "C", "D"]

ROWS, COLUMNS = 1024, 800
SPACING_MM = 0.2
COARSE = 4
HEIGHT_MM, WIDTH_MM = ROWS * SPACING_MM, COLUMNS * SPACING_MM

#: How far the parenchyma is shifted towards fat, by density: on average 8, 19, 36 and 58 % of a breast's area is dense
#: in CC views, with standard deviations of 6, 9, 10 and 7. Measured by thresholding in 403 women: 4.3, 19.3, 40.4 and
#: 62.3 % with 4.3, 11.3, 14.8 and 11.7 (Gierach et al., Cancer Epidemiol Biomarkers Prev 2014; 23:2338).
_GLAND_OFFSET: dict[Density, float] = {"A": 2.1, "B": 1.35, "C": 0.55, "D": -0.35}


@dataclass(frozen=True)
class Breast:
    """What both views of one breast share.

    Args:
        density: BI-RADS density.
        half_height_mm: half the extent along the chest wall.
        depth_mm: chest wall to nipple.
        fat: brightness of fat, in [0, 1].
        gland: brightness of fibroglandular tissue.
        air: brightness beside the breast: scatter keeps a detector from reading nothing.
        noise: standard deviation of quantum noise in tissue.
        detail: strength of fine structure, about 1.
        skin_line: brightness of the skin seen edge on.
        specks: mean number of single calcifications in a view.
    """

    density: Density
    half_height_mm: float
    depth_mm: float
    fat: float
    gland: float
    air: float
    noise: float
    detail: float
    skin_line: float
    specks: float

    @classmethod
    def draw(cls, rng: np.random.Generator, density: Density) -> Breast:
        """A breast of that density, of any size and exposure."""
        half_height = rng.uniform(60, 94)
        depth = float(np.clip(half_height * rng.uniform(0.9, 1.3), 58, 122))
        fat = rng.uniform(0.2, 0.32)
        return cls(
            density=density,
            half_height_mm=half_height,
            depth_mm=depth,
            fat=fat,
            gland=fat + rng.uniform(0.25, 0.37),
            air=rng.uniform(0.012, 0.03),
            noise=rng.uniform(0.008, 0.02),
            detail=float(np.exp(rng.uniform(-0.45, 0.45))),
            skin_line=rng.uniform(0.03, 0.17),
            specks=min(rng.exponential(2.2), 8.0),
        )

    def sibling(self, rng: np.random.Generator) -> Breast:
        """The other breast of the same woman: alike, not the same."""
        size = rng.normal(1, 0.03)
        return replace(
            self,
            half_height_mm=float(np.clip(self.half_height_mm * size, 58, 96)),
            depth_mm=float(np.clip(self.depth_mm * size * rng.normal(1, 0.03), 55, 125)),
        )


@dataclass(frozen=True)
class Anatomy:
    """A view without findings.

    Args:
        picture: brightness in about [0, 1], 0 in air, without noise; shape (Y, X).
        skin_mm: distance from the skin, negative in air; shape (y, x).
        pectoral: share of pectoral muscle, in [0, 1]; shape (y, x).
        nipple_mm: (v, u) of the nipple.
    """

    picture: Field
    skin_mm: Field
    pectoral: Field
    nipple_mm: tuple[float, float]


def power_law(rng: np.random.Generator, shape: tuple[int, int], exponent: float = 3.0) -> Field:
    """Texture whose power falls as 1 / f^exponent, of mean 0 and standard deviation 1.

    Mammograms lie near exponent 3 (Burgess, Med Phys 2001; 28:419).
    """
    spectrum = fft.rfft2(rng.standard_normal(shape, dtype=np.float32)) * _amplitude(shape, exponent)
    field = fft.irfft2(spectrum, s=shape)
    return np.asarray(field / field.std(), dtype=np.float32)


def enlarge(field: Field, shape: tuple[int, int] = (ROWS, COLUMNS)) -> Field:
    """A smooth field on a finer grid, bicubic."""
    finer = Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(finer, dtype=np.float32)


def sigmoid(field: NDArray[np.floating]) -> Field:
    """Logistic function, safe for large arguments."""
    return np.asarray(1 / (1 + np.exp(-np.clip(field, -30, 30))), dtype=np.float32)


def draw_anatomy(rng: np.random.Generator, breast: Breast, view: View) -> Anatomy:
    """One view of the breast, without findings."""
    v, u = coarse_grid()
    if view == "CC":
        skin, nipple = _outline_cc(rng, breast, v, u)
        pectoral = np.zeros_like(skin)
    else:
        skin, nipple = _outline_mlo(rng, breast, v, u)
        pectoral = _pectoral(rng, breast, v, u)
    tissue = _parenchyma(rng, breast, _gland_share(rng, breast, skin, nipple), nipple)
    distance = enlarge(skin)
    # The compressed breast thins towards the skin; processing for presentation leaves part of that.
    tissue *= np.float32(0.25) + np.float32(0.75) * (1 - np.exp(-np.maximum(distance, 0) / rng.uniform(5, 9)))
    tissue += np.float32(breast.skin_line * rng.uniform(0.85, 1.15)) * np.exp(-(((distance - 0.9) / 0.6) ** 2))
    if view == "MLO":
        tissue = _with_muscle(rng, breast, tissue, pectoral)
    tissue *= np.clip(distance / 0.5 + 0.5, 0, 1)
    return Anatomy(tissue.astype(np.float32), skin, pectoral, nipple)


@lru_cache(maxsize=1)
def coarse_grid() -> tuple[Field, Field]:
    """(v, u) in millimetres of the centres of the coarse grid; shapes (y, 1) and (1, x)."""
    step = SPACING_MM * COARSE
    v = ((np.arange(ROWS // COARSE, dtype=np.float32) + 0.5) * step)[:, None]
    u = ((np.arange(COLUMNS // COARSE, dtype=np.float32) + 0.5) * step)[None, :]
    return v, u


@lru_cache(maxsize=8)
def _amplitude(shape: tuple[int, int], exponent: float) -> Field:
    rows, columns = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]
    # Frequencies are scaled by the longer side's, so that the spectrum is isotropic on the pixel grid.
    frequency = np.hypot(rows, columns)
    lowest = 1.5 / max(shape)
    amplitude = np.maximum(frequency, lowest) ** (-exponent / 2)
    amplitude[0, 0] = 0
    return amplitude.astype(np.float32)


def _distance(level: Field) -> Field:
    """Distance in millimetres from the zero line of a level function, to first order; clipped where it means little."""
    rows, columns = np.gradient(level, SPACING_MM * COARSE)
    return np.asarray(np.clip(level / np.maximum(np.hypot(rows, columns), 1e-3), -30, 60), dtype=np.float32)


def _outline_cc(rng: np.random.Generator, breast: Breast, v: Field, u: Field) -> tuple[Field, tuple[float, float]]:
    middle = HEIGHT_MM / 2 + rng.normal(0, 2)
    nipple_v = middle + rng.normal(0, 6)
    depth = _with_nipple(rng, breast.depth_mm * rng.normal(1, 0.03), v - nipple_v)
    half = breast.half_height_mm * _wobble(rng, v)
    level = 1 - (u / depth) ** rng.uniform(1.9, 2.4) - (np.abs(v - middle) / half) ** rng.uniform(2.0, 2.6)
    return _distance(level), (float(nipple_v), float(depth.max()))


def _outline_mlo(rng: np.random.Generator, breast: Breast, v: Field, u: Field) -> tuple[Field, tuple[float, float]]:
    half = min(breast.half_height_mm * 0.85, 78.0) * rng.normal(1, 0.02)
    middle = min(HEIGHT_MM - half - rng.uniform(8, 16), rng.uniform(112, 126))
    nipple_v = middle + rng.normal(6, 5)
    depth = _with_nipple(rng, breast.depth_mm * rng.normal(1, 0.03), v - nipple_v)
    lower = 1 - (u / depth) ** rng.uniform(1.9, 2.4) - (np.abs(v - middle) / (half * _wobble(rng, v))) ** 2.2
    # Above the breast the axilla runs up and out of the picture.
    at_top = breast.depth_mm * rng.uniform(0.5, 0.68)
    line = at_top + (breast.depth_mm * rng.uniform(0.86, 0.93) - at_top) * (v / middle)
    upper = 2 / breast.depth_mm * np.minimum(line - u, 0.6 * (middle + 10 - v))
    level = np.logaddexp(9 * lower, 9 * upper) / 9
    return _distance(level), (float(nipple_v), float(depth.max()))


def _with_nipple(rng: np.random.Generator, depth_mm: float, offset: Field) -> Field:
    bump = rng.uniform(1.5, 4.5) * np.exp(-((offset / rng.uniform(3.5, 5.5)) ** 2))
    return np.asarray(depth_mm + bump, dtype=np.float32)


def _wobble(rng: np.random.Generator, v: Field) -> Field:
    """Outlines are no ellipses: a slow relative change of a few percent along v."""
    turns, phase = rng.uniform(0.6, 2.2, 2), rng.uniform(0, 2 * np.pi, 2)
    waves = sum(np.sin(2 * np.pi * t * v / HEIGHT_MM + p) for t, p in zip(turns, phase, strict=True))
    return np.asarray(1 + 0.02 * waves, dtype=np.float32)


def _pectoral(rng: np.random.Generator, breast: Breast, v: Field, u: Field) -> Field:
    width = breast.depth_mm * rng.uniform(0.36, 0.5)
    length = rng.uniform(85, 135)
    belly = rng.uniform(0, 0.12) * np.sin(np.pi * np.clip(v / length, 0, 1))
    edge = (1 + belly - u / width - v / length) / np.hypot(1 / width, 1 / length)
    return sigmoid((edge / rng.uniform(0.8, 1.6)).astype(np.float32))


def _gland_share(rng: np.random.Generator, breast: Breast, skin: Field, nipple: tuple[float, float]) -> Field:
    """Bias towards fibroglandular tissue: a cone behind the nipple, none in the fat under the skin; shape (y, x)."""
    v, u = coarse_grid()
    tilt = rng.normal(0, 0.15)
    along = (u - nipple[1] * rng.uniform(0.42, 0.58)) / (0.42 * nipple[1])
    across = (v - nipple[0] - tilt * (u - nipple[1]) + rng.normal(0, 6)) / (0.62 * breast.half_height_mm)
    cone = 2.4 * np.exp(-(along**2) - across**2) - 0.6
    under_skin = 3.5 * np.exp(-np.maximum(skin, 0) / rng.uniform(4, 7))
    return (cone - under_skin - _GLAND_OFFSET[breast.density]).astype(np.float32)


def _parenchyma(rng: np.random.Generator, breast: Breast, share: Field, nipple: tuple[float, float]) -> Field:
    """Fat, fibroglandular islands, ligaments and vessels; shape (Y, X)."""
    half = (ROWS // 2, COLUMNS // 2)
    islands = sigmoid((enlarge(share, half) + 0.95 * power_law(rng, half)) / np.float32(0.6))
    filaments = np.exp(-((power_law(rng, half, 2.6) / 0.14) ** 2)) * (0.4 + 0.6 * islands)
    smooth = breast.fat + (breast.gland - breast.fat) * islands + np.float32(0.045 * breast.detail) * filaments
    smooth += np.float32(0.06) * _vessels(rng, half, nipple)
    fine = power_law(rng, (ROWS, COLUMNS))
    return enlarge(smooth.astype(np.float32)) + np.float32(0.031 * breast.detail) * fine * (
        0.6 + 0.8 * enlarge(islands)
    )


def _vessels(rng: np.random.Generator, shape: tuple[int, int], nipple: tuple[float, float]) -> Field:
    """A few winding lines 1 to 2 mm wide from the chest wall towards the nipple, in [0, 1]."""
    picture = Image.new("L", (shape[1], shape[0]))
    pen = ImageDraw.Draw(picture)
    per_mm = shape[0] / HEIGHT_MM
    for _ in range(rng.integers(1, 5)):
        start, end = rng.uniform(-60, 60) + nipple[0], rng.uniform(-25, 25) + nipple[0]
        t = np.linspace(0, rng.uniform(0.5, 0.95), 24)
        bend = rng.normal(0, 9) * np.sin(np.pi * t) + rng.normal(0, 3) * np.sin(rng.uniform(2, 5) * np.pi * t)
        points = np.stack([t * nipple[1], start + (end - start) * t + bend], axis=1) * per_mm
        pen.line([(float(x), float(y)) for x, y in points], fill=255, width=int(rng.integers(2, 5)), joint="curve")
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), dtype=np.float32) / np.float32(255)


def _with_muscle(rng: np.random.Generator, breast: Breast, tissue: Field, pectoral: Field) -> Field:
    """Pectoral muscle over the tissue: bright, with fibres that run along its edge; shape (Y, X)."""
    coarse = (ROWS // COARSE, COLUMNS // COARSE)
    v, u = coarse_grid()
    fibres = np.sin((u + 0.55 * v) * np.float32(rng.uniform(0.5, 0.9)) + 1.6 * power_law(rng, coarse))
    brightness = breast.gland * rng.uniform(0.95, 1.15) + 0.015 * fibres + 0.03 * power_law(rng, coarse)
    weight = enlarge(pectoral)
    # Muscle adds to what lies before it: half of the tissue's own structure stays visible.
    muscle = enlarge(brightness.astype(np.float32)) + np.float32(0.35) * (tissue - tissue.mean())
    return np.asarray(tissue + weight * (np.maximum(muscle, tissue * np.float32(0.9)) - tissue), dtype=np.float32)
