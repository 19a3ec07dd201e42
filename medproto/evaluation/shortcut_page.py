"""The shortcut check for a reader: one sentence, a table, and a sheet of the strongest patches outside the lesions."""

from __future__ import annotations

import base64
from html import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medproto import pictures
from medproto.evaluation.classification import Interval
from medproto.evaluation.html_parts import note, section, table
from medproto.evaluation.shortcut import ENOUGH, Checked, Outside, Shortcut
from medproto.records import Box
from medproto.training.inputs import InputSet

#: Exams on a sheet, and how many side by side.
MOST_SHOWN, ACROSS = 12, 3
_TILE_PX, _GAP_PX, _LINE_PX = pictures.PATCH_PX, 12, 18
#: Blue tells from amber for every common kind of colour vision (Okabe and Ito 2008).
LESION_RGB, INK, PAPER = (86, 180, 233), (22, 25, 29), (255, 255, 255)


def sentence(found: Shortcut) -> str:
    """What was found, in one sentence."""
    if found.in_lesion is None or found.lesion_drop is None or found.evidence_drop is None:
        return "Whether a shortcut decides cannot be told: no flagged exam has an annotated lesion."
    facts = (
        f"in {found.in_lesion.value:.0%} of {found.exams} flagged exams the strongest patch lies in the lesion; taking "
        f"the lesions away lowers the margin by {found.lesion_drop.value:.2f}, taking away as large an area of the "
        f"strongest patches outside by {found.evidence_drop.value:.2f}."
    )
    if found.verdict == "suspected":
        return f"SHORTCUT SUSPECTED: {facts}"
    if found.verdict == "no sign":
        return f"No sign of a shortcut: {facts}"
    few = f"; fewer than {ENOUGH} exams say nothing" if found.exams < ENOUGH else ""
    return f"Whether a shortcut decides cannot be told ({found.exams} exams{few}): {facts}"


def shortcut_section(checked: Checked, data: InputSet) -> str:
    """The section of the page, with the sheet where evidence lies outside a lesion."""
    found = checked.result
    rows = [
        ("strongest patch in the lesion", _told(found.in_lesion)),
        ("a patch drawn by chance in the lesion", _told(found.random_in_lesion)),
        ("margin", _told(found.margin)),
        ("taken from it by the lesions", _told(found.lesion_drop)),
        ("by the strongest patches outside any finding, as large in all", _told(found.evidence_drop)),
        ("by as many patches drawn by chance", _told(found.random_drop)),
        ("those strongest patches less the lesions", _told(found.difference)),
        ("no longer flagged without the lesions", _told(found.unflagged_without_lesion)),
        ("no longer flagged without those strongest patches", _told(found.unflagged_without_evidence)),
    ]
    rule = (
        "Flagged exams with an annotated lesion; what is taken away is replaced by its blurred surround. Suspected "
        "where the strongest patch lies in the lesion in less than half of them, and the patches outside take more "
        "from the margin than patches by chance (intervals apart) and than the lesions; no sign of one where the patch "
        "lies in the lesion in more than half and the lesions take more. A shortcut on the lesion itself, all over the "
        "picture or in a few exams is not seen; what truly accompanies lesions looks like one."
    )
    loud = ' class="warn"' if found.verdict == "suspected" else ""
    told = f"<p{loud}>{escape(sentence(found))}</p>"
    return section("Shortcut check", told, table(("measure", "value"), rows), note(rule), _figure(checked, data))


def sheet(outside: tuple[Outside, ...], data: InputSet) -> Image.Image:
    """The strongest patches of exams, each with the view that holds it: the patch amber, findings blue."""
    shown = outside[:MOST_SHOWN]
    rows, columns = data.images.shape[2:]
    wide = max(round(columns * _TILE_PX / rows), 1)
    tile = (wide + _TILE_PX + 3 * _GAP_PX, _TILE_PX + 2 * _GAP_PX)
    head = 2 * _LINE_PX + _GAP_PX
    down = -(-len(shown) // ACROSS)
    drawn = Image.new("RGB", (tile[0] * ACROSS, head + tile[1] * down), PAPER)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(_LINE_PX - 4)
    synthetic = " SYNTHETIC." if any(source.synthetic for source in data.sources) else ""
    lines = (
        f"Strongest patches outside the lesions, {len(shown)} of {len(outside)} exams.{synthetic}",
        "Amber: the patch. Blue: annotated findings. Research use only, not for primary diagnosis.",
    )
    for place, line in enumerate(lines):
        pen.text((_GAP_PX, _GAP_PX // 2 + place * _LINE_PX), line, fill=INK, font=font)
    for place, one in enumerate(shown):
        left, top = place % ACROSS * tile[0] + _GAP_PX, head + place // ACROSS * tile[1]
        drawn.paste(_view(one, data).resize((wide, _TILE_PX), Image.Resampling.BICUBIC), (left, top))
        edges = dict(zip(("top", "left", "bottom", "right"), one.box, strict=True))
        patch = pictures.patch(data.images[one.image, 0].numpy(), Box(**edges))
        drawn.paste(patch, (left + wide + _GAP_PX, top))
    return drawn


def _view(one: Outside, data: InputSet) -> Image.Image:
    """The input in colour, its findings and the patch outlined by one pixel."""
    picture = np.stack([data.images[one.image, 0].numpy()] * 3, axis=-1)
    finding = data.lesion[one.image].numpy() > 0
    edge = finding & ~_shrunk(finding)
    picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    picture[edge] = LESION_RGB
    drawn = Image.fromarray(picture)
    top, left, bottom, right = one.box
    ImageDraw.Draw(drawn).rectangle([left, top, right - 1, bottom - 1], outline=pictures.OVERLAY_RGB)
    return drawn


def _shrunk(mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """The mask without the pixels that touch its outside."""
    around = np.pad(mask, 1)
    return around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]


def _figure(checked: Checked, data: InputSet) -> str:
    if not checked.outside:
        return ""
    content = base64.b64encode(pictures.png(sheet(checked.outside, data))).decode()
    words = "strongest patches of exams whose evidence lies outside the lesion"
    return f'<img class="plot" alt="{words}" src="data:image/png;base64,{content}">'


def _told(value: Interval | float | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
