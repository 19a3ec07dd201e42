"""The picture in full depth, as it is kept: every sample, in tiles that can be had one by one, at every scale.

A kept picture is one line of format and version, one line of JSON (`Head`), and then the tiles, each a JPEG-LS stream.
Level 0 is the image itself, sample by sample; every further level halves the one before, a sample being the mean of
four. Level 1 is not kept, for it would take a quarter of the room: its tiles are made of four of level 0 when one is
asked for. The last level is a single tile.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Final

import imagecodecs
import numpy as np
from PIL import Image
from pydantic import Field, ValidationError

from medproto.errors import EvidenceMissing
from medproto.ingest.greys import Greys, Preset, Samples
from medproto.records import Record

MAGIC: Final = b"medproto pyramid 1\n"
#: Side of a tile, in samples: 4 to 12 tiles fill a screen, and one decodes in milliseconds.
TILE: Final = 512
#: The level that is made of level 0 when it is asked for.
_MADE: Final = 1
#: Bytes within which the line of JSON ends: 100,000 tiles have shorter ones.
_LONGEST_HEAD: Final = 2**20
Count = Annotated[int, Field(gt=0)]


class Level(Record):
    """One scale of the picture, and the lengths of its tiles' streams, row by row; none where it is not kept."""

    rows: Count
    columns: Count
    lengths: tuple[Count, ...]


class Head(Record):
    """What there is to know of a picture before any tile."""

    tile: Count
    greys: Greys
    levels: Annotated[tuple[Level, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Pyramid:
    """A kept picture, opened: its tiles decode when they are asked for."""

    head: Head
    #: The bytes that were opened.
    data: bytes
    #: Level -> where among them the streams of its tiles begin, row by row, and where the last of them ends.
    bounds: dict[int, tuple[int, ...]]

    @property
    def size_bytes(self) -> int:
        """Bytes that it keeps."""
        return len(self.data)

    def tile(self, level: int, row: int, column: int) -> Samples:
        """One tile, shape at most (TILE, TILE): smaller at the lower and right edge.

        Raises:
            EvidenceMissing: there is no such tile, or its stream does not decode.
        """
        down, across = self._grid(level)
        if not (0 <= row < down and 0 <= column < across):
            raise EvidenceMissing(f"tile: got row {row} and column {column}, expected {down} x {across} tiles or fewer")
        if level in self.bounds:
            start, end = self.bounds[level][row * across + column :][:2]
            return _decoded(self.data[start:end])
        down, across = self._grid(level - 1)
        rows, columns = range(2 * row, min(2 * row + 2, down)), range(2 * column, min(2 * column + 2, across))
        return halved(np.block([[self.tile(level - 1, r, c) for c in columns] for r in rows]))

    def _grid(self, level: int) -> tuple[int, int]:
        """How many rows and columns of tiles a level has."""
        if not 0 <= level < len(self.head.levels):
            raise EvidenceMissing(f"tile: got level {level}, expected one of {len(self.head.levels)}")
        return _grid(self.head.levels[level].rows, self.head.levels[level].columns)


def encode(samples: Samples, greys: Greys) -> bytes:
    """The bytes to keep of a picture.

    Args:
        samples: shape (rows, columns).
        greys: how they are shown.
    """
    levels: list[Level] = []
    streams: list[bytes] = []
    while True:
        single = max(samples.shape) <= TILE
        kept = _encoded(samples) if single or len(levels) != _MADE else []
        levels.append(
            Level(rows=samples.shape[0], columns=samples.shape[1], lengths=tuple(len(stream) for stream in kept))
        )
        streams += kept
        if single:
            break
        samples = halved(samples)
    head = Head(tile=TILE, greys=greys, levels=tuple(levels))
    return b"".join((MAGIC, head.model_dump_json().encode("ascii"), b"\n", *streams))


def decode(data: bytes) -> Pyramid:
    """A kept picture, opened; EvidenceMissing where the bytes are none."""
    line = data[len(MAGIC) : _LONGEST_HEAD].partition(b"\n")[0] if data.startswith(MAGIC) else b""
    try:
        head = Head.model_validate_json(line)
    except ValidationError as err:
        raise EvidenceMissing("picture: its first lines are not those of a picture in full depth") from err
    bounds: dict[int, tuple[int, ...]] = {}
    first = at = len(MAGIC) + len(line) + 1
    for number, level in enumerate(head.levels):
        down, across = _grid(level.rows, level.columns)
        if level.lengths and len(level.lengths) != down * across:
            raise EvidenceMissing(f"picture: level {number} has {len(level.lengths)} tiles, expected {down * across}")
        if level.lengths:
            bounds[number] = tuple(accumulate(level.lengths, initial=at))
            at = bounds[number][-1]
    if at != len(data) or not {0, len(head.levels) - 1} <= bounds.keys():
        raise EvidenceMissing(f"picture: got {len(data) - first} bytes of tiles, expected {at - first}")
    return Pyramid(head, data, bounds)


def of_preview(png: bytes) -> Pyramid:
    """The stored 8-bit preview as a picture like the others, for exams that keep no other; its greys are final."""
    try:
        samples = np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(np.uint16)
    except (OSError, SyntaxError, ValueError) as err:
        raise EvidenceMissing("picture: its preview is no PNG") from err
    window = Preset(name="As scored", function="LINEAR_EXACT", centre=127.5, width=255.0)
    return decode(encode(samples, Greys(offset=0.0, step=1.0, most=255, inverted=False, chosen=0, presets=(window,))))


def halved(samples: Samples) -> Samples:
    """Every sample the mean of four; a last odd row or column counts twice."""
    rows, columns = samples.shape
    wide = np.pad(samples, ((0, rows % 2), (0, columns % 2)), "edge").astype(np.uint32)
    total = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint16)


def _grid(rows: int, columns: int) -> tuple[int, int]:
    return -(-rows // TILE), -(-columns // TILE)


def _encoded(samples: Samples) -> list[bytes]:
    """The streams of a level's tiles, row by row."""
    rows, columns = samples.shape
    places = [(top, left) for top in range(0, rows, TILE) for left in range(0, columns, TILE)]
    cut = (np.ascontiguousarray(samples[top : top + TILE, left : left + TILE]) for top, left in places)
    return [bytes(imagecodecs.jpegls_encode(tile)) for tile in cut]


def _decoded(stream: bytes) -> Samples:
    try:
        samples: Samples = imagecodecs.jpegls_decode(stream)
    except imagecodecs.JpeglsError as err:
        raise EvidenceMissing("picture: a tile does not decode") from err
    return samples.astype(np.uint16, copy=False)
