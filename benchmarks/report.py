"""The report of an exam of four views: the function, the whole command, and checking it; against one second.

The exam is a synthetic one of 1024 x 800 pixels a view with pictures as they are kept for a reader: previews, ten
overlays and patches of twelve prototypes. Nothing is scored: the numbers are drawn.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from audit.report import report_for
from audit.room import Actor, BundleScorer, open_room
from audit.service import score_exam
from audit.verify_report import verify_report
from medproto import pictures
from medproto.config import IngestSettings
from medproto.datasets.manifest import read_manifest
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from medproto.records import (
    Box,
    BreastScore,
    ImageRecord,
    Likeness,
    OperatingPoint,
    Prediction,
    PrototypeMatch,
    PrototypeSource,
    Rendering,
    Scored,
)

GOAL_S: Final = 1.0
BUNDLE_ID: Final = hashlib.sha256(b"benchmark").hexdigest()
_PROTOTYPES, _DRAWN, _RUNS = 12, 10, 5
_BOX_PX: Final = 40


def main() -> None:
    """Print each time beside its goal; the process of a command starts anew each time."""
    with tempfile.TemporaryDirectory() as folder:
        number, home = _room(Path(folder))
        pdf = Path(folder) / "exam.pdf"
        with open_room(home) as room:
            _say("report of four views, the function", lambda: report_for(room, number, number))
            data = report_for(room, number, number)
            _say("  checking it against the ledger, the function", lambda: verify_report(room, data))
        command = [sys.executable, "-m", "medproto"]
        _say(
            "  the whole command", lambda: _run([*command, "report", str(number), "-o", str(pdf), "--home", str(home)])
        )
        _say("  of which starting the program", lambda: _run([*command, "report", "--help"]), None)


def _say(name: str, work: Callable[[], object], goal_s: float | None = GOAL_S) -> None:
    """Print the median time of a job and of the processors on it: the second says it on a machine that is shared."""
    work()
    seconds, busy = [], []
    for _ in range(_RUNS):
        began, before = time.perf_counter(), sum(os.times()[:4])
        work()
        seconds.append(time.perf_counter() - began)
        busy.append(sum(os.times()[:4]) - before)
    wanted = "" if goal_s is None else f"  (goal {goal_s:.0f} s)"
    print(
        f"{name:<58} {statistics.median(seconds):6.2f} s, of processors {statistics.median(busy):5.2f} s{wanted}",
        flush=True,
    )


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _room(folder: Path) -> tuple[int, Path]:
    """A room that holds one prediction; its number and its home."""
    manifest = read_manifest(write_phantom(folder / "phantom", Cohort(1, 1)))
    files = [manifest.file(row) for row in manifest.rows]
    scored = _scored([read_mammogram(path, IngestSettings()) for path in files])
    scorer = BundleScorer(BUNDLE_ID, "benchmark", lambda paths, pseudonymise: scored, synthetic=True)
    with open_room(folder / "home", create=True) as room:
        return score_exam(room, files, scorer, Actor("bench", "reader")).number, folder / "home"


def _scored(views: list[Mammogram]) -> Scored:
    kept: dict[str, bytes] = {}
    images = tuple(_image(kept, number, view) for number, view in enumerate(views))
    matches = tuple(_match(kept, i, images[i % len(images)], views[i % len(views)]) for i in range(_PROTOTYPES))
    margin = sum(match.contribution for match in matches)
    prediction = Prediction(
        exam_id="exam-0000000000000000",
        patient_id="patient-0000000000000000",
        bundle_id=BUNDLE_ID,
        bundle_name="benchmark",
        data_licence="CC0-1.0",
        synthetic=True,
        classes=("not malignant", "malignant"),
        positive_class="malignant",
        images=images,
        refused=(),
        findings=(),
        likeness=Likeness(distance=1.0, threshold=4.0),
        logits={"not malignant": -margin / 2, "malignant": margin / 2},
        margin=margin,
        probability=0.8,
        prevalence=0.25,
        operating_point=OperatingPoint(margin=2.0, rule="sensitivity >= 0.90", sensitivity=0.92, specificity=0.88),
        decision="flagged" if margin >= 2 else "not flagged",
        breasts=tuple(BreastScore(laterality=side, margin=margin, probability=0.8) for side in ("R", "L")),
        matches=matches,
        software={"medproto": "0.1.0"},
    )
    return Scored(prediction, kept)


def _image(kept: dict[str, bytes], number: int, view: Mammogram) -> ImageRecord:
    rows, columns = view.pixels.shape
    return ImageRecord(
        image_id=f"image-{number:016x}",
        laterality="R" if number % 2 else "L",
        view="CC" if number < 2 else "MLO",
        rows=rows,
        columns=columns,
        spacing_mm=(0.2, 0.2),
        file_sha256=hashlib.sha256(b"file %d" % number).hexdigest(),
        pixels_sha256=hashlib.sha256(view.pixels.tobytes()).hexdigest(),
        rendering=Rendering(
            decoder="native",
            voi="window 1 of 1",
            inverted=False,
            flipped=bool(number % 2),
            crop=Box(top=0, left=0, bottom=rows, right=columns),
            input_rows=512,
            input_columns=416,
        ),
        findings=(),
        preview=_kept(kept, pictures.preview(view.pixels)),
        preview_scale=pictures.preview_scale((rows, columns)),
    )


def _match(kept: dict[str, bytes], number: int, image: ImageRecord, view: Mammogram) -> PrototypeMatch:
    top, left = 100.0 + 60 * number, 80.0 + 40 * number
    box = Box(top=top, left=left, bottom=top + _BOX_PX, right=left + _BOX_PX)
    patch, drawn = _kept(kept, pictures.patch(view.pixels, box)), number < _DRAWN
    weight = 1.0 if number % 3 else -0.5
    similarity = 3.0 / (1 + number)
    return PrototypeMatch(
        prototype_id=f"p{number:02d}",
        prototype_class="malignant" if weight > 0 else "not malignant",
        similarity=similarity,
        weight=weight,
        contribution=weight * similarity,
        image_id=image.image_id,
        cell=(number, number),
        box=box,
        receptive_field=box,
        patch=patch if drawn else None,
        overlay=_kept(kept, _overlay(image, box)) if drawn else None,
        similarity_map=None,
        source=PrototypeSource(
            image_id=f"image-{number + 256:016x}",
            pixels_sha256=hashlib.sha256(b"source %d" % number).hexdigest(),
            laterality="L",
            view="CC",
            box=box,
            patch=patch,
            distance=0.0,
        ),
    )


def _overlay(image: ImageRecord, box: Box) -> Image.Image:
    """Amber that fades with the distance from a box's centre, as a likeness map does."""
    scale = image.preview_scale
    rows, columns = round(image.rows * scale), round(image.columns * scale)
    y, x = np.mgrid[0:rows, 0:columns]
    row, column = box.centre
    faded = np.exp(-np.hypot(y - row * scale, x - column * scale) / 60)
    colours = np.empty((rows, columns, 4), np.uint8)
    colours[..., :3], colours[..., 3] = pictures.OVERLAY_RGB, 200 * faded
    return Image.fromarray(colours)


def _kept(kept: dict[str, bytes], picture: Image.Image) -> str:
    data = pictures.png(picture)
    kept[pictures.digest(data)] = data
    return pictures.digest(data)


if __name__ == "__main__":
    main()
