"""What the report draws: the score on its axis and the wall of views with overlays, boxes and scale bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image
from reportlab.lib.colors import HexColor, black, white
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import Flowable

from audit.report_fonts import BOLD, SANS
from audit.report_hanging import (
    HangingRow,
    Rect,
    Slot,
    TaggedBox,
    boxes_on,
    cells_on,
    composite,
    hang,
    lean,
    place_tags,
    scale_bar_mm,
    window,
)
from audit.report_layout import FOR_COLOUR, INK, NEUTRAL_COLOUR, QUIET, WIDTH
from medproto.records import Box, ImageRecord, Prediction
from medproto.summary import Evidence, number, supporting

_TAG: Final = HexColor("#ffd24a")
_GAP_INK: Final = HexColor("#9aa3ad")
#: Pictures are set at this density: enough for print, and a file that can be mailed.
_PIXELS_PER_POINT: Final = 220 / 72
_ROW_HEIGHT: Final = 85 * mm
_GAP_ROW_HEIGHT: Final = 13 * mm
_TAG_SIZE: Final = 7.4
#: Lengths of dash and gap in points.
_DASH: Final = (2.2, 1.6)
_LEAST_ROW_HEIGHT: Final = 58 * mm
#: Of a page that two rows must not fill to the last point.
_AIR: Final = 2 * mm


class ScoreBar(Flowable):  # type: ignore[misc] # reportlab has no types
    """The margin on its axis: shaded from the operating point up, with both values written beside their marks."""

    def __init__(self, margin: float, operating_point: float, flagged: bool) -> None:
        super().__init__()
        self.width, self.height = WIDTH, 19 * mm
        self._margin, self._point, self._flagged = margin, operating_point, flagged
        low, high = min(margin, operating_point, 0.0), max(margin, operating_point, 0.0)
        room = 0.3 * (high - low) or 1.0
        self._low, self._high = low - room, high + room

    def draw(self) -> None:
        """Draws axis, zones, marks and labels on the flowable's canvas."""
        canvas, y, thick = self.canv, 8 * mm, 3.2 * mm
        point, here = self._x(self._point), self._x(self._margin)
        canvas.setFillColor(HexColor("#dfe4e9"))
        canvas.rect(0, y, point, thick, stroke=0, fill=1)
        canvas.setFillColor(HexColor("#f3d6b8"))
        canvas.rect(point, y, self.width - point, thick, stroke=0, fill=1)
        canvas.setStrokeColor(INK)
        canvas.setLineWidth(1.1)
        canvas.line(point, y - 1.4 * mm, point, y + thick)
        self._label(point, y - 4.6 * mm, f"operating point {number(self._point)}", SANS)
        canvas.setFillColor(FOR_COLOUR if self._flagged else NEUTRAL_COLOUR)
        mark = canvas.beginPath()
        mark.moveTo(here, y + thick - 1.2 * mm)
        mark.lineTo(here - 1.7 * mm, y + thick + 2.2 * mm)
        mark.lineTo(here + 1.7 * mm, y + thick + 2.2 * mm)
        mark.close()
        canvas.drawPath(mark, stroke=0, fill=1)
        self._label(here, y + thick + 3.2 * mm, f"score (margin) {number(self._margin)}", BOLD)
        self._zone_names(y, point)

    def _zone_names(self, y: float, point: float) -> None:
        self.canv.setFont(SANS, 7.2)
        self.canv.setFillColor(QUIET)
        half = pdfmetrics.stringWidth(f"operating point {number(self._point)}", SANS, 8) / 2 + 3 * mm
        if point - half > 22 * mm:
            self.canv.drawString(0, y - 4.6 * mm, "not flagged")
        if self.width - point - half > 16 * mm:
            self.canv.drawRightString(self.width, y - 4.6 * mm, "flagged")

    def _x(self, value: float) -> float:
        return float((value - self._low) / (self._high - self._low) * self.width)

    def _label(self, x: float, y: float, text: str, font: str) -> None:
        half = pdfmetrics.stringWidth(text, font, 8) / 2
        self.canv.setFont(font, 8)
        self.canv.setFillColor(INK)
        self.canv.drawCentredString(min(max(x, half), self.width - half), y, text)


