"""The women of the synthetic cohort: who they are, what is to be found, and the pictures of their exams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.uid import UID
from scipy import ndimage

from medproto.datasets.dicom_encoding import LOSSLESS
from medproto.datasets.phantom.anatomy import COLUMNS, ROWS, Breast, Density, Field, View, draw_anatomy
from medproto.datasets.phantom.findings import BENIGN, MALIGNANT, Finding, Kind, paint, paint_specks
from medproto.datasets.phantom.skin_marker import tape_on
from medproto.datasets.phantom.styles import STYLES, VENDORS, Style
from medproto.datasets.phantom.variants import PLAIN, Look, Variant
from medproto.records import Laterality

VIEWS: tuple[tuple[Laterality, View], ...] = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
#: What six patients in a row have, in an order drawn by seed: a third each normal, benign and malignant.
_CYCLE: tuple[Kind | None, ...] = (None, None, *BENIGN, *MALIGNANT)
#: About 10, 40, 40 and 10 % of women have densities A to D (ACR BI-RADS Atlas, 5th edition, 2013); 43 % of 40 to 74
#: years have C or D (Sprague et al., J Natl Cancer Inst 2014; 106: dju255).
_DENSITIES: tuple[Density, ...] = ("A", "B", "B", "B", "B", "C", "C", "C", "C", "D")
#: Share of exams with a finding that hold a benign one in the other breast too.
_SECOND_BENIGN = 0.35
#: Share of plain patients whose machine stores MONOCHROME1.
_MONOCHROME1 = 0.25
#: Share of findings that the earlier exam does not show yet.
_ABSENT_BEFORE = 0.5
_MARGIN_PX = 24

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Patient:
    """One synthetic woman at one exam; depends on the seed, her number and the kind of cohort alone.

    Args:
        seed: seed of the cohort.
        number: from 0.
        breasts: by side.
        findings: by side; a breast without one is absent.
        style: vendor style.
        syntax: transfer syntax of her images.
        study_date: day of the exam.
        age_years: age on that day.
        earlier: whether this is the exam before the cohort's.
        variant: how her cohort differs from the plain one.
    """

    seed: int
    number: int
    breasts: dict[Laterality, Breast]
    findings: dict[Laterality, Finding]
    style: Style
    syntax: UID
    study_date: date
    age_years: int
    earlier: bool = False
    variant: Variant = PLAIN

    @property
    def name(self) -> str:
        """Patient id."""
        return f"phantom-{self.seed}-{self.number:04d}"

    @property
    def exam(self) -> str:
        """Exam id."""
        return f"{self.name}-prior" if self.earlier else f"{self.name}-exam"

    @property
    def stem(self) -> str:
        """Start of the exam's file names; the current exam's are the same with and without an earlier one."""
        return self.exam if self.earlier else self.name

    @property
    def key(self) -> str:
        """Text from which the exam's UIDs are derived."""
        return f"medproto-phantom/{self.seed}/{self.number}{'/prior' if self.earlier else ''}"

    @classmethod
    def draw(cls, seed: int, number: int, varied: bool = False, variant: Variant = PLAIN) -> Patient:
        """The patient of that number; `varied` has her machine be any of `VENDORS`, and changes no other draw. A
        variant changes what it is about alone."""
        kind, density = _plan(seed, number)
        rng = np.random.default_rng([seed, number, 0])
        first = Breast.draw(rng, density)
        second = first.sibling(rng)
        sides: tuple[Laterality, Laterality] = ("R", "L") if rng.random() < 0.5 else ("L", "R")
        # Drawn for everyone, so that what follows is the same whether or not there is a finding.
        finding = Finding.draw(rng, kind or "circumscribed mass")
        other = Finding.draw(rng, BENIGN[int(rng.integers(len(BENIGN)))])
        findings = {} if kind is None else {sides[0]: finding}
        if rng.random() < _SECOND_BENIGN and kind is not None:
            findings[sides[1]] = other
        style = STYLES[int(rng.integers(len(STYLES)))]
        if varied:
            style = VENDORS[_turn(seed, number, 104, len(VENDORS))]
        elif np.random.default_rng([seed, number, 105]).random() < _MONOCHROME1:
            style = replace(style, monochrome1=True)
        return cls(
            seed=seed,
            number=number,
            breasts={sides[0]: first, sides[1]: second},
            findings=_with_kinds_of(variant, (seed, number), findings),
            style=style if not variant.looks else replace(style, model=_look(variant, seed, number).model),
            syntax=LOSSLESS[_turn(seed, number, 106, len(LOSSLESS))],
            study_date=date(2019, 1, 7) + timedelta(days=int(rng.integers(0, 1800))),
            age_years=int(rng.integers(45, 75)),
            variant=variant,
        )

    def before(self) -> Patient:
        """The same woman one to three years earlier: the same breasts, each finding smaller or not there yet."""
        rng = np.random.default_rng([self.seed, self.number, 107])
        days = int(rng.integers(330, 1130))
        findings = {}
        for side in ("R", "L"):
            absent, size = rng.random() < _ABSENT_BEFORE, rng.uniform(0.5, 0.75)
            if side in self.findings and not absent:
                findings[side] = replace(self.findings[side], grown=size)
        return replace(
            self,
            findings=findings,
            study_date=self.study_date - timedelta(days=days),
            age_years=self.age_years - round(days / 365.25),
            earlier=True,
        )


