"""A contact sheet: many images on a page exactly as the network sees them, for a reader to check at a glance.

Upright, chest wall on the left, nothing outside the breast: what looks wrong here is wrong in training. Images are
numbered in the order of the folder or manifest and named by side and view; no file name stands on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from medproto.config import IngestSettings
from medproto.datasets.manifest import read_manifest
from medproto.errors import InputError, RefusedImage, UnreadableImage
from medproto.ingest.exam import find_candidates
from medproto.ingest.gate import RULES
from medproto.ingest.inspection import save_picture
from medproto.ingest.reading import DEFAULTS, read_mammogram
from medproto.records import Box, Severity
from medproto.transforms import InputSettings, ModelInput, model_input

#: Tiles on a page.
COLUMNS, ROWS = 8, 5
GAP_PX = 8
#: Height of the lines of words under a tile.
LINE_PX, LINES = 15, 4
#: Colour of a code by its severity: red, amber, grey.
COLOURS: dict[Severity, tuple[int, int, int]] = {
    "refuse": (255, 90, 90),
    "warn": (255, 190, 60),
    "note": (150, 150, 150),
}

#: Called with (done, total).
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """A file, and the region of it that is used; all of it where None."""

    path: Path
    region: Box | None = None


@dataclass(frozen=True)
class Tile:
    """One image of a sheet: how it is called, what the gate found, and what the network sees; None where refused."""

    title: str
    codes: tuple[str, ...]
    shown: NDArray[np.float32] | None

    @property
    def refused(self) -> bool:
        """Whether there is nothing to see."""
        return self.shown is None


def sources_of(place: Path) -> list[Source]:
    """The images of a folder in the order of their names, or of a manifest in its own."""
    if place.is_dir():
        return [Source(path) for path in find_candidates(place).paths]
    manifest = read_manifest(place)
    return [Source(manifest.file(row), row.region) for row in manifest.rows]


def read_tile(source: Source, inputs: InputSettings, ingest: IngestSettings = DEFAULTS) -> Tile:
    """One image as the network sees it, or why it does not."""
    try:
        mammogram = read_mammogram(source.path, ingest)
        seen = model_input(mammogram, inputs, source.region)
    except RefusedImage as err:
        return Tile("refused", tuple(one.code for one in err.findings if one.severity == "refuse"), None)
    except UnreadableImage as err:
        return Tile("unreadable", (err.code,), None)
    codes = tuple(one.code for one in mammogram.findings)
    return Tile(f"{mammogram.title}{_turns(seen)}", codes, seen.image[0].numpy())


def _turns(seen: ModelInput) -> str:
    """How the stored picture was turned, in words."""
    words = [word for word, done in (("mirrored", seen.flipped), ("upturned", seen.upturned)) if done]
    return f", {' and '.join(words)}" if words else ""


def contact_sheet(tiles: Sequence[Tile], inputs: InputSettings) -> list[Image.Image]:
    """Pages of `ROWS` x `COLUMNS` tiles, numbered from 1; the last page ends with its last row.

    Args:
        tiles: what `read_tile` made under the same `inputs`.
        inputs: rows and columns of a tile.

    Raises:
        InputError: there is no tile.
    """
    if not tiles:
        raise InputError("contact sheet: got no image, expected at least one")
    per_page = ROWS * COLUMNS
    numbered = list(enumerate(tiles, start=1))
    return [_page(numbered[start : start + per_page], inputs) for start in range(0, len(tiles), per_page)]


def _page(tiles: Sequence[tuple[int, Tile]], inputs: InputSettings) -> Image.Image:
    across, down = min(len(tiles), COLUMNS), -(-len(tiles) // COLUMNS)
    width, height = inputs.columns + GAP_PX, inputs.rows + LINES * LINE_PX + GAP_PX
    page = Image.new("RGB", (across * width + GAP_PX, down * height + GAP_PX), (40, 40, 40))
    for place, (number, tile) in enumerate(tiles):
        left, top = GAP_PX + place % COLUMNS * width, GAP_PX + place // COLUMNS * height
        page.paste(_picture(tile, inputs), (left, top))
        _write(ImageDraw.Draw(page), (left, top + inputs.rows), number, tile)
    return page


def _picture(tile: Tile, inputs: InputSettings) -> Image.Image:
    """The tile's picture; a crossed-out field where the image is refused."""
    if tile.shown is not None:
        return Image.fromarray(np.rint(tile.shown * 255).astype(np.uint8))
    field = Image.new("RGB", (inputs.columns, inputs.rows), (70, 30, 30))
    pen = ImageDraw.Draw(field)
    pen.line([(0, 0), (inputs.columns, inputs.rows)], COLOURS["refuse"])
    pen.line([(inputs.columns, 0), (0, inputs.rows)], COLOURS["refuse"])
    return field


def _write(pen: ImageDraw.ImageDraw, corner: tuple[int, int], number: int, tile: Tile) -> None:
    """Number, side and view, then one reason code a line, the gravest first."""
    font = ImageFont.load_default(LINE_PX - 3)
    order = list(COLOURS)
    codes = sorted(tile.codes, key=lambda code: order.index(RULES[code].severity))
    lines = [(f"{number}  {tile.title}", (255, 255, 255))]
    lines += [(code, COLOURS[RULES[code].severity]) for code in codes]
    if len(lines) > LINES:
        lines[LINES - 1 :] = [(f"and {len(lines) - LINES + 1} more", COLOURS["warn"])]
    for line, (words, colour) in enumerate(lines):
        pen.text((corner[0], corner[1] + line * LINE_PX), words, fill=colour, font=font)


def write_sheet(
    place: Path, out: Path, inputs: InputSettings, ingest: IngestSettings, progress: Progress
) -> list[Tile]:
    """Write the pages of a folder's or manifest's images as PNG; returns the tiles in the order of their numbers.

    Args:
        place: folder or manifest.
        out: `SHEET.png`; the pages after the first are `SHEET-2.png` and so on.
        inputs: what the network sees.
        ingest: how files become mammograms.
        progress: called with images read and all images.
    """
    sources = sources_of(place)
    tiles = []
    for done, source in enumerate(sources, start=1):
        tiles.append(read_tile(source, inputs, ingest))
        progress(done, len(sources))
    for number, page in enumerate(contact_sheet(tiles, inputs), start=1):
        save_picture(page, out if number == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}"))
    return tiles
