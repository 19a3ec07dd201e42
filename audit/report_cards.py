"""One pair 'this looks like that' on paper: exam patch, training patch, and what the likeness counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PIL import Image
from reportlab.lib.colors import black, white
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import Flowable, Table, TableStyle

from audit.report_fonts import BOLD, SANS, clipped
from audit.report_hanging import lean, open_picture
from audit.report_layout import (
    AGAINST_COLOUR,
    BODY_BOLD,
    FOR_COLOUR,
    INK,
    RULE,
    SMALL,
    SMALL_BOLD,
    SMALL_QUIET,
    WIDTH,
    words,
)
from audit.report_words import (
    blanking_words,
    box_kind_words,
    other_boxes_words,
    seen_words,
    side_and_view,
    sized_box,
    warning_words,
)
from medproto.records import Prediction, PrototypeMatch
from medproto.summary import Evidence, has_score, number, shown_box, signed

_SIDE: Final = 33 * mm
_CAPTION: Final = 4.4 * mm
_TAG_COLUMN: Final = 9 * mm
_BETWEEN: Final = 3 * mm
_TEXT: Final = WIDTH - _TAG_COLUMN - 2 * _SIDE - 2 * _BETWEEN
#: Small patches are enlarged smoothly to this many pixels, since viewers differ in how they enlarge.
_PATCH_PIXELS: Final = 280


class Patch(Flowable):  # type: ignore[misc] # reportlab has no types
    """A stored patch on a black square with its caption underneath."""

    def __init__(self, data: bytes, caption: str) -> None:
        super().__init__()
        self.width, self.height = _SIDE, _SIDE + _CAPTION
        self._picture, self._caption = open_picture(data).convert("RGB"), caption

    def draw(self) -> None:
        """Draws square, picture and caption on the flowable's canvas."""
        canvas = self.canv
        canvas.setFillColor(black)
        canvas.rect(0, _CAPTION, _SIDE, _SIDE, stroke=0, fill=1)
        factor = _SIDE / max(self._picture.size)
        width, height = self._picture.width * factor, self._picture.height * factor
        picture = self._picture
        if max(picture.size) < _PATCH_PIXELS:
            enlarged = _PATCH_PIXELS / max(picture.size)
            size = (round(picture.width * enlarged), round(picture.height * enlarged))
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        canvas.drawImage(
            ImageReader(lean(picture)), (_SIDE - width) / 2, _CAPTION + (_SIDE - height) / 2, width, height
        )
        canvas.setFillColor(SMALL.textColor)
        canvas.setFont(SANS, 7.4)
        canvas.drawString(0, 1.2 * mm, clipped(self._caption, _SIDE, 7.4))


class Tag(Flowable):  # type: ignore[misc] # reportlab has no types
    """The evidence label: a filled square for what speaks for, an open one for what speaks against."""

    def __init__(self, label: str, against: bool) -> None:
        super().__init__()
        self.width = self.height = 6 * mm
        self._label, self._against = label, against

    def draw(self) -> None:
        """Draws the square and its label."""
        colour = AGAINST_COLOUR if self._against else FOR_COLOUR
        self.canv.setStrokeColor(colour)
        self.canv.setFillColor(white if self._against else colour)
        self.canv.setLineWidth(1)
        wide = max(self.width, pdfmetrics.stringWidth(self._label, BOLD, 9) + 2 * mm)
        self.canv.rect(0.3, 0, wide, self.height, stroke=1, fill=1)
        self.canv.setFillColor(colour if self._against else white)
        self.canv.setFont(BOLD, 9)
        self.canv.drawCentredString(0.3 + wide / 2, 1.9 * mm, self._label)


def evidence_card(item: Evidence, prediction: Prediction, pictures: Callable[[str], bytes], against: bool) -> Flowable:
    """One pair with its numbers; it is never split over two pages."""
    match, source = item.match, item.match.source
    here = prediction.image(match.image_id).title
    there = side_and_view(source.laterality, source.view)
    card = Table(
        [
            [
                Tag(item.label, against),
                Patch(pictures(match.patch or ""), f"This exam: {here}"),
                Patch(pictures(source.patch), f"Training image: {there}"),
                _numbers(match, prediction),
            ]
        ],
        colWidths=[_TAG_COLUMN, _SIDE + _BETWEEN, _SIDE + _BETWEEN, _TEXT],
    )
    card.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), SANS, 7.4),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 2.4 * mm),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1 * mm),
                ("LINEABOVE", (0, 0), (-1, 0), 0.35, RULE),
            ]
        )
    )
    return card


def _numbers(match: PrototypeMatch, prediction: Prediction) -> Flowable:
    """Prototype, what it counted, and both places, as label and value."""
    source = match.source
    rows = [("Similarity", number(match.similarity))]
    if has_score(prediction):
        rows = [
            (
                "Counted",
                f"similarity {number(match.similarity)} x weight {signed(match.weight)} = "
                f"contribution {signed(match.contribution)}",
            )
        ]
    image, others = prediction.image(match.image_id), other_boxes_words(match)
    rows += [
        ("Blanking", blanking_words(match, prediction.blanked)),
        *([("Other boxes", others)] if others else []),
        ("Box", f"{image.title}, {box_kind_words(match)}, {sized_box(shown_box(match), image)}"),
        *([] if shown_box(match) == match.box else [("Patch", f"{image.title}, {sized_box(match.box, image)}")]),
        ("Seen region", seen_words(match, image)),
        ("Training", f"{side_and_view(source.laterality, source.view)}, {sized_box(source.box, source)}"),
        ("Source", f"{source.image_id}, distance {number(source.distance, 4)} (squared L2)"),
    ]
    head = words(f"Prototype {match.prototype_id}: {match.prototype_class}", BODY_BOLD)
    warning = warning_words(match, prediction.blanked)
    across = [[head, ""], *([[_warning(warning), ""]] if warning else [])]
    cells = [*across, *([words(label, SMALL_QUIET), words(text, SMALL)] for label, text in rows)]
    numbers = Table(cells, colWidths=[19 * mm, _TEXT - 19 * mm])
    numbers.setStyle(
        TableStyle(
            [
                *(("SPAN", (0, row), (1, row)) for row in range(len(across))),
                ("FONT", (0, 0), (-1, -1), SANS, 7.4),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 0.6),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
            ]
        )
    )
    return numbers


def _warning(text: str) -> Flowable:
    """A warning in a frame: words, not colour, carry it."""
    framed = Table([[words(text, SMALL_BOLD)]], colWidths=[_TEXT])
    framed.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), SANS, 7.4),
                ("BOX", (0, 0), (-1, -1), 0.8, INK),
                ("LEFTPADDING", (0, 0), (-1, -1), 1.5 * mm),
                ("RIGHTPADDING", (0, 0), (-1, -1), 1.5 * mm),
                ("TOPPADDING", (0, 0), (-1, -1), 1),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.4),
            ]
        )
    )
    return framed
