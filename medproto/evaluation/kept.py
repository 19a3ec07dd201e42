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

from medproto import __version__
from medproto.training.inputs import InputSet

#: Folder of kept measures within that of the evaluation.
FOLDER = "unfinished"

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
            OSError: the folder cannot be written.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"{name}-{hashlib.sha256(f'{self.origin} {name}'.encode()).hexdigest()[:16]}.json"
        with suppress(FileNotFoundError, ValidationError):
            return kind.validate_json(path.read_bytes())
        made = kind.dump_json(value := make())
        self.folder.mkdir(parents=True, exist_ok=True)
        # A name of its own until it is whole: no run finds half a measure.
        part = path.with_suffix(".part")
        part.write_bytes(made)
        os.replace(part, path)
        return value

    def forget(self) -> None:
        """Remove what is kept, of whatever origin, once the evaluation that it was kept for is written."""
        if self.folder is None or not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.suffix in (".json", ".part"):
                path.unlink()
        with suppress(OSError):  # something else lies there, and stays
            self.folder.rmdir()


#: Keeps nothing.
NOT_KEPT = Kept(None, "")


def kept_in(out: Path, bundle_id: str, manifest_digest: str, data: InputSet) -> Kept:
    """What is kept of the evaluation of that bundle on those images, in the folder that it is written to."""
    parts = [__version__, bundle_id, manifest_digest, *(source.pixels_sha256 for source in data.sources)]
    parts += [f"{tuple(data.images.shape)}", f"{data.labels.tolist()}"]
    return Kept(out / FOLDER, hashlib.sha256("\n".join(parts).encode()).hexdigest())
