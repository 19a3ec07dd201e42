"""The report's fonts: files of this package, so that nothing depends on the machine; and what they cannot draw."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from unicodedata import bidirectional

from reportlab import rl_config
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

SANS: Final = "Roboto"
BOLD: Final = "Roboto-Bold"
MONO: Final = "DejaVuSansMono"
_FONT_FILES: Final = {SANS: "Roboto-Regular.ttf", BOLD: "Roboto-Bold.ttf", MONO: "DejaVuSansMono.ttf"}


def register_fonts() -> None:
    """Makes the embedded fonts known to reportlab, once."""
    for name, file in _FONT_FILES.items():
        if name not in pdfmetrics.getRegisteredFontNames():
            font = TTFont(name, str(Path(__file__).parent / "fonts" / file))
            if name == MONO:
                _widen(font)
            pdfmetrics.registerFont(font)
    pdfmetrics.registerFontFamily(SANS, normal=SANS, bold=BOLD, italic=SANS, boldItalic=BOLD)
    rl_config.useA85 = 0  # A stream of plain text is a quarter larger, takes longer and says nothing more.


def _widen(font: TTFont) -> None:
    """Gives every glyph of the monospaced font its width in the font's own units.

    reportlab 5.1 keeps those behind the last full record of `hmtx` in thousandths of an em, so that the embedded font
    program would contradict the widths beside it (ISO 19005-1 clause 6.3.6).
    """
    widest = max(width for width, _ in font.face.hmetrics)
    font.face.hmetrics = [(widest, bearing) for _, bearing in font.face.hmetrics]


def printable(text: str, font: str = SANS) -> str:
    """The text with every character that the embedded font cannot draw spelled as its code point, such as `‹U+4E2D›`.

    An empty box would say nothing, and PDF/A forbids it.
    """
    glyphs = pdfmetrics.getFont(font).face.charToGlyph
    return "".join(c if ord(c) in glyphs or c in "\n\t" else f"‹U+{ord(c):04X}›" for c in text)


def font_of(letter: str, font: str) -> str:
    """The font a letter is set in. Scripts from right to left stay spelled: their letters would stand unjoined."""
    if ord(letter) in pdfmetrics.getFont(font).face.charToGlyph or bidirectional(letter) in ("R", "AL"):
        return font
    return MONO if ord(letter) in pdfmetrics.getFont(MONO).face.charToGlyph else font


def clipped(text: str, width: float, size: float, font: str = SANS) -> str:
    """The text, shortened in its middle with an ellipsis where it is wider than the room it has."""
    text = printable(text, font)
    if pdfmetrics.stringWidth(text, font, size) <= width:
        return text
    for keep in range(len(text) - 1, 1, -1):
        short = text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
        if pdfmetrics.stringWidth(short, font, size) <= width:
            return short
    return "…"