@dataclass(frozen=True)
class Drawing:
    """A view as displayed (chest wall on the right for R); shapes (Y, X).

    Args:
        picture: in [0, 1].
        mask: where its finding lies; None without one.
        marker: where a skin marker lies; None without one.
    """

    picture: Field
    mask: Mask | None
    marker: Mask | None


def draw_view(patient: Patient, side: Laterality, view: View) -> Drawing:
    """The view with what is burnt in: side, view and the word SYNTHETIC."""
    drawn = draw_tissue(patient, side, view)
    return replace(drawn, picture=annotate(drawn.picture, side, view))


def draw_tissue(patient: Patient, side: Laterality, view: View) -> Drawing:
    """The view without what is burnt in."""
    key = [patient.seed, patient.number, 1 + VIEWS.index((side, view))]
    rng = np.random.default_rng(key)
    breast = patient.breasts[side]
    anatomy = draw_anatomy(rng, breast, view)
    picture = anatomy.picture
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    paint_specks(rng, breast.specks, anatomy, picture)
    finding = patient.findings.get(side)
    mask = None if finding is None else paint(rng, finding, anatomy, picture)
    if patient.earlier:
        again = np.random.default_rng([*key, 1])
        picture, mask = _compressed_otherwise(again, picture, mask)
        noise = again.standard_normal(picture.shape, dtype=np.float32)
    # What a variant draws comes from a generator of its own: all else stays that of the plain exam.
    own = np.random.default_rng([*key, 2])
    marker = None
    if patient.variant.marks_malignant and finding is not None and mask is not None and finding.label == "malignant":
        marker = tape_on(own, anatomy, mask, picture)
    picture = patient.variant.expose(own, picture)
    # Noise grows with brightness (quantum noise, square root), and is not quite absent in air.
    picture += breast.noise * noise * np.sqrt(np.clip(2 * picture, 0.01, 1.5))
    picture = np.clip(np.maximum(picture, breast.air + 0.003 * noise), 0, 1).astype(np.float32)
    if patient.variant.looks:
        picture = _look(patient.variant, patient.seed, patient.number).process(own, picture)
    if side == "R":
        picture, mask, marker = picture[:, ::-1].copy(), _mirrored(mask), _mirrored(marker)
    return Drawing(picture, mask, marker)


def _mirrored(mask: Mask | None) -> Mask | None:
    return None if mask is None else mask[:, ::-1]


