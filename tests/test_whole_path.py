"""From files to screen-ready records, through the console: what cannot be scored says why, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner, Result

from audit.room import open_room, verify_room
from audit.service import WorklistFilter, prediction, worklist_page
from audit.trace import trace_entry
from medproto.cli import app
from medproto.records import CONTRIBUTION_TOLERANCE
from tests.factories import Trained, train_tiny

NAME, PATIENT, BIRTH = "PLANTED^NAME", "PLANTED-ID-4711", "19340229"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A cohort and the tiny bundle trained on it."""
    return train_tiny(tmp_path_factory.mktemp("whole-path"))


def run(*words: object) -> Result:
    """One call of the console."""
    return CliRunner().invoke(app, [str(word) for word in words])


def altered(source: Path, target: Path, **elements: object) -> Path:
    """A copy of a DICOM file with other header elements."""
    dataset = pydicom.dcmread(source)
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(target)
    return target


def test_bad_files_get_a_line_each_and_the_rest_of_the_batch_goes_on(trained: Trained, tmp_path: Path) -> None:
    good = trained.paths()
    text = tmp_path / "note.txt"
    text.write_text("not an image")
    truncated = tmp_path / "truncated.dcm"
    truncated.write_bytes(good[0].read_bytes()[:-4000])
    ct = altered(
        good[0], tmp_path / "ct.dcm", Modality="CT", StudyInstanceUID="1.2.3", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"
    )
    processing = altered(
        good[0], tmp_path / "raw.dcm", PresentationIntentType="FOR PROCESSING", StudyInstanceUID="1.2.4"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    home = tmp_path / "home"

    result = run("score", trained.bundle_path, text, truncated, ct, processing, empty, *good, "--home", home)

    assert result.exit_code == 3
    lines = [line for line in result.output.splitlines() if "not scored:" in line]
    assert len(lines) == 5, result.output
    assert all(len(line) < 400 for line in lines)
    for word in ("DICOM", "incomplete", "FOR PROCESSING", "holds no DICOM file"):
        assert any(word in line for line in lines), (word, lines)
    assert any("modality: got CT" in line for line in lines), lines
    with open_room(home) as room:
        (scored,) = worklist_page(room, WorklistFilter()).items
        # The truncated file names the good files' exam: it is refused within it.
        assert len(prediction(room, scored.number)[1].refused) == 1
        assert verify_room(room).verified
        kinds = [entry.kind for entry in room.ledger.entries()]
    assert kinds.count("prediction") == 1
    assert kinds.count("refusal") + kinds.count("failure") == 3


@pytest.mark.parametrize("content", [b"", b"plain text", b"\0" * 128 + b"DICM"], ids=["empty", "text", "magic alone"])
def test_a_file_that_is_no_image_ends_with_one_line_and_a_nonzero_exit(
    trained: Trained, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    result = run("score", trained.bundle_path, tmp_path / "file", "--home", tmp_path / "home")
    assert result.exit_code == 3
    assert len([line for line in result.output.splitlines() if "not scored:" in line]) == 1
    assert "Traceback" not in result.output


def test_contributions_add_up_and_trace_to_training_patches(trained: Trained, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run("score", trained.bundle_path, *trained.paths(), "--home", home).exit_code == 0
    with open_room(home) as room:
        number = worklist_page(room, WorklistFilter()).items[0].number
        entry, record = prediction(room, number)
        total = sum(match.contribution for match in record.matches)
        assert total == pytest.approx(record.margin, rel=CONTRIBUTION_TOLERANCE)
        trace = trace_entry(room, number, trained.manifest.path)
        assert trace.prototypes[0].film is not None
        assert all(traced.patch_present and traced.registered for traced in trace.prototypes)
        for digest in record.pictures():
            assert hashlib.sha256(room.picture(entry, digest)).hexdigest() == digest


def test_planted_identifiers_are_in_no_artefact_but_the_identity_table(trained: Trained, tmp_path: Path) -> None:
    home, source = tmp_path / "home", tmp_path / "planted"
    source.mkdir()
    for i, path in enumerate(trained.paths()):
        altered(path, source / f"{i}.dcm", PatientName=NAME, PatientID=PATIENT, PatientBirthDate=BIRTH)
    scored = run("score", trained.bundle_path, source, "--home", home)
    assert scored.exit_code == 0
    pdf = run("report", 4, "-o", tmp_path / "report.pdf", "--home", home)
    assert pdf.exit_code == 0, pdf.output
    shown = run("audit", "show", 4, "--home", home)
    said = scored.output + pdf.output + shown.output
    for planted in (NAME, PATIENT, BIRTH):
        assert planted not in said
        with open_room(home) as room:
            assert not any(planted.encode() in entry.body for entry in room.ledger.entries())
        for file in [tmp_path / "report.pdf", *(home / "evidence").rglob("*")]:
            assert planted not in str(file.relative_to(tmp_path))
            assert not file.is_file() or planted.encode() not in file.read_bytes()
    command = ["audit", "erase-patient", "--home", str(home), "--why", "request", "--yes"]
    erased = CliRunner().invoke(app, command, input=f"{PATIENT}\n")
    assert (erased.exit_code, PATIENT in erased.output) == (0, False)
    assert not any(PATIENT.encode() in file.read_bytes() for file in home.rglob("*") if file.is_file())
    assert "erased by entry" in str(run("report", 4, "-o", tmp_path / "again.pdf", "--home", home).exception)
    assert run("audit", "verify", "--home", home).exit_code == 0


def test_inspect_exits_0_3_and_1(trained: Trained, tmp_path: Path) -> None:
    good = trained.paths()[0]
    admitted = run("inspect", good, "--json", "--png", tmp_path / "picture.png")
    assert admitted.exit_code == 0
    assert json.loads(admitted.output)["laterality"] in ("L", "R")
    assert (tmp_path / "picture.png").stat().st_size > 1000
    refused = altered(good, tmp_path / "raw.dcm", PresentationIntentType="FOR PROCESSING")
    assert run("inspect", refused).exit_code == 3
    (tmp_path / "text").write_text("text")
    assert run("inspect", tmp_path / "text").exit_code == 1


def test_scoring_without_a_bundle_says_so_in_one_sentence(tmp_path: Path) -> None:
    result = run("score", tmp_path, tmp_path / "x.dcm", "--home", tmp_path / "home")
    assert result.exit_code != 0
    assert "expected a bundle directory" in str(result.exception)


def test_evaluation_prints_intervals_and_where_the_evidence_lies(trained: Trained) -> None:
    result = run("evaluate", trained.bundle_path, trained.manifest.path)
    assert result.exit_code == 0, result.output
    assert "AUROC, exam" in result.output
    assert "centre in the lesion" in result.output