@dataclass(frozen=True)
class Hung:
    """One view ready to hang: the composited picture of its window, and where that window lies in the original."""

    image: ImageRecord
    picture: Image.Image
    window: Box
    boxes: tuple[TaggedBox, ...]
    cells: tuple[TaggedBox, ...]
    #: Width and height that it may take, in points.
    room: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float] | None:
        """Width and height of the window in millimetres, where spacing is known."""
        if self.image.spacing_mm is None:
            return None
        row_mm, column_mm = self.image.spacing_mm
        return (self.window.right - self.window.left) * column_mm, (self.window.bottom - self.window.top) * row_mm

    def fitted(self, points_per_mm: float | None) -> tuple[float, float]:
        """Width and height in points: at the common scale, or as large as fits where spacing is unknown."""
        if self.size_mm and points_per_mm:
            return self.size_mm[0] * points_per_mm, self.size_mm[1] * points_per_mm
        width, height = self.window.right - self.window.left, self.window.bottom - self.window.top
        factor = min(self.room[0] / width, self.room[1] / height)
        return width * factor, height * factor


class WallRow(Flowable):  # type: ignore[misc] # reportlab has no types
    """One row of the wall: the right breast's view ends, and the left breast's begins, at the middle.

    Args:
        row: what hangs here.
        hung: the views by image id.
        points_per_mm: common scale of all views whose spacing is known; None where none is.
        height: of a row with a picture, in points.
    """

    def __init__(self, row: HangingRow, hung: dict[str, Hung], points_per_mm: float | None, height: float) -> None:
        super().__init__()
        self.width = WIDTH
        self.height = _GAP_ROW_HEIGHT if row.empty else height
        self._row, self._hung, self._scale = row, hung, points_per_mm

    def draw(self) -> None:
        """Draws the black wall, then both places."""
        self.canv.setFillColor(black)
        self.canv.rect(0, 0, self.width, self.height, stroke=0, fill=1)
        if self._row.on_left:
            self._place(self._row.on_left, to_left=True)
        if self._row.on_right:
            self._place(self._row.on_right, to_left=False)

    def _place(self, slot: Slot, to_left: bool) -> None:
        if slot.image:
            self._view(self._hung[slot.image.image_id], to_left)
            self._corner(slot.label, to_left, white, BOLD)
        else:
            self._corner(f"{slot.label}: not in this exam", to_left, _GAP_INK, SANS)

    def _corner(self, text: str, to_left: bool, colour: object, font: str) -> None:
        self.canv.setFont(font, 9 if font == BOLD else 8)
        self.canv.setFillColor(colour)
        y = self.height - 5 * mm
        if to_left:
            self.canv.drawString(3 * mm, y, text)
        else:
            self.canv.drawRightString(self.width - 3 * mm, y, text)

    def _view(self, view: Hung, to_left: bool) -> None:
        width, height = view.fitted(self._scale)
        middle = self.width / 2
        frame = Rect(middle - 0.6 - width if to_left else middle + 0.6, (self.height - height) / 2, width, height)
        self._picture(view, frame)
        self._boxes(view, frame)
        if view.size_mm:
            self._scale_bar(width / view.size_mm[0], view.size_mm[0], to_left)

    def _picture(self, view: Hung, frame: Rect) -> None:
        picture = view.picture
        size = (max(1, round(frame.width * _PIXELS_PER_POINT)), max(1, round(frame.height * _PIXELS_PER_POINT)))
        if size[0] < picture.width:
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        y = self.height - frame.top - frame.height
        self.canv.drawImage(ImageReader(lean(picture)), frame.left, y, frame.width, frame.height)

    def _boxes(self, view: Hung, frame: Rect) -> None:
        self.canv.saveState()
        edge = self.canv.beginPath()
        edge.rect(frame.left, self.height - frame.top - frame.height, frame.width, frame.height)
        self.canv.clipPath(edge, stroke=0, fill=0)
        for cell in view.cells:
            self._outline(_drawn(cell.box, view.window, frame), dashed=True)
        rects = [_drawn(tag.box, view.window, frame) for tag in view.boxes]
        sizes = [(pdfmetrics.stringWidth(tag.text, BOLD, _TAG_SIZE) + 3.4, _TAG_SIZE + 1.4) for tag in view.boxes]
        for rect in rects:
            self._outline(rect, dashed=False)
        self.canv.restoreState()
        for tag, spot in zip(view.boxes, place_tags(rects, sizes, frame), strict=True):
            y = self.height - spot.top - spot.height
            self.canv.setFillColor(_TAG)
            self.canv.rect(spot.left, y, spot.width, spot.height, stroke=0, fill=1)
            self.canv.setFillColor(black)
            self.canv.setFont(BOLD, _TAG_SIZE)
            self.canv.drawCentredString(spot.left + spot.width / 2, y + 1.8, tag.text)

    def _outline(self, rect: Rect, dashed: bool) -> None:
        y = self.height - rect.top - rect.height
        self.canv.saveState()
        for colour, line in ((black, 2.0), (_TAG, 0.9)):
            self.canv.setStrokeColor(colour)
            self.canv.setLineWidth(line)
            if dashed and colour is _TAG:
                self.canv.setDash(*_DASH)
            self.canv.rect(rect.left, y, rect.width, rect.height, stroke=1, fill=0)
        self.canv.restoreState()

    def _scale_bar(self, points_per_mm: float, width_mm: float, to_left: bool) -> None:
        length_mm = scale_bar_mm(width_mm)
        length = length_mm * points_per_mm
        x = 3 * mm if to_left else self.width - 3 * mm - length
        self.canv.setStrokeColor(white)
        self.canv.setFillColor(white)
        self.canv.setLineWidth(1)
        y = 4 * mm
        self.canv.line(x, y, x + length, y)
        for end in (x, x + length):
            self.canv.line(end, y - 2, end, y + 2)
        self.canv.setFont(SANS, 7.2)
        self.canv.drawCentredString(x + length / 2, y + 3.4, f"{length_mm} mm")


