"""A report that names its patient: printed on every page, sealed, never in the ledger, and verified as well."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pikepdf import Pdf
from pypdf import PdfReader
from typer.testing import CliRunner

from audit.erasure import erase
from audit.report import report_for
from audit.report_archival import attachment_of
from audit.report_identity import Identity, identity_of
from audit.report_words import IDENTIFIED
from audit.room import BundleScorer, Room, open_room
from audit.service import LedgerFilter, score_exam
from audit.verify_report import verify_report
from medproto.cli import app
from medproto.errors import EvidenceErased, ReportError
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of
from tests.audit.test_verify_report import altered, in_content

REAL = "MRN-0077123"
NAME = "Παπαδοπούλου, Ελένη"


@pytest.fixture
def known(home: Path, tmp_path: Path) -> tuple[Path, int, str]:
    """A home whose identity table knows the patient of the newest prediction: home, entry, pseudonym."""
    (tmp_path / "film.dcm").write_bytes(b"film of a known patient")
    with open_room(home) as room:
        patient = room.pseudonym(REAL, "patient", REAL)
        scorer = BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(make_scored("flagged", "9", patient_id=patient)))
        return home, score_exam(room, [tmp_path / "film.dcm"], scorer, READER).number, patient


def written(folder: Path, text: str) -> Path:
    """An identity map with this text."""
    (folder / "map.csv").write_text(text, "utf-8")
    return folder / "map.csv"


def printed(known: tuple[Path, int, str], folder: Path) -> bytes:
    """The report that the command writes with a map."""
    home, number, patient = known
    table = written(folder, f'patient,name,id,birth_date\n{patient},"{NAME}",77123,19610203\npatient-0,Other,1,\n')
    command = ["report", str(number), "-o", str(folder / "exam.pdf"), "--identity", str(table), "--home", str(home)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return (folder / "exam.pdf").read_bytes()


def test_every_page_names_the_patient_and_says_for_whom_it_is(known: tuple[Path, int, str], tmp_path: Path) -> None:
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(printed(known, tmp_path))).pages]
    assert all(IDENTIFIED in text and NAME in text and "77123" in text for text in pages)
    assert "1961-02-03" in pages[0]
    assert known[2] in pages[0]


def test_the_ledger_says_that_an_identity_was_printed_and_not_whose(
    known: tuple[Path, int, str], tmp_path: Path
) -> None:
    printed(known, tmp_path)
    with open_room(known[0]) as room:
        (exported, *_) = room.ledger.entries(LedgerFilter(kind="report exported"))
        bodies = b"".join(entry.body for entry in room.ledger.entries())
    assert exported.payload["identified"] is True
    assert not any(word.encode() in bodies for word in (NAME, "Ελένη", "77123", "1961", REAL))


def test_it_verifies_and_a_name_put_in_its_place_is_found(known: tuple[Path, int, str], tmp_path: Path) -> None:
    report = printed(known, tmp_path)
    plain = json.loads(attachment_of(report))["identity"]
    with open_room(known[0]) as room:
        assert verify_report(room, report).verified
        forged = Identity(**(plain | {"name": "Somebody Else"}))
        result = verify_report(room, report_for(room, known[1], known[1], forged))
    assert result.differences == ("attachment: the patient's identity in it is not one that this ledger printed",)


def test_an_altered_name_is_named_by_its_page_and_not_repeated(known: tuple[Path, int, str], tmp_path: Path) -> None:
    report = printed(known, tmp_path)
    with open_room(known[0]) as room:
        result = verify_report(room, altered(report, in_content(0, b"77123", b"77124")))
    assert result.differences
    assert all(said.startswith("page 1: its text differs") for said in result.differences)
    assert not any("77123" in said or "the ledger gives" in said for said in result.differences)


def test_the_same_identity_gives_the_same_bytes_and_none_gives_the_pseudonym(
    known: tuple[Path, int, str], tmp_path: Path
) -> None:
    report = printed(known, tmp_path)
    home, number, patient = known
    with open_room(home) as room:
        identity = identity_of(room, patient, tmp_path / "map.csv")
        assert report_for(room, number, number, identity) == report
        plain = report_for(room, number, number)
    assert b"identity" not in attachment_of(plain)
    with Pdf.open(io.BytesIO(report)) as pdf:
        assert NAME not in str(pdf.docinfo.Title)


def test_the_identity_table_alone_gives_the_identifier(known: tuple[Path, int, str], tmp_path: Path) -> None:
    home, number, patient = known
    command = ["report", str(number), "-o", str(tmp_path / "exam.pdf"), "--identifier", "--home", str(home)]
    assert CliRunner().invoke(app, command).exit_code == 0
    text = PdfReader(tmp_path / "exam.pdf").pages[0].extract_text()
    assert REAL in text
    assert "name not given" in text
    with open_room(home) as room:
        table = written(tmp_path, f"patient,name\n{REAL},Doe^Jane^Q\n")
        identity = identity_of(room, patient, table)
    assert (identity.name, identity.identifier, identity.birth_date) == ("Doe, Jane Q", REAL, "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Doe Jane,1961\nJane,1\n", "got other columns, expected patient and any of name, id, birth_date"),
        ("patient,name\nelse,Jane Doe\n", "got 0 rows for the patient of this entry, expected one"),
        (f"patient,name\n{REAL},Jane Doe\n{REAL},Jane Roe\n", "got 2 rows for the patient"),
        (f"patient,name,birth_date\n{REAL},Jane Doe,3/2/61\n", "got another birth date, expected YYYY-MM-DD"),
        (f'patient,name\n{REAL},"Jane Doe\n', "it is no CSV file in UTF-8"),
    ],
)
def test_a_map_that_cannot_be_used_is_one_sentence_without_what_it_holds(
    known: tuple[Path, int, str], tmp_path: Path, text: str, sentence: str
) -> None:
    with open_room(known[0]) as room, pytest.raises(ReportError, match=sentence) as raised:
        identity_of(room, known[2], written(tmp_path, text))
    assert not any(word in str(raised.value) for word in ("Doe", "Jane", REAL, "61"))


def test_an_erased_patient_is_not_named(known: tuple[Path, int, str]) -> None:
    with open_room(known[0]) as room:
        erase(room, known[2], "request", READER)
        with pytest.raises(EvidenceErased, match="erased by entry"):
            identity_of(room, known[2], None)


def test_a_patient_known_by_the_pseudonym_alone_is_not_named(room: Room) -> None:
    with pytest.raises(ReportError, match="nothing but the pseudonym is known"):
        identity_of(room, make_scored(exam="0").prediction.patient_id, None)


def test_an_entry_without_a_patient_is_not_named(home: Path, tmp_path: Path) -> None:
    command = ["report", "2", "-o", str(tmp_path / "exam.pdf"), "--identifier", "--home", str(home)]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, ReportError)
    assert "it names no patient" in str(error)
