"""`medproto report`: from a real room to a PDF on disk, with the export written down."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
import typer
from pypdf import PdfReader
from typer.testing import CliRunner

from audit.evidence import sealed_of
from audit.report import report_for
from audit.report_cli import report
from audit.service import (
    Actor,
    BundleScorer,
    Entry,
    LedgerFilter,
    Opinion,
    ledger_page,
    open_room,
    review,
    score_exam,
)
from medproto.errors import EmptyExam, EntryNotFound, EvidenceMissing, MedprotoError, ReportError
from medproto.records import Scored
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of

ACTOR = Actor("ada.scorer", "service")
APP = typer.Typer()
APP.command()(report)


def refusing(paths: object, pseudonymise: object) -> Scored:
    """A scorer that refuses every exam."""
    raise EmptyExam("No image of this exam can be scored.")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A room whose entry 3 is a flagged exam and whose entry 5 is a refusal."""
    film = tmp_path / "film.dcm"
    film.write_bytes(b"film")
    with open_room(tmp_path / "home", create=True) as room:
        for score in (scorer_of(make_scored()), refusing):
            score_exam(room, [film], BundleScorer(BUNDLE_ID, "factory-phantom", score, synthetic=True), ACTOR)
    return tmp_path / "home"


def exports(home: Path) -> tuple[Entry, ...]:
    """The exports that the ledger holds."""
    with open_room(home) as room:
        return ledger_page(room, LedgerFilter(kind="report exported")).entries


def run(*arguments: str) -> MedprotoError | None:
    """Run the command and return the error it raised, if it raised one of medproto's."""
    error = CliRunner().invoke(APP, list(arguments)).exception
    assert error is None or isinstance(error, MedprotoError)
    return error


@pytest.mark.parametrize("number", [3, 5])
def test_the_file_is_the_one_whose_digest_the_ledger_holds(home: Path, tmp_path: Path, number: int) -> None:
    pdf = tmp_path / "exam.pdf"
    assert run(str(number), "-o", str(pdf), "--home", str(home)) is None
    (exported,) = exports(home)
    assert exported.payload["pdf_digest"] == hashlib.sha256(pdf.read_bytes()).hexdigest()
    assert exported.refers_to == number


def test_a_refusal_by_a_bundle_of_synthetic_images_is_marked_so(home: Path) -> None:
    with open_room(home) as room:
        assert "SYNTHETIC" in PdfReader(io.BytesIO(report_for(room, 5))).pages[0].extract_text()


def test_a_later_export_as_of_the_same_size_gives_the_same_bytes(home: Path, tmp_path: Path) -> None:
    first, later, again = tmp_path / "first.pdf", tmp_path / "later.pdf", tmp_path / "again.pdf"
    run("3", "-o", str(first), "--home", str(home))
    with open_room(home) as room:
        review(room, 3, Opinion(verdict="disagree", reason="seen twice"), ACTOR)
    run("3", "-o", str(later), "--home", str(home))
    assert run("3", "-o", str(again), "--home", str(home), "--at", "5") is None
    assert first.read_bytes() == again.read_bytes() != later.read_bytes()
    texts = ["".join(page.extract_text() for page in PdfReader(pdf).pages) for pdf in (again, later)]
    assert ["seen twice" in text for text in texts] == [False, True]


@pytest.mark.parametrize(("at", "words"), [("2", "got a log of 2 entries"), ("99", "got size 99")])
def test_a_size_that_cannot_be_is_refused(home: Path, tmp_path: Path, at: str, words: str) -> None:
    error = run("3", "-o", str(tmp_path / "exam.pdf"), "--home", str(home), "--at", at)
    assert words in str(error)
    assert exports(home) == ()


def test_an_entry_of_another_kind_is_refused_and_nothing_is_written(home: Path, tmp_path: Path) -> None:
    error = run("1", "-o", str(tmp_path / "exam.pdf"), "--home", str(home))
    assert isinstance(error, ReportError)
    assert "expected a prediction" in str(error)
    assert not (tmp_path / "exam.pdf").exists()
    assert exports(home) == ()


def test_an_entry_that_is_not_there_is_named(home: Path) -> None:
    with open_room(home) as room, pytest.raises(EntryNotFound, match="entry 99"):
        report_for(room, 99)


def test_an_altered_picture_gives_no_report(home: Path) -> None:
    with open_room(home) as room:
        preview = sealed_of(room.ledger.entry(3).payload)[make_scored().prediction.images[0].preview]
        room.evidence.path(preview).write_bytes(b"altered")
        with pytest.raises(EvidenceMissing, match=preview[:8]):
            report_for(room, 3)


def test_a_place_that_cannot_be_written_to_is_one_sentence_and_no_export(home: Path, tmp_path: Path) -> None:
    error = run("3", "-o", str(tmp_path / "absent" / "exam.pdf"), "--home", str(home))
    assert isinstance(error, ReportError)
    assert "cannot be written there" in str(error)
    assert exports(home) == ()
