"""The wall on screen: stored pictures, stored overlays and boxes as layers, all sent once.

Which layers are seen is decided by a small style sheet of its own, so that the heatmap switch, the opacity and the
choice of a prototype do not send the pictures again. The bytes shown are the bytes in the evidence store.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.report_hanging import (
    HangingRow,
    Rect,
    Slot,
    TaggedBox,
    boxes_on,
    cells_on,
    hang,
    place_tags,
    scale_bar_mm,
    window,
)
from medproto.records import Box, ImageRecord, Prediction
from medproto.summary import Evidence, opposing, supporting
from ui.style import data_uri

ALL = "All"
#: Height and greatest width of a stage that tags are placed for: the browser scales the stage, tags keep their size.
_STAGE_PIXELS = {False: (300, 320), True: (650, 600)}


@dataclass(frozen=True)
class Stage:
    """The common frame of all views: its size, in millimetres where spacing is known, else in pixels."""

    width: float
    height: float
    in_mm: bool
    large: bool

    @property
    def pixels(self) -> float:
        """About how many pixels of the screen the stage is wide."""
        height, widest = _STAGE_PIXELS[self.large]
        return min(height * self.width / self.height, widest)


def wall_html(prediction: Prediction, picture: Callable[[str], bytes], large: bool) -> str:
    """All views as they hang, with every overlay and box as a hidden layer."""
    stage = _stage(prediction, large)
    rows = [_line(row, stage, prediction, picture) for row in hang(prediction.images)]
    return f'<div class="mp-wall{" large" if large else ""}" role="group" aria-label="Views">{"".join(rows)}</div>'


def layers_css(prediction: Prediction, choice: str, heat: bool, opacity: float) -> str:
    """The style sheet that shows what was chosen: all supporting evidence, or one prototype."""
    labels = [item.label for item in supporting(prediction)] if choice == ALL else [choice]
    marks = ",".join(f".mp-wall .mark-{label}" for label in labels)
    heats = ",".join(f".mp-wall .heat-{label}" for label in labels)
    rules = f"{marks}{{display:block!important}}" if labels else ""
    if heat and labels:
        rules += f"{heats}{{display:block!important;opacity:{opacity:.2f}}}"
    return f"<style>{rules}</style>"


def _line(row: HangingRow, stage: Stage, prediction: Prediction, picture: Callable[[str], bytes]) -> str:
    left = _slot(row.on_left, "R", stage, prediction, picture)
    right = _slot(row.on_right, "L", stage, prediction, picture)
    return f'<div class="line{" gaps" if row.empty else ""}">{left}{right}</div>'


def _slot(slot: Slot | None, place: str, stage: Stage, prediction: Prediction, picture: Callable[[str], bytes]) -> str:
    if slot is None:
        return f'<div class="slot {place}"></div>'
    label = html.escape(slot.label)
    if slot.image is None:
        return f'<div class="slot {place}"><div class="title gap">{label}: not in this exam</div></div>'
    inner = _view(slot.image, stage, prediction, picture)
    ratio = stage.width / stage.height
    size = f"width:min(100%,calc(var(--h) * {ratio:.4f}));aspect-ratio:{ratio:.4f}"
    ruler = _ruler(slot.image, stage)
    return (
        f'<div class="slot {place}"><div class="title">{label}</div>'
        f'<div class="stage" style="{size}">{inner}</div>{ruler}</div>'
    )


def _view(image: ImageRecord, stage: Stage, prediction: Prediction, picture: Callable[[str], bytes]) -> str:
    evidence = (*supporting(prediction), *opposing(prediction))
    part = window(image, evidence)
    width, height = _extent(image, part, stage)
    across, down = part.right - part.left, part.bottom - part.top
    geometry = (
        f"left:{-100 * part.left / across:.3f}%;top:{-100 * part.top / down:.3f}%;"
        f"width:{100 * image.columns / across:.3f}%;height:{100 * image.rows / down:.3f}%"
    )
    layers = [f'<img src="{data_uri(picture(image.preview))}" style="{geometry}" alt="{html.escape(image.title)}">']
    for item in reversed(evidence):
        if item.match.image_id == image.image_id and item.match.overlay:
            uri = data_uri(picture(item.match.overlay))
            layers.append(f'<img class="heat heat-{item.label}" src="{uri}" style="{geometry}" alt="">')
    for group in (supporting(prediction), opposing(prediction)):
        layers += _marks(group, image, part, stage.pixels * width / stage.width)
    size = f"width:{100 * width / stage.width:.3f}%;height:{100 * height / stage.height:.3f}%"
    return f'<div class="view" style="{size}">{"".join(layers)}</div>'


def _marks(evidence: Sequence[Evidence], image: ImageRecord, part: Box, width: float) -> list[str]:
    """Solid boxes with their tags and dashed patches, in percent of the view; letters mark what speaks against."""
    tagged = boxes_on(evidence, image.image_id)
    pixels = width / (part.right - part.left)
    rects = [_drawn(tag.box, part, pixels) for tag in tagged]
    bounds = _drawn(part, part, pixels)
    spots = place_tags(rects, [(8 + 7 * len(t.text), 16) for t in tagged], bounds)
    parts = []
    for cell in cells_on(evidence, image.image_id):
        place = _percent(_drawn(cell.box, part, pixels), bounds, sized=True)
        parts.append(f'<div class="box cell {_classes(cell)}" style="{place}"></div>')
    for tag, rect, spot in zip(tagged, rects, spots, strict=True):
        classes = _classes(tag)
        parts.append(f'<div class="box {classes}" style="{_percent(rect, bounds, sized=True)}"></div>')
        parts.append(f'<div class="tag {classes}" style="{_percent(spot, bounds, sized=False)}">{tag.text}</div>')
    return parts


def _classes(tag: TaggedBox) -> str:
    return " ".join(f"mark-{label}" for label in tag.labels) + ("" if tag.text[0].isdigit() else " against")


def _drawn(box: Box, part: Box, pixels: float) -> Rect:
    """Where a box of the original lies in a view that shows `part` of it."""
    return Rect(
        (box.left - part.left) * pixels,
        (box.top - part.top) * pixels,
        (box.right - box.left) * pixels,
        (box.bottom - box.top) * pixels,
    )


def _percent(rect: Rect, bounds: Rect, sized: bool) -> str:
    place = f"left:{100 * rect.left / bounds.width:.3f}%;top:{100 * rect.top / bounds.height:.3f}%"
    if not sized:
        return place
    return f"{place};width:{100 * rect.width / bounds.width:.3f}%;height:{100 * rect.height / bounds.height:.3f}%"


def _stage(prediction: Prediction, large: bool) -> Stage:
    """The smallest frame that holds every view at one scale."""
    evidence = (*supporting(prediction), *opposing(prediction))
    known = [image for image in prediction.images if image.spacing_mm]
    parts = [(image, window(image, evidence)) for image in known or prediction.images]
    sizes = [_size(image, part) for image, part in parts]
    return Stage(max(w for w, _ in sizes), max(h for _, h in sizes), bool(known), large)


def _size(image: ImageRecord, part: Box) -> tuple[float, float]:
    row_mm, column_mm = image.spacing_mm or (1.0, 1.0)
    return (part.right - part.left) * column_mm, (part.bottom - part.top) * row_mm


def _extent(image: ImageRecord, part: Box, stage: Stage) -> tuple[float, float]:
    """Width and height of a view in the stage's unit: true size where known, else as large as fits."""
    width, height = _size(image, part)
    if image.spacing_mm or not stage.in_mm:
        return width, height
    factor = min(stage.width / width, stage.height / height)
    return width * factor, height * factor


def _ruler(image: ImageRecord, stage: Stage) -> str:
    if not image.spacing_mm:
        return ""
    length = scale_bar_mm(stage.width)
    ratio = stage.width / stage.height
    width = f"calc(min(100%, var(--h) * {ratio:.4f}) * {length / stage.width:.4f})"
    return f'<div class="ruler" style="width:{width}"><span>{length} mm</span></div>'
