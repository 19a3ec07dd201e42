"""A synthetic screening cohort: exams of four views as DICOM, with findings of known kind, place and class.

Built so that only findings decide: density, size, exposure, noise, vendor style, transfer syntax and marker are drawn
without regard to the class, benign findings occur in malignant exams too, and single calcifications occur in all.
`shortcut.py` measures what a classifier gets from whole-image statistics alone. A variant departs from that in one way
that is known, to see what a trained network makes of it.
"""

from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from medproto.datasets.manifest import ManifestRow, write_manifest
from medproto.datasets.phantom.dicom import Header, write_dicom
from medproto.datasets.phantom.patient import VIEWS, Mask, Patient, draw_view
from medproto.datasets.phantom.variants import PLAIN, VARIANTS
from medproto.errors import InputError
from medproto.records import Box

SOURCE = "medproto phantom"
LICENCE = "Apache-2.0 (synthetic)"

#: Beside the manifest of a cohort with skin markers: the box of each, by the path of its image.
MARKERS = "markers.csv"
MARKER_COLUMNS = ("path", "top", "left", "bottom", "right")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Written:
    """One image of the cohort: its row, and the box of the skin marker where it shows one."""

    row: ManifestRow
    marker: Box | None


@dataclass(frozen=True)
class Cohort:
    """What a cohort consists of.

    Args:
        patients: women with an exam of four views each.
        seed: seed, not negative.
        varied: whether machines of all vendor styles take part, else three that render alike to the last bit.
        priors: share of patients with an earlier exam too, in [0, 1].
        variant: one of `VARIANTS`: how the cohort differs from a plain one.
    """

    patients: int
    seed: int
    varied: bool = False
    priors: float = 0.0
    variant: str = PLAIN.name

    def __post_init__(self) -> None:
        if self.patients < 1:
            raise InputError(f"patients: got {self.patients}, expected at least 1")
        if self.seed < 0:
            raise InputError(f"seed: got {self.seed}, expected 0 or more")
        if not 0 <= self.priors <= 1:
            raise InputError(f"priors: got {self.priors}, expected a share from 0 to 1")
        if self.variant not in VARIANTS:
            raise InputError(f"variant: got {self.variant!r}, expected one of {', '.join(VARIANTS)}")

    def exams(self, number: int) -> tuple[Patient, ...]:
        """The exams of a patient, the earlier one first."""
        patient = Patient.draw(self.seed, number, self.varied, VARIANTS[self.variant])
        if np.random.default_rng([self.seed, number, 108]).random() < self.priors:
            return patient.before(), patient
        return (patient,)


def write_phantom(out: Path, cohort: Cohort, progress: Progress | None = None, workers: int = 0) -> Path:
    """Write a cohort and return the path of its manifest; `markers.csv` beside it tells where skin markers lie, where
    the cohort has them.

    The same cohort gives the same bytes, whatever the number of workers; patient i is the same in a cohort of any size.

    Args:
        out: folder, made where it does not exist.
        cohort: what to write.
        progress: called with patients done and all patients.
        workers: processes; 0 or 1 stays in this one.
    """
    (out / "masks").mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    images: list[Written] = []
    write = partial(_write_patient, out, cohort)
    for done, written in enumerate(_write_all(write, cohort.patients, workers), start=1):
        images.extend(written)
        if progress is not None:
            progress(done, cohort.patients)
    if any(image.marker for image in images):
        _write_markers(out / MARKERS, images)
    return write_manifest(out / "manifest.csv", [image.row for image in images])


def _write_all(write: Callable[[int], list[Written]], patients: int, workers: int) -> Iterator[list[Written]]:
    if workers <= 1:
        yield from map(write, range(patients))
        return
    # Spawned, not forked: the caller may have threads (torch) that a fork would leave locked.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(write, range(patients))


def _write_patient(out: Path, cohort: Cohort, number: int) -> list[Written]:
    return [image for exam in cohort.exams(number) for image in _write_exam(out, exam)]


def _write_exam(out: Path, patient: Patient) -> list[Written]:
    images = []
    for index, (side, view) in enumerate(VIEWS, start=1):
        drawn = draw_view(patient, side, view)
        stem = f"{patient.stem}-{side}-{view}"
        header = Header(
            key=patient.key,
            patient=patient.name,
            study_date=patient.study_date,
            age_years=patient.age_years,
            style=patient.style,
            syntax=patient.syntax,
            side=side,
            view=view,
            number=index,
        )
        write_dicom(out / "images" / f"{stem}.dcm", header, drawn.picture)
        if drawn.mask is not None:
            Image.fromarray(drawn.mask).save(out / "masks" / f"{stem}.png")
        marker = None if drawn.marker is None else _box(drawn.marker)
        images.append(Written(_row(patient, header, stem, drawn.mask), marker))
    return images


def _row(patient: Patient, header: Header, stem: str, mask: Mask | None) -> ManifestRow:
    finding = patient.findings.get(header.side)
    return ManifestRow(
        path=f"images/{stem}.dcm",
        patient=patient.name,
        exam=patient.exam,
        image=stem,
        side=header.side,
        view=header.view,
        label="normal" if finding is None else finding.label,
        boxes=() if mask is None else (_box(mask),),
        mask=None if mask is None else f"masks/{stem}.png",
        finding=None if finding is None else finding.kind,
        density=patient.breasts[header.side].density,
        vendor=patient.style.model,
        age_years=patient.age_years,
        source=SOURCE if patient.variant == PLAIN else f"{SOURCE}, {patient.variant.name}",
        licence=LICENCE,
    )


def _write_markers(path: Path, images: list[Written]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(MARKER_COLUMNS)
        for image in images:
            if (box := image.marker) is not None:
                writer.writerow([image.row.path, *(int(edge) for edge in (box.top, box.left, box.bottom, box.right))])


def _box(mask: Mask) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(top=int(rows[0]), left=int(columns[0]), bottom=int(rows[-1]) + 1, right=int(columns[-1]) + 1)