def annotate(picture: Field, side: Laterality, view: View) -> Field:
    """The picture with marker and SYNTHETIC burnt in; shape (Y, X)."""
    annotated = picture.copy()
    for row, column, text in _annotations(side, view):
        area = annotated[row : row + text.shape[0], column : column + text.shape[1]]
        np.maximum(area, text, out=area)
    return annotated


def _compressed_otherwise(rng: np.random.Generator, picture: Field, mask: Mask | None) -> tuple[Field, Mask | None]:
    """The same breast in another compression: a little stretched, sheared and moved along the chest wall, and dimmed.

    The chest wall stays at the left edge.
    """
    stretch = rng.uniform(0.97, 1.03, 2)
    matrix = np.array([[stretch[0], rng.uniform(-0.03, 0.03)], [0.0, stretch[1]]])
    middle = ROWS / 2
    offset = (middle * (1 - stretch[0]) + rng.uniform(-20, 20), 0.0)
    picture = ndimage.affine_transform(picture, matrix, offset, order=1, mode="nearest")
    picture *= np.float32(rng.uniform(0.94, 1.06))
    if mask is not None:
        mask = ndimage.affine_transform(mask.astype(np.uint8), matrix, offset, order=0, mode="nearest") > 0
    return np.asarray(picture, dtype=np.float32), mask


def _plan(seed: int, number: int) -> tuple[Kind | None, Density]:
    """Finding and density of a patient, balanced: every ten patients with one kind of finding have all densities."""
    cycle, place = divmod(number, len(_CYCLE))
    slot = int(np.random.default_rng([seed, cycle, 101]).permutation(len(_CYCLE))[place])
    ten, turn = divmod(cycle, len(_DENSITIES))
    density = _DENSITIES[int(np.random.default_rng([seed, ten, 102, slot]).permutation(len(_DENSITIES))[turn])]
    return _CYCLE[slot], density


def _with_kinds_of(
    variant: Variant, key: tuple[int, int], findings: dict[Laterality, Finding]
) -> dict[Laterality, Finding]:
    """The findings, malignant ones of kinds never seen, or all of looks that overlap, where the variant has that.

    Args:
        findings: by side, what the exam is about first.
    """
    rng = np.random.default_rng([*key, 110])
    if variant.overlapping:
        return {side: finding.overlapping(rng, not place) for place, (side, finding) in enumerate(findings.items())}
    if not variant.unseen_kinds:
        return findings
    return {
        side: finding.unseen(rng) if finding.label == "malignant" else finding for side, finding in findings.items()
    }


def _look(variant: Variant, seed: int, number: int) -> Look:
    """The processing of the patient's machine, of a variant that has some."""
    return variant.looks[_turn(seed, number, 111, len(variant.looks))]


def _turn(seed: int, number: int, stream: int, count: int) -> int:
    """One of `count`, so that so many patients in a row have each once, in an order drawn by seed."""
    cycle, place = divmod(number, count)
    return int(np.random.default_rng([seed, cycle, stream]).permutation(count)[place])


@lru_cache(maxsize=4)
def _annotations(side: Laterality, view: View) -> tuple[tuple[int, int, Field], ...]:
    """Burnt-in texts with their top left pixel: the marker beside the axilla, `SYNTHETIC` in the lower corner."""
    placed = []
    for text, size, at_top in ((f"{side} {view}", 34, True), ("SYNTHETIC", 20, False)):
        drawn = _text(text, size)
        row = _MARGIN_PX if at_top else ROWS - _MARGIN_PX - drawn.shape[0]
        column = _MARGIN_PX if side == "R" else COLUMNS - _MARGIN_PX - drawn.shape[1]
        placed.append((row, column, drawn))
    return tuple(placed)


def _text(text: str, size: int) -> Field:
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, fill=235, font=font)
    return np.asarray(picture, dtype=np.float32) / np.float32(255)
