"""Model inputs in the cache: what each is made from, so that a change of anything that shaped it makes it anew.

Five kinds of entries, each under the digest of all that it depends on:

| entry   | made from                                           | holds                                             |
|---------|-----------------------------------------------------|---------------------------------------------------|
| file    | a file's place, size and times                      | SHA-256 of its bytes                              |
| reading | those bytes, ingest settings, code                  | digests of pixels and rendering, or the refusal   |
| view    | those digests, input settings, region, code         | image, breast, geometry, crop                     |
| lesion  | the view, boxes or mask                             | lesion plane                                      |
| measure | the pixels, the function and its module's source    | its numbers                                       |

A refusal is kept, for it follows from the bytes. A file that is unreadable is tried again each time: that may be this
machine's fault. Code is the source of what renders, and the versions of the libraries it stands on.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import os
from collections.abc import Sequence
from dataclasses import astuple, fields
from functools import cache
from pathlib import Path

import numpy as np

from medproto.config import IngestSettings
from medproto.datasets.cache import ArrayCache, key_of, unchanged
from medproto.datasets.manifest import Manifest, ManifestRow
from medproto.ingest.mammogram import Mammogram
from medproto.records import Box
from medproto.training.rendering import Measure, View, has_annotation
from medproto.transforms import Geometry, InputSettings

_PACKAGE = Path(__file__).resolve().parent.parent
#: The source that decides what an input looks like, beneath `medproto/`.
RENDERING_SOURCES = (
    "config.py",
    "errors.py",
    "records.py",
    "transforms.py",
    "ingest/*.py",
    "training/rendering.py",
    "training/input_cache.py",
)
#: The distributions that it stands on; one that is not installed counts as absent.
RENDERING_LIBRARIES = (
    "imagecodecs",
    "monai",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydicom",
    "pydantic",
    "python-gdcm",
    "scikit-image",
    "scipy",
    "torch",
)
#: Settings that bound the reading of a file without shaping what is read.
_BOUNDS = {"file_seconds", "worker_bytes"}
#: What of a mammogram the model's input cannot depend on, beside pixels and breast, which have digests.
_UNSEEN = {"pixels", "breast", "identity", "file_sha256", "findings", "decoder", "voi", "inverted"}


class InputCache:
    """The cached inputs of one manifest under one set of settings; its methods may be called from several threads."""

    def __init__(
        self,
        kept: ArrayCache,
        manifest: Manifest,
        settings: tuple[InputSettings, IngestSettings],
        measure: Measure | None,
    ) -> None:
        self._kept, self._manifest, self._measure = kept, manifest, measure
        self._inputs = settings[0].model_dump(mode="json")
        self._ingest = settings[1].model_dump(mode="json", exclude=_BOUNDS)

    def find(self, row: ManifestRow) -> View | str | None:
        """The row's view, or the sentence for which its image was refused; None where its file has to be read."""
        mask = self._manifest.mask(row)
        try:
            reading = self._kept.get(self._reading_key(self._kept.file_sha256(self._manifest.file(row))))
            mask_sha256 = self._kept.file_sha256(mask) if mask else ""
        except OSError:  # reading them says what is wrong
            return None
        if reading is None or "refused" in reading.facts:
            return None if reading is None else str(reading.facts["refused"])
        key = self._view_key(reading.facts["pixels_sha256"], reading.facts["rendering"], row)
        view, measured = self._kept.get(key), self._measured(reading.facts["pixels_sha256"])
        lesion = self._kept.get(_lesion_key(key, row, mask_sha256)) if has_annotation(row) else None
        if view is None or measured is None or (has_annotation(row) and lesion is None):
            return None
        breast = view.arrays["breast"]
        return View(
            image=view.arrays["image"],
            breast=breast,
            lesion=lesion.arrays["lesion"] if lesion else np.zeros_like(breast),
            pixels_sha256=str(reading.facts["pixels_sha256"]),
            geometry=Geometry(*view.facts["geometry"]),
            synthetic=bool(view.facts["synthetic"]),
            crop=Box.model_validate(view.facts["crop"]),
            measured=measured,
            mask_sha256=mask_sha256,
        )

    def keep(self, before: os.stat_result, mammogram: Mammogram, made: Sequence[tuple[ManifestRow, View]]) -> None:
        """Keep what was made of one file for these rows; `before` is the file's state before it was read."""
        rendering = rendering_digest(mammogram)
        for row, view in made:
            key = self._view_key(mammogram.pixels_sha256, rendering, row)
            facts = {"geometry": astuple(view.geometry), "crop": view.crop.model_dump(), "synthetic": view.synthetic}
            self._kept.put(key, facts, {"image": view.image, "breast": view.breast})
            if has_annotation(row):
                self._kept.put(_lesion_key(key, row, view.mask_sha256), {}, {"lesion": view.lesion})
            if self._measure:
                self._kept.put(_measure_key(view.pixels_sha256, self._measure), {"values": view.measured})
        facts = {"pixels_sha256": mammogram.pixels_sha256, "rendering": rendering}
        self._kept.put(self._reading_key(mammogram.file_sha256), facts)
        self._kept.remember_file(self._manifest.file(made[0][0]), before, mammogram.file_sha256)

    def keep_refusal(self, path: Path, before: os.stat_result, sentence: str) -> None:
        """Keep why the gate refused a file, unless the file has changed since `before`."""
        try:
            sha256 = self._kept.file_sha256(path)
        except OSError:  # it went away: there is nothing to be known again
            return
        if unchanged(path, before):
            self._kept.put(self._reading_key(sha256), {"refused": sentence})

    def _measured(self, pixels_sha256: str) -> tuple[float, ...] | None:
        """What `measure` gave; empty where nothing is measured, None where it has to be."""
        if self._measure is None:
            return ()
        found = self._kept.get(_measure_key(pixels_sha256, self._measure))
        return None if found is None else tuple(found.facts["values"])

    def _reading_key(self, file_sha256: str) -> str:
        return key_of("reading", file_sha256, self._ingest, rendering_code())

    def _view_key(self, pixels_sha256: str, rendering: str, row: ManifestRow) -> str:
        region = row.region and row.region.model_dump()
        return key_of("view", pixels_sha256, rendering, self._inputs, region, rendering_code())


