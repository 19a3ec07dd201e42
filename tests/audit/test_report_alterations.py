"""Whatever is altered on whatever page of a report: `verify-report` names that page, and no other."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pikepdf
import pytest
from pikepdf import Name, Operator, Pdf, Stream

from audit.report import report_for
from audit.report_comparison import PdfParts, file_differences
from audit.room import BundleScorer, Room, open_room
from audit.service import Opinion, review, score_exam
from audit.verify_report import verify_report
from medproto.errors import EmptyExam
from medproto.records import Scored
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, checked, make_scored, scorer_of
from tests.audit.test_report import REFUSED


def refusing(paths: object, pseudonymise: object) -> Scored:
    """A scorer that refuses an exam of one image."""
    raise EmptyExam("No image of this exam can be scored.", (REFUSED,))


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Room, dict[str, bytes]]]:
    """A room with an exam of 12 checked prototypes and a review, and one refused; and the report of each."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "film.dcm").write_bytes(b"film")
    with open_room(folder / "home", create=True) as room:
        numbers = {}
        twelve = scorer_of(checked(make_scored(prototypes=12), 1))
        for name, score in (("scored", twelve), ("refused", refusing)):
            scorer = BundleScorer(BUNDLE_ID, "factory-phantom", score)
            numbers[name] = score_exam(room, [folder / "film.dcm"], scorer, READER).number
        review(room, numbers["scored"], Opinion(verdict="disagree", reason="vascular"), READER)
        yield room, {name: report_for(room, number) for name, number in numbers.items()}


def saved(pdf: Pdf) -> bytes:
    """The file that an editor would leave."""
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def retyped(report: bytes, page: int) -> bytes:
    """One piece of the text of a page, in its middle, with two of its letters changed places."""
    with Pdf.open(io.BytesIO(report)) as pdf:
        steps = list(pikepdf.parse_content_stream(pdf.pages[page]))
        texts = [i for i, step in enumerate(steps) if str(step.operator) == "Tj" and _swapped(step) is not None]
        place = texts[len(texts) // 2]
        steps[place] = pikepdf.ContentStreamInstruction([pikepdf.String(_swapped(steps[place]) or b"")], Operator("Tj"))
        pdf.pages[page].Contents = Stream(pdf, pikepdf.unparse_content_stream(steps))
        return saved(pdf)


def _swapped(step: pikepdf.ContentStreamInstruction | pikepdf.ContentStreamInlineImage) -> bytes | None:
    said = bytes(step.operands[0])
    place = next((i for i in range(len(said) - 1) if said[i] != said[i + 1]), None)
    return None if place is None else said[:place] + bytes([said[place + 1], said[place]]) + said[place + 2 :]


def moved(report: bytes, page: int) -> bytes:
    """A page with its last rectangle or line shifted by a point."""
    with Pdf.open(io.BytesIO(report)) as pdf:
        steps = list(pikepdf.parse_content_stream(pdf.pages[page]))
        place = max(i for i, step in enumerate(steps) if str(step.operator) in ("re", "l"))
        operands = [float(value) for value in steps[place].operands]
        operands[0] += 1
        steps[place] = pikepdf.ContentStreamInstruction(operands, steps[place].operator)
        pdf.pages[page].Contents = Stream(pdf, pikepdf.unparse_content_stream(steps))
        return saved(pdf)


def brightened(report: bytes, page: int, name: str) -> bytes:
    """One picture of a page with one of its bytes altered by one."""
    with Pdf.open(io.BytesIO(report)) as pdf:
        picture = pdf.pages[page].Resources.XObject[name]
        data = bytearray(picture.read_bytes())
        data[len(data) // 2] ^= 1
        kept = {key: picture[key] for key in (Name.Type, Name.Subtype, Name.Width, Name.Height, Name.BitsPerComponent)}
        other = Stream(pdf, bytes(data))
        for key, value in (kept | {Name.ColorSpace: picture.ColorSpace}).items():
            other[key] = value
        pdf.pages[page].Resources.XObject[name] = other
        return saved(pdf)


@pytest.mark.parametrize("which", ["scored", "refused"])
def test_a_word_altered_on_any_page_is_named_with_that_page(rich: tuple[Room, dict[str, bytes]], which: str) -> None:
    room, reports = rich
    pages = len(PdfParts.from_bytes(reports[which]).pages)
    assert pages >= {"scored": 7, "refused": 1}[which]
    for page in range(pages):
        differences = verify_report(room, retyped(reports[which], page)).differences
        assert [said.split(" in ")[0] for said in differences] == [f"page {page + 1}: its text differs"]


def test_a_line_moved_on_any_page_is_named_with_that_page(rich: tuple[Room, dict[str, bytes]]) -> None:
    report = rich[1]["scored"]
    whole = PdfParts.from_bytes(report)
    for page in range(len(whole.pages)):
        differences = file_differences(PdfParts.from_bytes(moved(report, page)), whole, ())
        assert differences == [f"page {page + 1}: its drawing, size or what lies over it differs"]


def test_pictures_are_compared_to_the_bit(rich: tuple[Room, dict[str, bytes]]) -> None:
    report = rich[1]["scored"]
    whole = PdfParts.from_bytes(report)
    with Pdf.open(io.BytesIO(report)) as pdf:
        named = [(i, name) for i, page in enumerate(pdf.pages) for name in page.Resources.get(Name.XObject, {})]
    assert len(named) == 4 + 2 * 12
    for page, name in named[::3]:
        differences = file_differences(PdfParts.from_bytes(brightened(report, page, name)), whole, ())
        assert len(differences) == 1
        assert differences[0].startswith(f"page {page + 1}: its picture ")


def test_pages_that_changed_places_are_named(rich: tuple[Room, dict[str, bytes]]) -> None:
    report = rich[1]["scored"]
    with Pdf.open(io.BytesIO(report)) as pdf:
        second, third = pdf.pages[1].obj, pdf.pages[2].obj
        pdf.Root.Pages.Kids[1], pdf.Root.Pages.Kids[2] = third, second
        swapped = saved(pdf)
    differences = file_differences(PdfParts.from_bytes(swapped), PdfParts.from_bytes(report), ())
    assert {said.split(":")[0] for said in differences} == {"page 2", "page 3"}