def _drawn(box: Box, window: Box, frame: Rect) -> Rect:
    """Where a box of the original lies in the frame that its window is drawn in."""
    scale = frame.width / (window.right - window.left)
    return Rect(
        frame.left + (box.left - window.left) * scale,
        frame.top + (box.top - window.top) * scale,
        (box.right - box.left) * scale,
        (box.bottom - box.top) * scale,
    )


def wall(prediction: Prediction, pictures: Callable[[str], bytes], space: float) -> list[Flowable]:
    """The rows of the wall, all views of known spacing at one scale.

    Args:
        space: points that are left on the page; two rows shrink to fit there, as CC and MLO are read together.
    """
    evidence, rows = supporting(prediction), hang(prediction.images)
    height = _row_height(rows, space)
    room = (WIDTH / 2 - 1.5 * mm, height - 2 * mm)
    hung = {image.image_id: _hung(image, evidence, pictures, room) for image in prediction.images}
    sizes = [view.size_mm for view in hung.values() if view.size_mm]
    scale = min((min(room[0] / wide, room[1] / high) for wide, high in sizes), default=None)
    return [WallRow(row, hung, scale, height) for row in rows]


def _row_height(rows: Sequence[HangingRow], space: float) -> float:
    filled = sum(not row.empty for row in rows)
    fitting = (space - _AIR - _GAP_ROW_HEIGHT * (len(rows) - filled)) / filled
    return float(min(fitting, _ROW_HEIGHT) if filled <= 2 and fitting >= _LEAST_ROW_HEIGHT else _ROW_HEIGHT)


def _hung(
    image: ImageRecord, evidence: Sequence[Evidence], pictures: Callable[[str], bytes], room: tuple[float, float]
) -> Hung:
    here = [item.match.overlay for item in reversed(evidence) if item.match.image_id == image.image_id]
    picture = composite(pictures(image.preview), [pictures(digest) for digest in here if digest])
    part, scale = window(image, evidence), image.preview_scale
    whole = Box(
        top=round(part.top * scale) / scale,
        left=round(part.left * scale) / scale,
        bottom=min(round(part.bottom * scale), picture.height) / scale,
        right=min(round(part.right * scale), picture.width) / scale,
    )
    edges = (whole.left * scale, whole.top * scale, whole.right * scale, whole.bottom * scale)
    cut = picture.crop((round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3])))
    return Hung(image, cut, whole, boxes_on(evidence, image.image_id), cells_on(evidence, image.image_id), room)
