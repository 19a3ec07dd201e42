"""How a cohort can differ from the plain one, each in one way that is known: pictures from elsewhere, blurred ones,
findings never seen, findings whose look leaves their class in doubt, and a shortcut that a network must not take.

A variant's exams are the plain cohort's, patient by patient and breast by breast, but for what the variant is about. No
look is a real maker's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import ndimage, signal

from medproto.datasets.phantom.anatomy import SPACING_MM, Field

#: From a picture in about [0, 1] to one of the same shape (Y, X), chest wall on the left.
Change = Callable[[np.random.Generator, Field], Field]


@dataclass(frozen=True)
class Look:
    """How one kind of foreign machine processes what its detector saw, and its model name."""

    model: str
    process: Change


def unchanged(rng: np.random.Generator, picture: Field) -> Field:
    """The picture itself."""
    return picture


@dataclass(frozen=True)
class Variant:
    """One way to differ.

    Args:
        name: as the command line has it.
        expose: what becomes of the picture before the detector's noise.
        looks: processing after the noise, of which each patient's machine has one; none for the plain one.
        unseen_kinds: whether malignant findings are of kinds that plain cohorts never show.
        overlapping: whether findings look anything between benign and malignant, as `overlap.py` has it.
        marks_malignant: whether every view with a malignant finding, and no other, shows a ring taped on the skin.
    """

    name: str
    expose: Change = unchanged
    looks: tuple[Look, ...] = ()
    unseen_kinds: bool = False
    overlapping: bool = False
    marks_malignant: bool = False


def moved(rng: np.random.Generator, picture: Field) -> Field:
    """The picture of a breast that moved by 3 to 5 mm while it was exposed, a little out of focus too."""
    length_px, angle = rng.uniform(3, 5) / SPACING_MM, rng.uniform(0, np.pi)
    reach = int(np.ceil(length_px / 2))
    along = np.linspace(-length_px / 2, length_px / 2, 4 * reach)
    way, _, _ = np.histogram2d(
        along * np.sin(angle), along * np.cos(angle), bins=2 * reach + 1, range=[[-reach - 0.5, reach + 0.5]] * 2
    )
    way = ndimage.gaussian_filter(np.pad(way / way.sum(), 8), rng.uniform(0.4, 0.6) / SPACING_MM)
    border = way.shape[0] // 2
    smeared = signal.oaconvolve(np.pad(picture, border, mode="edge"), way.astype(np.float32), mode="valid")
    return np.asarray(smeared, dtype=np.float32)


def hard_and_sharp(rng: np.random.Generator, picture: Field) -> Field:
    """Steep in the middle greys, edges enhanced until they overshoot."""
    smooth = ndimage.gaussian_filter(picture, 1.0 / SPACING_MM)
    sharp = picture + rng.uniform(0.7, 1.1) * (picture - smooth)
    steep = 0.46 + 0.5 * np.tanh(rng.uniform(2.2, 2.8) * (sharp - 0.42))
    # Air stays dark: the curve starts at the origin, and takes over where there is tissue.
    tissue = np.clip((smooth - 0.04) / 0.12, 0, 1)
    return np.asarray(np.clip(picture + tissue * (steep - picture), 0, 1), dtype=np.float32)


def soft_and_grainy(rng: np.random.Generator, picture: Field) -> Field:
    """Lifted shadows and little contrast, as of film that was digitised, with grain in clumps."""
    curve = rng.uniform(0.45, 0.55)
    lifted = 0.1 + 0.8 * np.clip(picture, 0, 1) ** curve
    grain = ndimage.gaussian_filter(rng.standard_normal(picture.shape, dtype=np.float32), 0.4 / SPACING_MM)
    tissue = np.clip((ndimage.gaussian_filter(picture, 0.6 / SPACING_MM) - 0.04) / 0.12, 0, 1)
    grainy = lifted + rng.uniform(0.014, 0.02) / grain.std() * grain
    return np.asarray(np.clip(picture + tissue * (grainy - picture), 0, 1), dtype=np.float32)


def equalised(rng: np.random.Generator, picture: Field) -> Field:
    """Local contrast alone: what is large is flattened, what is small is raised, to the skin."""
    tissue = np.clip((ndimage.gaussian_filter(picture, 0.6 / SPACING_MM) - 0.04) / 0.12, 0, 1)
    weight = ndimage.gaussian_filter(tissue, 6.0 / SPACING_MM)
    large = ndimage.gaussian_filter(picture * tissue, 6.0 / SPACING_MM) / np.maximum(weight, 1e-3)
    flat = 0.45 + 0.25 * (large - 0.35) + rng.uniform(1.5, 1.9) * (picture - large)
    return np.asarray(np.clip(picture + tissue * (flat - picture), 0, 1), dtype=np.float32)


PLAIN = Variant("plain")
VARIANTS = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            PLAIN,
            Variant(
                "vendor",
                looks=(
                    Look("Foreign phantom style 1", hard_and_sharp),
                    Look("Foreign phantom style 2", soft_and_grainy),
                    Look("Foreign phantom style 3", equalised),
                ),
            ),
            Variant("blur", expose=moved),
            Variant("unseen", unseen_kinds=True),
            Variant("overlap", overlapping=True),
            Variant("marker", marks_malignant=True),
        )
    }
)
