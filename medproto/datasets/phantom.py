"""A synthetic screening cohort: exams of four views as DICOM, with findings of known kind, place and class.

Built so that only findings decide: density, size, exposure, noise, vendor style and marker are drawn without regard to
the class, benign findings occur in malignant exams too, and single calcifications occur in all. `shortcut.py` measures
what a classifier gets from whole-image statistics alone.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from medproto.datasets.manifest import ManifestRow, write_manifest
from medproto.datasets.phantom_anatomy import COLUMNS, ROWS, Breast, Density, Field, View, draw_anatomy
from medproto.datasets.phantom_dicom import STYLES, Header, Style, stored_values, write_dicom
from medproto.datasets.phantom_findings import BENIGN, MALIGNANT, Finding, Kind, paint, paint_specks
from medproto.errors import InputError
from medproto.records import Box, Laterality

SOURCE = "medproto phantom"
LICENCE = "Apache-2.0 (synthetic)"
VIEWS: tuple[tuple[Laterality, View], ...] = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
#: What six patients in a row have, in an order drawn by seed: a third each normal, benign and malignant.
_CYCLE: tuple[Kind | None, ...] = (None, None, *BENIGN, *MALIGNANT)
_DENSITIES: tuple[Density, ...] = ("A", "B", "B", "B", "B", "C", "C", "C", "C", "D")
#: Share of exams with a finding that hold a benign one in the other breast too.
_SECOND_BENIGN = 0.35
_MARGIN_PX = 24

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Patient:
    """One synthetic woman and her exam; depends on the seed and her number alone.

    Args:
        seed: seed of the cohort.
        number: from 0.
        breasts: by side.
        findings: by side; a breast without one is absent.
        style: vendor style.
        study_date: day of the exam.
        age_years: age on that day.
    """

    seed: int
    number: int
    breasts: dict[Laterality, Breast]
    findings: dict[Laterality, Finding]
    style: Style
    study_date: date
    age_years: int

    @property
    def name(self) -> str:
        """Patient id."""
        return f"phantom-{self.seed}-{self.number:04d}"

    @classmethod
    def draw(cls, seed: int, number: int) -> Patient:
        """The patient of that number."""
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
        return cls(
            seed=seed,
            number=number,
            breasts={sides[0]: first, sides[1]: second},
            findings=findings,
            style=STYLES[int(rng.integers(len(STYLES)))],
            study_date=date(2019, 1, 7) + timedelta(days=int(rng.integers(0, 1800))),
            age_years=int(rng.integers(45, 75)),
        )


def write_phantom(out: Path, patients: int, seed: int, progress: Progress | None = None, workers: int = 0) -> Path:
    """Write a cohort and return the path of its manifest.

    The same seed gives the same bytes, whatever the number of workers; patient i is the same in a cohort of any size.

    Args:
        out: folder, made where it does not exist.
        patients: exams of four views.
        seed: seed, not negative.
        progress: called with patients done and all patients.
        workers: processes; 0 or 1 stays in this one.

    Raises:
        InputError: there is no patient to write, or the seed is negative.
    """
    if patients < 1:
        raise InputError(f"patients: got {patients}, expected at least 1")
    if seed < 0:
        raise InputError(f"seed: got {seed}, expected 0 or more")
    (out / "masks").mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    rows: list[ManifestRow] = []
    for done, written in enumerate(_write_all(partial(_write_patient, out, seed), patients, workers), start=1):
        rows.extend(written)
        if progress is not None:
            progress(done, patients)
    return write_manifest(out / "manifest.csv", rows)


def draw_view(patient: Patient, side: Laterality, view: View) -> tuple[Field, NDArray[np.bool_] | None]:
    """Picture in [0, 1] as displayed (chest wall on the right for R), and its finding's mask; shapes (Y, X)."""
    rng = np.random.default_rng([patient.seed, patient.number, 1 + VIEWS.index((side, view))])
    breast = patient.breasts[side]
    anatomy = draw_anatomy(rng, breast, view)
    picture = anatomy.picture
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    paint_specks(rng, breast.specks, anatomy, picture)
    finding = patient.findings.get(side)
    mask = None if finding is None else paint(rng, finding, anatomy, picture)
    # Noise grows with brightness (quantum noise, square root), and is not quite absent in air.
    picture += breast.noise * noise * np.sqrt(np.clip(2 * picture, 0.01, 1.5))
    picture = np.clip(np.maximum(picture, breast.air + 0.003 * noise), 0, 1).astype(np.float32)
    if side == "R":
        picture, mask = picture[:, ::-1].copy(), None if mask is None else mask[:, ::-1]
    for row, column, text in _annotations(side, view):
        area = picture[row : row + text.shape[0], column : column + text.shape[1]]
        np.maximum(area, text, out=area)
    return picture, mask


def _plan(seed: int, number: int) -> tuple[Kind | None, Density]:
    """Finding and density of a patient, balanced: every ten patients with one kind of finding have all densities."""
    cycle, place = divmod(number, len(_CYCLE))
    slot = int(np.random.default_rng([seed, cycle, 101]).permutation(len(_CYCLE))[place])
    ten, turn = divmod(cycle, len(_DENSITIES))
    density = _DENSITIES[int(np.random.default_rng([seed, ten, 102, slot]).permutation(len(_DENSITIES))[turn])]
    return _CYCLE[slot], density


def _write_all(write: Callable[[int], list[ManifestRow]], patients: int, workers: int) -> Iterator[list[ManifestRow]]:
    if workers <= 1:
        yield from map(write, range(patients))
        return
    # Spawned, not forked: the caller may have threads (torch) that a fork would leave locked.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(write, range(patients))


def _write_patient(out: Path, seed: int, number: int) -> list[ManifestRow]:
    patient = Patient.draw(seed, number)
    rows = []
    for index, (side, view) in enumerate(VIEWS, start=1):
        picture, mask = draw_view(patient, side, view)
        stem = f"{patient.name}-{side}-{view}"
        header = Header(
            key=f"medproto-phantom/{seed}/{number}",
            patient=patient.name,
            study_date=patient.study_date,
            age_years=patient.age_years,
            style=patient.style,
            side=side,
            view=view,
            number=index,
        )
        write_dicom(out / "images" / f"{stem}.dcm", header, stored_values(picture, patient.style))
        if mask is not None:
            Image.fromarray(mask).save(out / "masks" / f"{stem}.png")
        rows.append(_row(patient, header, stem, mask))
    return rows


def _row(patient: Patient, header: Header, stem: str, mask: NDArray[np.bool_] | None) -> ManifestRow:
    finding = patient.findings.get(header.side)
    return ManifestRow(
        path=f"images/{stem}.dcm",
        patient=patient.name,
        exam=f"{patient.name}-exam",
        image=stem,
        side=header.side,
        view=header.view,
        label="normal" if finding is None else finding.label,
        boxes=() if mask is None else (_box(mask),),
        mask=None if mask is None else f"masks/{stem}.png",
        finding=None if finding is None else finding.kind,
        density=patient.breasts[header.side].density,
        source=SOURCE,
        licence=LICENCE,
    )


def _box(mask: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(top=int(rows[0]), left=int(columns[0]), bottom=int(rows[-1]) + 1, right=int(columns[-1]) + 1)


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
