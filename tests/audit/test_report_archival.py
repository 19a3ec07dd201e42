"""The report as a file for archives: structure, attachment, and what a validator that is at hand says."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import types
from pathlib import Path
from typing import Any

import pytest

from audit.proofs import entry_plain
from audit.report import render_report, set_report
from audit.report_archival import archived, attachment_of, opened_pdf
from audit.report_proof import qr_text
from audit.report_standing import Standing, standing
from audit.room import Room
from medproto.errors import ReportError
from tests.audit.factory import make_scored
from tests.audit.test_report import prediction_entry, rendered, review_of, standing_of

JARS = ("preflight", "pdfbox2", "fontbox2", "xmpbox", "commons-logging", "javax.activation", "jaxb-api")
VERIFIER = Path(__file__).parents[2] / "docs" / "verify_proof.py"


@pytest.fixture(scope="module")
def pdf() -> bytes:
    """The report of a flagged exam."""
    return rendered(make_scored())


def held_in(room: Room) -> tuple[Standing, bytes]:
    """What a real room holds of its first prediction, and the report of it."""
    held = standing(room, 3)
    return held, render_report(held, lambda digest: room.picture(held.entry, digest))


def test_the_attachment_is_associated_with_the_document_as_its_data(pdf: bytes) -> None:
    with opened_pdf(pdf) as file:
        (spec,) = file.Root.AF
        assert (spec.AFRelationship, str(spec.UF), str(spec.F)) == ("/Data", "audit.json", "audit.json")
        assert file.Root.Names.EmbeddedFiles.Names[1].objgen == spec.objgen
        assert spec.EF.F.Subtype == "/application/json"
        assert spec.EF.F.Params.Size == len(attachment_of(pdf))


def test_the_structure_is_that_of_pdfa_3b(pdf: bytes) -> None:
    with opened_pdf(pdf) as file:
        packet = file.Root.Metadata.read_raw_bytes().decode()  # raw: a reader without inflate must find it
        (intent,) = file.Root.OutputIntents
        assert (intent.S, intent.DestOutputProfile.N) == ("/GTS_PDFA1", 3)
        assert intent.DestOutputProfile.read_bytes()[36:40] == b"acsp"
        assert len(file.trailer.ID) == 2
        assert "/Encrypt" not in file.trailer
        assert not any(key in file.Root for key in ("/OpenAction", "/AA", "/AcroForm"))
        assert str(file.docinfo["/CreationDate"]) == "D:20261122091405+00'00'"
    assert "<pdfaid:part>3</pdfaid:part>" in packet
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in packet
    assert "<xmp:CreateDate>2026-11-22T09:14:05+00:00</xmp:CreateDate>" in packet


def test_attachment_holds_the_stored_bytes_of_entry_and_reviews_and_every_picture() -> None:
    scored, review = make_scored(), review_of("private words")
    held = standing_of(prediction_entry(scored), review)
    found = attachment_of(render_report(held, scored.pictures.__getitem__))
    fields = json.loads(found)
    assert fields["proof"]["entry"].encode() == held.entry.body
    assert fields["reviews"] == [entry_plain(review.entry, review.path)]
    assert fields["pictures"] == list(scored.prediction.pictures())
    assert fields["software"]["reportlab"]


def test_words_of_a_review_are_not_in_its_attached_entry(room: Room) -> None:
    held, pdf = held_in(room)
    assert held.reviews[0].record.review.verdict == "agree"
    assert json.loads(json.loads(attachment_of(pdf))["reviews"][0]["entry"])["payload"]["comment"] == ""


def test_the_attached_proof_is_proved_without_medproto(room: Room) -> None:
    pdf = held_in(room)[1]
    line = json.dumps(json.loads(attachment_of(pdf))["proof"]) + "\n"
    verifier().check(iter([line]), [room.public_key.vkey])
    altered = line.replace("flagged", "f1agged")
    with pytest.raises(ValueError, match="do not hash"):
        verifier().check(iter([altered]), [room.public_key.vkey])


def test_the_code_says_origin_size_root_entry_and_leaf(room: Room) -> None:
    held = held_in(room)[0]
    lines = qr_text(held).split("\n")
    assert lines[0] == "medproto-report/1"
    assert lines[1:4] == held.checkpoint.note.split("\n")[:3]
    assert lines[4:] == ["3", held.entry.leaf]


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7\nnothing", b"no PDF at all"])
def test_what_is_no_pdf_is_one_sentence(data: bytes) -> None:
    with pytest.raises(ReportError, match="cannot be read as a PDF"):
        attachment_of(data)


def test_a_pdf_without_attachment_is_one_sentence() -> None:
    scored = make_scored()
    pages = set_report(standing_of(prediction_entry(scored)), scored.pictures.__getitem__)
    with pytest.raises(ReportError, match=re.escape("without audit.json")):
        attachment_of(pages)


def test_pages_without_attachment_pass_preflight_as_pdfa_1b(tmp_path: Path) -> None:
    jars = [Path("/usr/share/java") / f"{name}.jar" for name in JARS]
    if not shutil.which("java") or not all(jar.is_file() for jar in jars):
        pytest.skip(
            "no PDFBox preflight: Java or one of libpdfbox2-java, libactivation-java, libjaxb-api-java is absent"
        )
    scored = make_scored(prototypes=12)
    held = standing_of(prediction_entry(scored), review_of("中 Zoë → Հայ"))
    path = tmp_path / "pages.pdf"
    path.write_bytes(archived(set_report(held, scored.pictures.__getitem__), held.time, None))
    command = ["java", "-cp", ":".join(map(str, jars)), "org.apache.pdfbox.preflight.Validator_A1b", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.strip() == "The file pages.pdf is a valid PDF/A-1b file", done.stdout + done.stderr


def verifier() -> Any:
    """The stand-alone verifier as a module."""
    spec = importlib.util.spec_from_file_location("verify_proof", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module: types.ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
