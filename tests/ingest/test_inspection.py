"""What inspection shows of one file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from typer.testing import CliRunner, Result

from medproto.cli import app
from medproto.errors import InputError
from medproto.ingest.inspection import CAPTION_PX, CHEST_WALL, OUTLINE, Inspection, inspect_file, save_picture
from medproto.ingest.tags import maker
from tests.ingest.factory import BIRTH_DATE, PATIENT_ID, PATIENT_NAME, STUDY_UID, Recipe, write, write_dicom

KEYS = {"admitted", "findings", "rows", "columns", "laterality", "view", "spacing_mm", "voi", "inverted", "decoder"}
FORGED = "PLANTED ZEBEDEE"


def facts(path: Path) -> Inspection:
    """What inspection says of a file."""
    return inspect_file(path).facts


def run(*words: object) -> Result:
    """One call of the console."""
    return CliRunner().invoke(app, ["inspect", *map(str, words)])


def test_an_admitted_file_shows_every_decision_as_json(tmp_path: Path) -> None:
    result = run(write(tmp_path / "a.dcm", PartialView="YES"), "--json")
    shown = json.loads(result.output)
    assert result.exit_code == 0
    assert KEYS | {"pixels_sha256"} <= set(shown)
    assert shown["admitted"] is shown["readable"] is True
    assert (shown["rows"], shown["columns"], shown["laterality"], shown["view"]) == (160, 120, "R", "MLO")
    assert [set(one) for one in shown["findings"]] == [{"code", "severity", "sentence"}]
    assert None not in {shown[key] for key in shown if key not in ("findings", "tags", "spacing_mm")}


def test_the_tags_that_decide_are_shown_in_the_standards_words(tmp_path: Path) -> None:
    tags = facts(write(tmp_path / "a.dcm", PatientOrientation=["A", "FL"], Manufacturer="GE MEDICAL SYSTEMS")).tags
    assert tags["SOPClass"] == "Digital Mammography X-Ray Image Storage - For Presentation"
    assert tags["TransferSyntax"] == ExplicitVRLittleEndian.name
    assert (tags["Modality"], tags["ViewPosition"], tags["Manufacturer"]) == ("MG", "MLO", "GE")
    assert (tags["PatientOrientation"], tags["WindowCenter"], tags["BitsStored"]) == (["A", "FL"], 2048, 12)
    assert "PresentationLUTShape" not in tags


def test_no_tag_repeats_free_text(tmp_path: Path) -> None:
    elements = {"Modality": FORGED, "ViewPosition": FORGED, "ImageType": ["ORIGINAL", FORGED], "Manufacturer": FORGED}
    path = write(tmp_path / "a.dcm", **elements, PatientOrientation=FORGED, SOPClassUID="1.2.840.4711")
    tags = facts(path).tags
    assert [tags[key] for key in ("Modality", "ViewPosition", "Manufacturer", "SOPClass")] == ["other"] * 4
    assert tags["ImageType"] == ["ORIGINAL", "other"]
    for words in ([path], [path, "--json"]):
        said = run(*words).output
        for planted in (FORGED, "ZEBEDEE", PATIENT_NAME, PATIENT_ID, BIRTH_DATE, STUDY_UID, "4711"):
            assert planted not in said


@pytest.mark.parametrize(
    "said, known",
    [
        ("GE MEDICAL SYSTEMS", "GE"),
        ("HOLOGIC, Inc.", "HOLOGIC"),
        ("FUJIFILM Corporation", "FUJI"),
        ("I.M.S. s.r.l.", "IMS"),
        ("Georgia Zebedee", "other"),
        ("", None),
    ],
)
def test_a_maker_is_a_known_one_or_another(said: str, known: str | None) -> None:
    header = Dataset()
    header.Manufacturer = said
    assert maker(header) == known


def test_a_refused_file_shows_what_was_read_of_it_and_its_picture(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", PresentationIntentType="FOR PROCESSING")
    result = run(path, "--png", tmp_path / "a.png")
    assert result.exit_code == 3
    refused, picture = inspect_file(path)
    assert (refused.admitted, refused.readable, refused.findings[0].code) == (False, True, "FOR_PROCESSING")
    assert (refused.rows, refused.columns, refused.laterality, refused.view) == (160, 120, "R", "MLO")
    assert refused.spacing_mm == (0.1, 0.1)
    assert refused.tags["PresentationIntentType"] == "FOR PROCESSING"
    assert picture is not None
    assert (tmp_path / "a.png").is_file()


@pytest.mark.timeout(60)
def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    shown = facts(tmp_path / "pipe.dcm")
    assert [one.code for one in shown.findings] == ["UNREADABLE"]
    assert shown.file_sha256 is None


def test_an_unreadable_file_shows_what_its_header_says(tmp_path: Path) -> None:
    (tmp_path / "cut.dcm").write_bytes(write(tmp_path / "a.dcm").read_bytes()[:-5000])
    cut = facts(tmp_path / "cut.dcm")
    assert (cut.admitted, cut.readable, cut.findings[0].code) == (False, False, "TRUNCATED")
    assert (cut.rows, cut.columns, cut.laterality, cut.view, cut.inverted) == (160, 120, "R", "MLO", False)
    assert cut.file_sha256 != facts(tmp_path / "a.dcm").file_sha256
    (tmp_path / "b.dcm").write_text("text")
    unreadable = facts(tmp_path / "b.dcm")
    assert (unreadable.readable, unreadable.findings[0].code, unreadable.rows) == (False, "NOT_DICOM", None)
    result = run(tmp_path / "b.dcm", "--png", tmp_path / "b.png")
    assert result.exit_code == 1
    assert "No picture was written" in result.stderr
    assert facts(tmp_path / "absent.dcm").file_sha256 is None


def test_a_contradictory_presentation_leaves_open_whether_it_is_inverted(tmp_path: Path) -> None:
    assert facts(write(tmp_path / "a.dcm", PresentationLUTShape="INVERSE")).inverted is None


def test_the_picture_has_the_breast_outlined_and_the_chest_wall_marked(tmp_path: Path) -> None:
    picture = inspect_file(write_dicom(tmp_path / "a.dcm", Recipe())).picture
    assert picture is not None
    shown = np.asarray(picture)
    assert shown.shape == (160 + CAPTION_PX, 120, 3)
    assert (shown[:160] == OUTLINE).all(axis=-1).sum() > 100
    assert (shown[:160, 0] == CHEST_WALL).all()
    assert shown[160:].max() == 255


def test_a_picture_makes_its_folder_and_a_wrong_place_is_one_sentence(tmp_path: Path) -> None:
    picture = Image.new("L", (4, 4))
    save_picture(picture, tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").is_file()
    with pytest.raises(InputError, match=r"expected one that ends in \.png"):
        save_picture(picture, tmp_path / "a.picture")
    with pytest.raises(InputError, match="cannot be written"):
        save_picture(picture, tmp_path / "new" / "a.png" / "b.png")
