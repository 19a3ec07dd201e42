"""A ledger of many exams of a usual size: four views of 2,294 x 1,914 in full depth, twelve prototypes, ten readers.

Every exam is told from every other by its pictures too: the corner sample of a view's smallest level is `stamp`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from PIL import Image

from audit.service import Actor, BundleScorer, open_room, score_exam
from audit.users import add_user
from benchmarks.ui.large import GREYS, film
from medproto import pictures, pyramid
from medproto.records import Box, ImageRecord, PrototypeMatch, Scored
from tests.audit.factory import BUNDLE_ID, make_scored, sha256

ROWS, COLUMNS = 2294, 1914
SPACING_MM = 0.1
PROTOTYPES: Final = 12
VIEWS: Final = 4
#: Pixels of the image to one of a map, both ways.
_STEP: Final = 3
_OPERATOR: Final = Actor("bench", "service")


@dataclass(frozen=True)
class Filled:
    """What a filled home holds.

    Args:
        home: the directory.
        exams: entry number of each prediction -> its exam's pseudonym, in the order in which they were scored.
        readers: name -> password.
    """

    home: Path
    exams: dict[int, str]
    readers: dict[str, str]


@dataclass(frozen=True)
class _Shown:
    """The pictures that all exams share, but for the stamp."""

    kept: dict[str, bytes]
    preview: bytes
    patches: tuple[bytes, ...]
    sources: tuple[bytes, ...]
    overlays: tuple[bytes, ...]


def stamp(place: int, view: int) -> int:
    """Corner sample of a view's smallest level: one for every view of every exam.

    Args:
        place: the exam's place in the order of scoring, from 0.
        view: the view's place in its record, from 0.
    """
    return 1 + VIEWS * place + view


def fill(home: Path, exams: int, readers: int) -> Filled:
    """Score so many exams into a new home, and add so many readers."""
    shown, numbers = _shown(), {}
    path = home.with_name("exam.dcm")
    with open_room(home, create=True) as room:
        for place in range(exams):
            path.write_bytes(b"exam %d" % place)
            scored = _usual(place, shown)
            judge = BundleScorer(BUNDLE_ID, "factory-phantom", lambda paths, pseudonymise, scored=scored: scored)
            numbers[score_exam(room, [path], judge, _OPERATOR).number] = scored.prediction.exam_id
        users = {f"reader-{place:02d}": secrets.token_urlsafe(18) for place in range(readers)}
        for name, password in users.items():
            add_user(room, name, "reader", password, Actor("bench", "operator"))
    return Filled(home, numbers, users)


def _shown() -> _Shown:
    sides = {side: film(seed, (ROWS, COLUMNS)) for seed, side in enumerate("LR")}
    grey, other = (sides[side] / np.float32(4095) for side in "LR")
    y, x = np.mgrid[0:ROWS, 0:COLUMNS][:, ::_STEP, ::_STEP]
    patches, sources, overlays = [], [], []
    for place in range(PROTOTYPES):
        top, left = 200 + 150 * place, 100 + 90 * place
        box = Box(top=top, left=left, bottom=top + 60, right=left + 60)
        patches.append(pictures.png(pictures.patch(grey, box)))
        sources.append(pictures.png(pictures.patch(other, box)))
        opacity = (200 * np.exp(-np.hypot(y - top, x - left) / 150)).astype(np.uint8)
        heat = Image.fromarray(opacity, "P")
        heat.putpalette(b"".join(bytes((*pictures.OVERLAY_RGB, opacity)) for opacity in range(256)), "RGBA")
        overlays.append(pictures.png(heat))
    kept = {side: pyramid.encode(samples, GREYS) for side, samples in sides.items()}
    return _Shown(kept, pictures.png(pictures.preview(grey)), tuple(patches), tuple(sources), tuple(overlays))


def _usual(place: int, shown: _Shown) -> Scored:
    scored = make_scored("flagged", exam=f"usual {place}", prototypes=PROTOTYPES)
    held = dict(scored.pictures)

    def keep(data: bytes) -> str:
        held[sha256(data)] = data
        return sha256(data)

    def seen(view: int, image: ImageRecord) -> ImageRecord:
        whole = Box(top=0, left=0, bottom=ROWS, right=COLUMNS)
        changes = {
            "rows": ROWS,
            "columns": COLUMNS,
            "spacing_mm": (SPACING_MM, SPACING_MM),
            "preview": keep(shown.preview),
            "preview_scale": pictures.preview_scale((ROWS, COLUMNS)),
            "full_depth": keep(_stamped(shown.kept[image.laterality or "L"], stamp(place, view))),
            "rendering": image.rendering.model_copy(update={"crop": whole}),
        }
        return image.model_copy(update=changes)

    def found(rank: int, match: PrototypeMatch) -> PrototypeMatch:
        patch = keep(shown.patches[rank])
        source = match.source.model_copy(update={"patch": keep(shown.sources[rank])})
        return match.model_copy(update={"patch": patch, "overlay": keep(shown.overlays[rank]), "source": source})

    changes = {
        "images": tuple(seen(view, image) for view, image in enumerate(scored.prediction.images)),
        "matches": tuple(found(rank, match) for rank, match in enumerate(scored.prediction.matches)),
    }
    return Scored(scored.prediction.model_copy(update=changes), held)


def _stamped(data: bytes, value: int) -> bytes:
    """The same picture with this corner sample in its smallest level."""
    picture = pyramid.decode(data)
    tiles = data.removeprefix(pyramid.MAGIC).partition(b"\n")[2]
    *levels, smallest = picture.head.levels
    samples = picture.tile(len(levels), 0, 0).copy()
    samples[0, 0] = value
    stream = bytes(imagecodecs.jpegls_encode(samples))
    changed = smallest.model_copy(update={"lengths": (len(stream),)})
    head = picture.head.model_copy(update={"levels": (*levels, changed)})
    rest = tiles[: len(tiles) - smallest.lengths[0]]
    return b"".join((pyramid.MAGIC, head.model_dump_json().encode("ascii"), b"\n", rest, stream))
