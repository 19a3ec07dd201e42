"""Measures that take long, kept as they finish, so that an evaluation that was interrupted goes on where it was.

What is kept belongs to everything that it was measured from: the bundle, the manifest, the split, the very pixels, and
this version of medproto. What belongs to anything else is not found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors import torch as safetensors

from medproto import __version__
from medproto.errors import InputError
from medproto.training.inputs import InputSet, Progress
from medproto.training.similarities import Similarities

#: Folder of kept measures within that of the evaluation.
FOLDER = "unfinished"
SUFFIXES = (".json", ".safetensors", ".part")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Kept:
    """Measures of one evaluation.

    Args:
        folder: where they are kept; None keeps nothing.
        origin: what all of them belong to.
    """

    folder: Path | None
    origin: str

    def once(self, name: str, kind: TypeAdapter[Value], make: Callable[[], Value]) -> Value:
        """What an earlier run kept under that name, else what is made now, which is kept.

        A file that is not whole, or of another form, is as none: what it should hold is made anew.

        Raises:
            InputError: the folder cannot be written.
        """
        if self.folder is None:
            return make()
        path = self._path(name, ".json")
        with suppress(OSError, ValidationError):
            return kind.validate_json(path.read_bytes())
        value = make()
        _write(path, kind.dump_json(value))
        return value

    def scored_once(self, make: Callable[[], Similarities]) -> Similarities:
        """The same for what every image was scored with.

        Raises:
            InputError: the folder cannot be written.
        """
        if self.folder is None:
            return make()
        path = self._path("similarities", ".safetensors")
        with suppress(OSError, SafetensorError, TypeError):
            return Similarities(**safetensors.load(path.read_bytes()))
        scored = make()
        _write(path, safetensors.save({name: part.contiguous() for name, part in vars(scored).items()}))
        return scored

    def forget(self) -> None:
        """Remove what is kept, of whatever origin, once the evaluation that it was kept for is written."""
        if self.folder is None or not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.suffix in SUFFIXES:
                path.unlink()
        with suppress(OSError):  # something else lies there, and stays
            self.folder.rmdir()

    def _path(self, name: str, suffix: str) -> Path:
        digest = hashlib.sha256(f"{self.origin} {name}".encode()).hexdigest()
        return (self.folder or Path()) / f"{name}-{digest[:16]}{suffix}"


@dataclass(frozen=True)
class Working:
    """How something that takes long is done.

    Args:
        kept: where those parts are found that an earlier run has finished.
        progress: called with steps done and all steps.
    """

    kept: Kept
    progress: Progress | None = None


#: Keeps nothing, silent.
NOT_KEPT = Kept(None, "")
PLAINLY = Working(NOT_KEPT)


def kept_in(out: Path, bundle_id: str, manifest_digest: str, data: InputSet) -> Kept:
    """What is kept of the evaluation of that bundle on those images, in the folder that it is written to."""
    parts = [__version__, bundle_id, manifest_digest, *(source.pixels_sha256 for source in data.sources)]
    parts += [f"{tuple(data.images.shape)}", f"{data.labels.tolist()}"]
    return Kept(out / FOLDER, hashlib.sha256("\n".join(parts).encode()).hexdigest())


def unwritable(err: OSError) -> InputError:
    """The folder of an evaluation cannot be written."""
    return InputError(f"out: cannot write the folder ({err.strerror}), expected one that can be written")


def _write(path: Path, content: bytes) -> None:
    # A name of its own until it is whole: no run finds half a measure.
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as err:
        raise unwritable(err) from err
