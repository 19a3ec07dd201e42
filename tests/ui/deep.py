"""An exam whose images are kept in full depth: noise of 12 bits, a little larger than two tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from audit.service import Actor, BundleScorer, Entry, open_room, score_exam
from medproto import pyramid
from medproto.ingest.greys import Greys, Preset, Samples
from medproto.records import Scored
from tests.audit.factory import BUNDLE_ID, COLUMNS, ROWS, make_scored, sha256

WINDOW = Preset(name="Window 1", function="LINEAR", centre=2048, width=4096)
HARDER = Preset(name="Harder", function="SIGMOID", centre=2048, width=900)
GREYS = Greys(offset=0, step=1, most=4095, inverted=False, chosen=0, presets=(WINDOW, HARDER))


def samples_of(place: int) -> Samples:
    """Samples of the image at this place of the exam."""
    return np.random.default_rng(place).integers(0, 4096, (ROWS, COLUMNS), dtype=np.uint16)


def in_full_depth(scored: Scored) -> Scored:
    """The exam with every image kept in full depth."""
    kept, images = dict(scored.pictures), []
    for place, image in enumerate(scored.prediction.images):
        data = pyramid.encode(samples_of(place), GREYS)
        kept[sha256(data)] = data
        images.append(image.model_copy(update={"full_depth": sha256(data)}))
    return Scored(scored.prediction.model_copy(update={"images": tuple(images)}), kept)


def score_deep(home: Path, exam: str = "deep", **changes: Any) -> Entry:
    """Score such an exam into this home; `changes` replace fields of its prediction."""
    scored = in_full_depth(make_scored("flagged", exam, **changes))
    path = home.parent / f"{exam}.dcm"
    path.write_bytes(exam.encode())
    with open_room(home, create=True) as room:
        judge = BundleScorer(BUNDLE_ID, "factory-phantom", lambda paths, pseudonymise: scored)
        return score_exam(room, [path], judge, Actor("ada.scorer", "service"))
