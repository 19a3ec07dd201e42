"""Two PDFs side by side, page by page: words, pictures, letters, everything else that is drawn, and the file around.

Streams are compared as they decode, not as they are packed: another version of a compressor alters nothing here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pikepdf
from pikepdf import Dictionary, Name, Object, Pdf

from audit.report_archival import opened_pdf

#: Leads back to the whole document, or is compared page by page.
_LEFT_OUT: Final = frozenset({"/Parent", "/Pages", "/Kids", "/Count"})
_CODES: Final = re.compile(rb"<([0-9A-Fa-f]{2})> <([0-9A-Fa-f]{4})>")
_MAX_ANCESTORS: Final = 20
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class PageParts:
    """One page taken apart: its words in the order drawn, its pictures, its letter shapes, and the rest of it."""

    words: tuple[str, ...]
    pictures: tuple[str, ...]
    letters: str
    rest: str


@dataclass(frozen=True)
class PdfParts:
    """A PDF taken apart: its pages, and a digest of everything else in the file."""

    pages: tuple[PageParts, ...]
    around: str

    def without_pictures(self) -> PdfParts:
        """The same, where pictures cannot be compared."""
        return PdfParts(tuple(replace(page, pictures=()) for page in self.pages), self.around)

    @classmethod
    def from_bytes(cls, data: bytes) -> PdfParts:
        """Take a PDF apart; ReportError where it is none."""
        with opened_pdf(data) as pdf:
            return cls.from_pdf(pdf)

    @classmethod
    def from_pdf(cls, pdf: Pdf) -> PdfParts:
        """Take an open PDF apart."""
        digests = _Digests()
        pages = tuple(_page(page.obj, digests) for page in pdf.pages)
        return cls(pages, digests.of_all([digests.of(pdf.Root), digests.of(pdf.docinfo), _names(pdf)]))


def file_differences(got: PdfParts, expected: PdfParts, private: Sequence[str]) -> list[str]:
    """What of a file is not what is expected, as sentences that name its pages; none repeats a private text."""
    found: list[str] = []
    for number, (page, right) in enumerate(zip(got.pages, expected.pages, strict=False), start=1):
        for sentence in page_differences(page, right):
            found.append(f"page {number}: {sentence}{_where(first_other(page, right), private)}")
    if len(got.pages) != len(expected.pages):
        found.append(f"page count: got {len(got.pages)}, expected {len(expected.pages)}")
    if not found and got.around != expected.around:
        found.append("around the pages: the file holds something that the report does not")
    return found


def page_differences(got: PageParts, expected: PageParts) -> list[str]:
    """What of one page is not what is expected, in words; empty where it is the same."""
    found = []
    if got.words != expected.words:
        pairs = zip(got.words, expected.words, strict=False)
        count = sum(a != b for a, b in pairs) + abs(len(got.words) - len(expected.words))
        found.append(f"its text differs in {count} of {len(expected.words)} places")
    if got.pictures != expected.pictures:
        others = [
            str(i) for i, pair in enumerate(_pairs(got.pictures, expected.pictures), start=1) if pair[0] != pair[1]
        ]
        found.append(f"its picture {', '.join(others)} differs")
    if got.letters != expected.letters:
        found.append("its letters have other shapes or meanings")
    if not found and got.rest != expected.rest:
        found.append("its drawing, size or what lies over it differs")
    return found


def first_other(got: PageParts, expected: PageParts) -> str | None:
    """The first piece of text that ought to be there and is not; None where none is missing."""
    return next((b for a, b in _pairs(got.words, expected.words) if a != b and b is not None), None)


def _where(piece: str | None, private: Sequence[str]) -> str:
    """The first piece that ought to be there, unless it repeats what a reader wrote or who the patient is."""
    if not piece or not piece.strip():
        return ""
    words = frozenset(_WORD.findall(piece))
    told = any(piece.strip() in text or words & frozenset(_WORD.findall(text)) for text in private)
    return "" if told else f": the ledger gives “{piece[:80]}”"


def _pairs(got: Sequence[str], expected: Sequence[str]) -> list[tuple[str | None, str | None]]:
    longest = max(len(got), len(expected))
    return [(got[i] if i < len(got) else None, expected[i] if i < len(expected) else None) for i in range(longest)]


class _Digests:
    """Digests of the objects of one file by their content, each indirect object taken once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], str] = {}

    def of(self, item: Any) -> str:
        """Digest of an object and of all it leads to, but not back to the page tree."""
        if not isinstance(item, Object):
            return self.of_all([type(item).__name__, str(item)])
        if not item.is_indirect:
            return self._fresh(item)
        if item.objgen not in self._known:
            self._known[item.objgen] = "leads back"
            self._known[item.objgen] = self._fresh(item)
        return self._known[item.objgen]

    def of_all(self, parts: Sequence[str]) -> str:
        """One digest of several texts, in their order."""
        return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()

    def _fresh(self, item: Object) -> str:
        if isinstance(item, pikepdf.Stream):
            return self.of_all(["stream", self._fields(item, {"/Length", "/Filter", "/DecodeParms"}), _decoded(item)])
        if isinstance(item, Dictionary):
            return self._fields(item, set())
        if isinstance(item, pikepdf.Array):
            return self.of_all(["array", *(self.of(part) for part in item.as_list())])
        return self.of_all([str(item._type_code), item.unparse(resolved=True).hex()])

    def _fields(self, item: Object, packing: set[str]) -> str:
        keys = sorted(set(item.keys()) - _LEFT_OUT - packing)
        return self.of_all(["fields", *(part for key in keys for part in (key, self.of(item[key])))])


