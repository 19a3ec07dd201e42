"""A small archive in the published layout of mini-MIAS, with the traps of the real one."""

from __future__ import annotations

import io
import os
import tarfile
from functools import lru_cache
from pathlib import Path

import numpy as np

INFO = """\
MAMMOGRAPHIC IMAGE ANALYSIS SOCIETY

mdb001 G CIRC B 400 600 40
mdb002 G NORM
mdb003 D NORM
mdb004 D SPIC M 300 500 30
mdb004 D CALC B 330 700 10
mdb005 F NORM
mdb006 F CALC B
"""
FILMS = (1, 2, 3, 4, 5, 6)


def shared_archive() -> Path:
    """Where the real archive lies, if it does."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    return Path(os.environ.get("MEDPROTO_SHARED", beside)) / "data" / "mini-mias" / "all-mias.tar.gz"


@lru_cache
def film(number: int) -> bytes:
    """A breast as a half ellipse with its chest wall on the left, textured, as PGM."""
    rows, columns = np.indices((1024, 1024), dtype=np.float32)
    inside = ((rows - 512) / 430) ** 2 + (columns / (600 + 10 * number)) ** 2 < 1
    texture = np.random.default_rng(number).integers(0, 40, (1024, 1024))
    return b"P5\n1024 1024\n255\n" + np.where(inside, 110 + texture, 3).astype(np.uint8).tobytes()


def write_archive(path: Path, info: str | None = INFO, extra: tuple[str, bytes] | None = None) -> Path:
    """Write `all-mias.tar.gz` with these films, the description and perhaps one more entry."""
    entries = [(f"mdb{number:03d}.pgm", film(number)) for number in FILMS]
    entries += [] if info is None else [("Info.txt", info.encode())]
    entries += [] if extra is None else [extra]
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
