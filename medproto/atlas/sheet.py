"""The global analysis as one picture: a row for each prototype, its patch and the patches most like it."""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from medproto.atlas.page import RESEARCH_ONLY
from medproto.atlas.records import Atlas, Portrait
from medproto.atlas.words import of, percent
from medproto.neighbourhood import SPLIT_WORDS

TILE_PX, GAP_PX, LINE_PX = 120, 8, 16
#: Width of the words at the left of a row.
WORDS_PX = 250
INK, QUIET, PAPER = (22, 25, 29), (77, 86, 95), (255, 255, 255)
#: Amber and blue tell for every common kind of colour vision; the other class is crossed by a bar as well.
OWN, OTHER = (138, 82, 0), (11, 95, 134)


def sheet(atlas: Atlas, pictures: Mapping[str, bytes]) -> Image.Image:
    """One row a prototype, in the atlas's order; black on white, as it is printed."""
    across = 1 + max(sum(len(around.nearest) for around in each.neighbourhoods) for each in atlas.portraits)
    head, row = 4 * LINE_PX + GAP_PX, TILE_PX + LINE_PX + 2 * GAP_PX
    size = (WORDS_PX + across * (TILE_PX + GAP_PX) + 3 * GAP_PX, head + row * len(atlas.portraits) + GAP_PX)
    drawn = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(drawn)
    lines = [
        f"Prototypes of {atlas.name}{', SYNTHETIC images' if atlas.synthetic else ''}",
        RESEARCH_ONLY,
        f"{atlas.data_name}; {'; '.join(atlas.licences)}",
    ]
    for place, line in enumerate(lines):
        _write(pen, (GAP_PX, GAP_PX + place * LINE_PX), line, INK)
    for place, portrait in enumerate(atlas.portraits):
        _row(drawn, head + place * row, portrait, pictures)
    return drawn


def _row(drawn: Image.Image, top: int, portrait: Portrait, pictures: Mapping[str, bytes]) -> None:
    pen = ImageDraw.Draw(drawn)
    pen.line([(GAP_PX, top - GAP_PX), (drawn.width - GAP_PX, top - GAP_PX)], fill=(201, 208, 214))
    words = [portrait.prototype_id, f"class {portrait.prototype_class}"]
    words += [f"{SPLIT_WORDS[around.split]} purity {of(around.purity)}" for around in portrait.neighbourhoods]
    words += [f"fired in {of(portrait.fired_own)} own, {of(portrait.fired_others)} others"]
    words += [f"{percent(portrait.decided)} of all contributions"]
    words += [f"twin: {each.prototype_id}" for each in portrait.twins[:1]]
    for place, line in enumerate(words):
        _write(pen, (GAP_PX, top + place * LINE_PX), line, INK if place == 0 else QUIET)
    left = WORDS_PX
    _paste(drawn, pictures[portrait.source.patch], (left, top))
    _write(pen, (left, top + TILE_PX), "the prototype", INK)
    left += TILE_PX + 2 * GAP_PX
    for around in portrait.neighbourhoods:
        for neighbour in around.nearest:
            own = neighbour.image_class == portrait.prototype_class
            colour = OWN if own else OTHER
            _paste(drawn, pictures[neighbour.patch], (left, top))
            pen.rectangle([left - 3, top - 3, left + TILE_PX + 2, top + TILE_PX + 2], outline=colour, width=3)
            if not own:
                pen.rectangle([left, top + TILE_PX - 12, left + TILE_PX - 1, top + TILE_PX - 1], fill=colour)
            _write(pen, (left, top + TILE_PX + 2), f"{around.split}: {neighbour.image_class}", colour)
            left += TILE_PX + GAP_PX
        left += GAP_PX


def _paste(drawn: Image.Image, content: bytes, corner: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(content)) as picture:
        drawn.paste(picture.convert("RGB").resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC), corner)


def _write(pen: ImageDraw.ImageDraw, corner: tuple[int, int], words: str, colour: tuple[int, int, int]) -> None:
    pen.text(corner, words, fill=colour, font=ImageFont.load_default(LINE_PX - 4))