def _lesion_key(view_key: str, row: ManifestRow, mask_sha256: str) -> str:
    return key_of("lesion", view_key, mask_sha256 or [box.model_dump() for box in row.boxes])


def rendering_digest(mammogram: Mammogram) -> str:
    """SHA-256 of what beside the pixels may shape a model's input: the breast, and what the header says of the image.

    Fields that are added to `Mammogram` count at once, unless they are named here as unseen.
    """
    said = [
        (field.name, repr(getattr(mammogram, field.name))) for field in fields(mammogram) if field.name not in _UNSEEN
    ]
    digest = hashlib.sha256(repr((mammogram.breast.shape, said)).encode())
    digest.update(np.packbits(mammogram.breast).tobytes())
    return digest.hexdigest()


@cache
def rendering_code() -> str:
    """SHA-256 over the source and the library versions that decide what an input looks like."""
    sources = sorted(path for pattern in RENDERING_SOURCES for path in _PACKAGE.glob(pattern))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(
            f"{path.relative_to(_PACKAGE).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    for name in RENDERING_LIBRARIES:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


@cache
def _source_digest(measure: Measure) -> str:
    return hashlib.sha256(Path(inspect.getfile(measure)).read_bytes()).hexdigest()


def _measure_key(pixels_sha256: str, measure: Measure) -> str:
    name = f"{measure.__module__}.{measure.__qualname__}"
    return key_of("measure", pixels_sha256, name, _source_digest(measure), rendering_code())
