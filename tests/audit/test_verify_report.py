"""`medproto verify-report`: a report as it was made verifies, and one that was altered is named by its page."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from typer.testing import CliRunner

from audit.report import report_for
from audit.report_comparison import PdfParts
from audit.room import Room, open_room
from audit.service import Opinion, report_exported, review
from audit.verify_report import verify_report
from medproto.cli import app
from medproto.errors import LedgerTampered, ReportError
from tests.audit.attacking import attack
from tests.audit.conftest import READER

Alter = Callable[[Pdf], None]


@pytest.fixture(scope="module")
def original(template: Path) -> bytes:
    """The report of entry 3 as of 11 entries, one review among them."""
    with open_room(template) as room:
        return report_for(room, 3, 11)


def altered(report: bytes, alter: Alter) -> bytes:
    """The report after somebody opened it in an editor."""
    out = io.BytesIO()
    with Pdf.open(io.BytesIO(report)) as pdf:
        alter(pdf)
        pdf.save(out)
    return out.getvalue()


def in_content(page: int, old: bytes, new: bytes) -> Alter:
    """Replace what the content of a page says."""

    def alter(pdf: Pdf) -> None:
        content = pdf.pages[page].Contents.read_bytes()
        assert old in content
        pdf.pages[page].Contents = Stream(pdf, content.replace(old, new))

    return alter


def another_picture(pdf: Pdf) -> None:
    """Blacken one picture of page 2, under its old name."""
    name, picture = sorted(pdf.pages[1].Resources.XObject.items())[0]
    blank = Stream(pdf, bytes(int(picture.Width) * int(picture.Height) * 3))
    for key in (Name.Type, Name.Subtype, Name.Width, Name.Height, Name.ColorSpace, Name.BitsPerComponent):
        blank[key] = picture[key]
    pdf.pages[1].Resources.XObject[name] = blank


def laid_over(pdf: Pdf) -> None:
    """Lay a note over the first page."""
    note = Dictionary(Type=Name.Annot, Subtype=Name.FreeText, Rect=Array([10, 10, 90, 40]), Contents="not flagged")
    pdf.pages[0].Annots = Array([pdf.make_indirect(note)])


def other_letters(pdf: Pdf) -> None:
    """Let the letters of one font mean others when they are searched or copied."""
    font = next(iter(pdf.pages[0].Resources.Font.values()))
    font.ToUnicode = Stream(pdf, font.ToUnicode.read_bytes().replace(b"<31> <0031>", b"<31> <0039>"))


def other_attachment(pdf: Pdf) -> None:
    """Alter a number in the attachment."""
    embedded = pdf.Root.AF[0].EF.F
    embedded.write(embedded.read_bytes().replace(b'\\"margin\\":', b'\\"margin\\":1', 1))


def script(pdf: Pdf) -> None:
    """Have the reader run something when the file is opened."""
    pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS="app.alert(1)")


ATTACKS: dict[str, tuple[Alter, str]] = {
    "number": (in_content(0, b"operating point 2.000", b"operating point 9.000"), r"page 1: its text .* point 2\.000”"),
    "picture": (another_picture, r"page 2: its picture \d+ differs$"),
    "note over it": (laid_over, "page 1: its drawing, size or what lies over it differs"),
    "letters": (other_letters, "page 1: its text .*"),
    "page deleted": (lambda pdf: pdf.pages.__delitem__(1), r"page count: got \d, expected \d"),
    "attachment": (other_attachment, "^attachment: it is not what the ledger holds"),
    "script": (script, "around the pages: the file holds something"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_page_that_lies_is_named(room: Room, original: bytes, name: str) -> None:
    alter, sentence = ATTACKS[name]
    result = verify_report(room, altered(original, alter))
    assert not result.verified
    assert any(re.search(sentence, said) for said in result.differences), result.differences


def test_only_the_altered_page_is_named(room: Room, original: bytes) -> None:
    for name, page in (("number", "page 1"), ("picture", "page 2"), ("note over it", "page 1")):
        result = verify_report(room, altered(original, ATTACKS[name][0]))
        assert {said.split(":")[0] for said in result.differences} == {page}


def test_a_flipped_bit_in_a_packed_picture_is_a_page_that_lies(room: Room, original: bytes) -> None:
    with Pdf.open(io.BytesIO(original)) as pdf:
        raw = next(iter(pdf.pages[1].Resources.XObject.values())).read_raw_bytes()
    place = original.index(raw) + len(raw) // 2
    flipped = original[:place] + bytes([original[place] ^ 4]) + original[place + 1 :]
    assert any("picture" in said for said in verify_report(room, flipped).differences)


def test_the_same_report_packed_otherwise_verifies(room: Room, original: bytes) -> None:
    again = altered(original, lambda pdf: None)
    assert again != original
    assert verify_report(room, again).verified
    assert PdfParts.from_bytes(again) == PdfParts.from_bytes(original)


def test_a_message_never_repeats_a_readers_words(room: Room) -> None:
    review(room, 3, Opinion(verdict="disagree", reason="born 1950"), READER)
    report = report_for(room, 3)
    page = next(
        i for i, page in enumerate(PdfParts.from_bytes(report).pages) if any("born 1950" in said for said in page.words)
    )
    (said,) = verify_report(room, altered(report, in_content(page, b"born 1950", b"born 1960"))).differences
    assert said.startswith(f"page {page + 1}: its text differs in 1 of")
    assert "born" not in said


def test_a_report_verifies_as_of_its_size_after_the_ledger_grew(room: Room, original: bytes) -> None:
    review(room, 3, Opinion(verdict="refer"), READER)
    result = verify_report(room, original)
    assert (result.verified, result.number, result.size, result.export) == (True, 3, 11, None)


def test_an_export_vouches_for_a_report_whose_pictures_are_gone(room: Room, original: bytes) -> None:
    exported = report_exported(room, 3, hashlib.sha256(original).hexdigest(), READER)
    shutil.rmtree(room.evidence.root)
    result = verify_report(room, original)
    assert (result.verified, result.export) == (True, exported.number)


def test_a_ledger_cut_below_the_report_is_tampered(home: Path, original: bytes) -> None:
    attack(home, "DELETE FROM entry WHERE number > 10", "DELETE FROM checkpoint WHERE size > 10")
    with open_room(home) as room, pytest.raises(LedgerTampered, match="no longer holds the 11 entries"):
        verify_report(room, original)


def test_a_report_of_another_ledger_is_not_of_this_one(tmp_path: Path, original: bytes) -> None:
    with open_room(tmp_path / "other", create=True) as other:
        (said,) = verify_report(other, original).differences
    assert said.startswith("attachment: its checkpoint is not signed by a key of this ledger")


def test_an_attachment_that_says_nothing_is_one_sentence(room: Room, original: bytes) -> None:
    def empty(pdf: Pdf) -> None:
        pdf.Root.AF[0].EF.F.write(json.dumps({"format": 1}).encode())

    with pytest.raises(ReportError, match="does not say which entry"):
        verify_report(room, altered(original, empty))


def test_exit_codes_are_0_1_2(home: Path, tmp_path: Path, original: bytes) -> None:
    contents = {"good": original, "bad": altered(original, ATTACKS["number"][0]), "none": b"no PDF"}
    said = {}
    for name, data in contents.items():
        (tmp_path / f"{name}.pdf").write_bytes(data)
        result = CliRunner().invoke(app, ["verify-report", str(tmp_path / f"{name}.pdf"), "--home", str(home)])
        said[name] = (result.exit_code, result.output)
    assert [code for code, _ in said.values()] == [0, 1, 2]
    assert "verified: 5 pages and attachment are those of entry 3, in a ledger of 11 entries" in said["good"][1]
    assert "page 1: its text differs in 1 of" in said["bad"][1]
    assert said["none"][1].count("\n") == 1
