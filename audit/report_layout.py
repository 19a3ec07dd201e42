"""The report's paper: fonts, styles, page frame, running header and footer.

Nothing here depends on the clock or on the machine: fonts are files of this package, and reportlab runs invariant, so
the same entry gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeAlias
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from audit.report_fonts import BOLD, MONO, SANS, clipped, font_of, printable, register_fonts
from audit.report_words import IDENTIFIED, RESEARCH_USE

INK: Final = HexColor("#16191d")
QUIET: Final = HexColor("#59626d")
RULE: Final = HexColor("#cfd4da")
PALE: Final = HexColor("#f3f5f7")
FOR_COLOUR: Final = HexColor("#9a4300")
AGAINST_COLOUR: Final = HexColor("#1d5f7a")
NEUTRAL_COLOUR: Final = HexColor("#4a5563")

#: What a table takes: plain text, or what is already set.
Cell: TypeAlias = str | Flowable | list[Flowable]

MARGIN: Final = 16 * mm
WIDTH: Final = A4[0] - 2 * MARGIN
_TOP: Final = 19 * mm
_BOTTOM: Final = 17 * mm
#: What of a page the story may fill.
FRAME_HEIGHT: Final = A4[1] - _TOP - _BOTTOM


@dataclass(frozen=True)
class Running:
    """What every page repeats at its head and foot.

    Args:
        subject: the exam or entry the report is about.
        footer: entry number and leaf.
        synthetic: what of it is synthetic, in words; empty where nothing is.
        patient: who it is of, where the report names the patient; else empty.
    """

    subject: str
    footer: str
    synthetic: str
    patient: str = ""

    @property
    def tags(self) -> tuple[tuple[str, Color], ...]:
        """What stands in colour at the head of every page."""
        synthetic, identified = ((self.synthetic, FOR_COLOUR),), ((IDENTIFIED, INK),)
        return (
            *(synthetic if self.synthetic else ()),
            (RESEARCH_USE, NEUTRAL_COLOUR),
            *(identified if self.patient else ()),
        )


def _style(name: str, font: str = SANS, size: float = 8.5, leading: float = 0, colour: Color = INK) -> ParagraphStyle:
    return ParagraphStyle(
        name,
        fontName=font,
        bulletFontName=font,
        fontSize=size,
        leading=leading or size * 1.36,
        textColor=colour,
        splitLongWords=1,
    )


TITLE: Final = _style("title", BOLD, 15, 19)
LEAD: Final = _style("lead", SANS, 11, 15.4)
HEADING: Final = _style("heading", BOLD, 11.5, 15)
BODY: Final = _style("body")
BODY_BOLD: Final = _style("body bold", BOLD)
BODY_QUIET: Final = _style("body quiet", colour=QUIET)
SMALL: Final = _style("small", size=7.4)
SMALL_QUIET: Final = _style("small quiet", size=7.4, colour=QUIET)
SMALL_BOLD: Final = _style("small bold", BOLD, 7.4)
SMALL_RIGHT: Final = ParagraphStyle("small right", SMALL, alignment=TA_RIGHT)
SMALL_BOLD_RIGHT: Final = ParagraphStyle("small bold right", SMALL_BOLD, alignment=TA_RIGHT)
DIGEST: Final = _style("digest", MONO, 6.6, 9)


def words(text: str, style: ParagraphStyle = BODY) -> Paragraph:
    """A paragraph of plain text; markup characters in it are printed, not obeyed.

    What its font lacks is set in the monospaced one, which has arrows, signs and further scripts, or else spelled.
    """
    marked = []
    for font, run in groupby(text, lambda letter: font_of(letter, style.fontName)):
        said = escape(printable("".join(run), font)).replace("\n", "<br/>")
        marked.append(said if font == style.fontName else f'<font name="{font}">{said}</font>')
    return Paragraph("".join(marked), style)


def table(
    rows: Sequence[Sequence[Cell]], widths: Sequence[float], header: bool = True, numbers: frozenset[int] = frozenset()
) -> Table:
    """A quiet table: hairlines between rows, the header repeated on every page it runs over.

    Args:
        rows: the cells, row by row.
        widths: of the columns, in points.
        header: whether the first row is one.
        numbers: columns set to the right, so that the points of their numbers stand below one another.
    """
    cells = [[_cell(cell, header and i == 0, j in numbers) for j, cell in enumerate(row)] for i, row in enumerate(rows)]
    commands: list[tuple[Any, ...]] = [
        ("FONT", (0, 0), (-1, -1), SANS, 7.4),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3 * mm),
        ("TOPPADDING", (0, 0), (-1, -1), 2.2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ("LINEBELOW", (0, 0), (-1, -1), 0.35, RULE),
    ]
    if header:
        commands.append(("LINEBELOW", (0, 0), (-1, 0), 0.8, NEUTRAL_COLOUR))
    style = TableStyle(commands)
    # A row that is higher than a page, such as one with a long comment, is broken inside.
    return Table(cells, colWidths=list(widths), repeatRows=int(header), style=style, hAlign="LEFT", splitInRow=1)


def section(heading: str, note: str, content: Sequence[Flowable]) -> list[Flowable]:
    """A heading that is never left alone at the foot of a page."""
    head: list[Flowable] = [Spacer(0, 5 * mm), words(heading, HEADING)]
    if note:
        head.append(words(note, SMALL_QUIET))
    head.append(Spacer(0, 1.5 * mm))
    if isinstance(content[0], Table) and content[0].repeatRows:
        return [CondPageBreak(40 * mm), *head, *content]
    return [KeepTogether([*head, content[0]]), *content[1:]]


def stacked(story: Sequence[Flowable]) -> float:
    """How high these are, one below the other, in points."""
    return float(sum(part.wrap(WIDTH, FRAME_HEIGHT)[1] + part.getSpaceAfter() for part in story))


def build_pdf(story: Sequence[Flowable], running: Running, title: str) -> bytes:
    """Sets the story on A4 pages and gives the file's bytes; the same story gives the same bytes."""
    register_fonts()
    out = io.BytesIO()
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        invariant=1,
        initialFontName=SANS,
        title=title,
        author="medproto",
        subject=RESEARCH_USE,
        creator="medproto",
        lang="en",
    )
    frame = Frame(MARGIN, _BOTTOM, WIDTH, FRAME_HEIGHT, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate("page", [frame]))

    def canvas(*args: Any, **kwargs: Any) -> NumberedCanvas:
        return NumberedCanvas(running, *args, **kwargs)

    document.build(list(story), canvasmaker=canvas)
    return out.getvalue()