def _decoded(stream: Object) -> str:
    """Digest of a stream's decoded bytes; of its raw ones, marked, where they do not decode."""
    try:
        return hashlib.sha256(stream.read_bytes()).hexdigest()
    except (pikepdf.PdfError, pikepdf.DataDecodingError):
        return "undecodable " + hashlib.sha256(stream.read_raw_bytes()).hexdigest()


def _names(pdf: Pdf) -> str:
    """What the trailer names beside size, digests and tables, such as an encryption."""
    return ",".join(sorted(set(pdf.trailer.keys()) - {"/Size", "/ID", "/Prev", "/XRefStm", "/DocChecksum"}))


def _page(page: Object, digests: _Digests) -> PageParts:
    resources = page.get(Name.Resources, Dictionary())
    fonts, pictures = resources.get(Name.Font, Dictionary()), resources.get(Name.XObject, Dictionary())
    others = [f"{key} {digests.of(resources[key])}" for key in sorted(set(resources.keys()) - {"/Font", "/XObject"})]
    said, shown, drawn = _content(page, fonts, pictures, digests)
    own = sorted(set(page.keys()) - _LEFT_OUT - {"/Resources", "/Contents"})
    rest = [drawn, *others, *(f"{key} {digests.of(page[key])}" for key in own), *_ancestors(page, digests)]
    letters = [f"{key} {digests.of(fonts[key])}" for key in sorted(fonts.keys())]
    return PageParts(said, shown, digests.of_all(letters), digests.of_all(rest))


def _content(
    page: Object, fonts: Object, pictures: Object, digests: _Digests
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Words and pictures in the order drawn, and a digest of the drawing without them."""
    try:
        steps = pikepdf.parse_content_stream(page)
    except (pikepdf.PdfError, pikepdf.PdfParsingError, pikepdf.DataDecodingError):
        return (), (), "undecodable"
    codes = {key: _meanings(fonts[key]) for key in fonts.keys()}  # noqa: SIM118  # a PDF dictionary, not a mapping
    said, shown, drawn, font = [], [], [], dict[int, str]()
    for step in steps:
        operator = str(step.operator)
        if operator == "Tf":
            font = codes.get(str(step.operands[0]), {})
        if operator in ("Tj", "'", '"', "TJ"):
            said.append("".join(_spoken(part, font) for part in step.operands))
            drawn.append(operator)
        elif operator == "Do":
            name = str(step.operands[0])
            shown.append(digests.of(pictures[name]) if name in pictures else "absent")
            drawn.append(operator)
        else:
            drawn.append(pikepdf.unparse_content_stream([step]).decode("latin-1"))
    return tuple(said), tuple(shown), digests.of_all(drawn)


def _ancestors(page: Object, digests: _Digests) -> list[str]:
    """What a page inherits from the nodes above it."""
    found: list[str] = []
    node = page.get(Name.Parent)
    while node is not None and len(found) < _MAX_ANCESTORS:
        found.append(digests.of(Dictionary({key: node[key] for key in node.keys() if key not in _LEFT_OUT})))  # noqa: SIM118
        node = node.get(Name.Parent)
    return found


def _meanings(font: Object) -> dict[int, str]:
    """Byte -> character by the font's own table."""
    table = font.get(Name.ToUnicode)
    found = _CODES.findall(table.read_bytes()) if isinstance(table, pikepdf.Stream) else []
    return {int(code, 16): chr(int(character, 16)) for code, character in found}


def _spoken(part: Any, font: dict[int, str]) -> str:
    if isinstance(part, pikepdf.Array):
        return "".join(_spoken(inner, font) for inner in part.as_list())
    if isinstance(part, pikepdf.String):
        return "".join(font.get(code, chr(code)) for code in bytes(part))
    return f" {part} "