class NumberedCanvas(Canvas):  # type: ignore[misc] # reportlab has no types
    """A canvas that draws head and foot last, when the number of pages is known."""

    def __init__(self, running: Running, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running = running
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:
        """Keeps the page until the number of pages is known."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Writes the kept pages, each with its head and foot."""
        for state in self._pages:
            self.__dict__.update(state)
            self._head()
            self._foot(len(self._pages))
            super().showPage()
        super().save()

    def _head(self) -> None:
        top = A4[1] - 9 * mm
        x = MARGIN
        for text, colour in self._running.tags:
            width = pdfmetrics.stringWidth(text, BOLD, 7.2) + 4 * mm
            self.setFillColor(colour)
            self.roundRect(x, top - 1.7 * mm, width, 5.2 * mm, 1 * mm, stroke=0, fill=1)
            self.setFillColor(white)
            self.setFont(BOLD, 7.2)
            self.drawString(x + 2 * mm, top, text)
            x += width + 2 * mm
        self.setFillColor(QUIET)
        self.setFont(SANS, 7.2)
        self.drawRightString(A4[0] - MARGIN, top, clipped(self._running.subject, A4[0] - MARGIN - x - 2 * mm, 7.2))
        self.setStrokeColor(RULE)
        self.setLineWidth(0.5)
        self.line(MARGIN, top - 4 * mm, A4[0] - MARGIN, top - 4 * mm)
        if self._running.patient:
            self.setFillColor(INK)
            self.setFont(BOLD, 8)
            self.drawString(MARGIN, top - 7.6 * mm, clipped(self._running.patient, WIDTH, 8, BOLD))

    def _foot(self, pages: int) -> None:
        y = 9 * mm
        self.setFillColor(QUIET)
        self.setFont(SANS, 7.2)
        self.drawString(MARGIN, y, clipped(self._running.footer, WIDTH - 30 * mm, 7.2))
        self.drawRightString(A4[0] - MARGIN, y, f"Page {self.getPageNumber()} of {pages}")


def _cell(cell: Cell, header: bool, numeric: bool) -> Flowable | list[Flowable]:
    if not isinstance(cell, str):
        return cell
    if numeric:
        return words(cell, SMALL_BOLD_RIGHT if header else SMALL_RIGHT)
    return words(cell, SMALL_BOLD if header else SMALL)
