"""The gate's vocabulary: every reason code is provoked by a real file, has its severity, and stands in the docs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import BreastTomosynthesisImageStorage, JPEGLosslessSV1

from medproto.config import IngestSettings
from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest.exam import read_exam
from medproto.ingest.gate import RULES
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import Recipe, breast_values, code, lut, mammogram_dataset, write, write_dicom

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gate.md"
#: Codes of the worker process; `test_sandbox` provokes them.
SANDBOX = {"TIMEOUT", "OUT_OF_MEMORY", "WORKER_CRASHED"}


def found(path: Path, settings: IngestSettings = IngestSettings()) -> list[str]:  # noqa: B008
    """Codes of one file, whatever becomes of it."""
    try:
        return [one.code for one in read_mammogram(path, settings).findings]
    except RefusedImage as err:
        return [one.code for one in err.findings]
    except UnreadableImage as err:
        return [err.code]


def of_exam(*paths: Path) -> list[str]:
    """Codes of an exam and of what was refused in it."""
    exam = read_exam(paths, lambda patient, kind, value: f"{kind}-{abs(hash((patient, value)))}")
    return [one.code for record in exam.refused for one in record.findings] + [one.code for one in exam.findings]


def with_elements(**elements: Any) -> Callable[[Path], list[str]]:
    return lambda folder: found(write(folder / "a.dcm", **elements))


def with_values(change: Callable[[np.ndarray[Any, Any]], None]) -> Callable[[Path], list[str]]:
    def provoke(folder: Path) -> list[str]:
        values = breast_values()
        change(values)
        return found(write_dicom(folder / "a.dcm", Recipe(values)))

    return provoke


def not_dicom(folder: Path) -> list[str]:
    (folder / "a.dcm").write_text("not an image")
    return found(folder / "a.dcm")


def truncated(folder: Path) -> list[str]:
    whole = write(folder / "a.dcm").read_bytes()
    (folder / "b.dcm").write_bytes(whole[:-1000])
    return found(folder / "b.dcm")


def undecodable(folder: Path) -> list[str]:
    dataset = mammogram_dataset(Recipe(syntax=JPEGLosslessSV1))
    dataset.add_new("PixelData", "OB", encapsulate([b"\xff\xd8" + bytes(range(200)) + b"\xff\xd9"]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(folder / "a.dcm", enforce_file_format=True)
    return found(folder / "a.dcm")


def admitted(folder: Path) -> list[str]:
    return found(write(folder / "a.dcm", Modality="CR"), IngestSettings(admit_modalities=("MG", "CR")))


def twice(folder: Path) -> list[str]:
    path = write(folder / "a.dcm")
    (folder / "b.dcm").write_bytes(path.read_bytes())
    return of_exam(path, folder / "b.dcm")


def cut_breast(values: np.ndarray[Any, Any]) -> None:
    values[20:-20, :] = 2500


def over_exposed(values: np.ndarray[Any, Any]) -> None:
    values[values > 0] = 4095


#: What provokes each code.
CASES: dict[str, Callable[[Path], list[str]]] = {
    "UNREADABLE": lambda folder: found(folder / "absent.dcm"),
    "NOT_DICOM": not_dicom,
    "TRUNCATED": truncated,
    "UNDECODABLE": undecodable,
    "HOSTILE_SIZE": with_elements(Rows=65535, Columns=65535),
    "NOT_MAMMOGRAM": with_elements(Modality="CT"),
    "FOR_PROCESSING": with_elements(PresentationIntentType="FOR PROCESSING"),
    "TOMOSYNTHESIS": with_elements(SOPClassUID=BreastTomosynthesisImageStorage),
    "MULTI_FRAME": with_elements(NumberOfFrames=4),
    "NO_BREAST": with_values(lambda values: values.fill(0)),
    "PRESENTATION_CONTRADICTORY": with_elements(
        PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY"
    ),
    "MAGNIFICATION": with_elements(ViewCodeSequence=code("399368009", "399163009")),
    "SPOT_COMPRESSION": with_elements(ViewCodeSequence=code("399368009", "399055006")),
    "IMPLANT": with_elements(BreastImplantPresent="YES"),
    "PARTIAL_VIEW": with_elements(PartialView="YES"),
    "BREAST_CUT": with_values(cut_breast),
    "SIDE_MISSING": with_elements(ImageLaterality=None),
    "SIDE_CONTRADICTORY": with_elements(Laterality="L"),
    "VIEW_MISSING": with_elements(ViewPosition=None),
    "VIEW_CONTRADICTORY": with_elements(ViewCodeSequence=code("399162004")),
    "ORIENTATION": with_elements(PatientOrientation=["P", "FL"]),
    "SPECIAL_VIEW": with_elements(ViewCodeSequence=code("399368009", "399161006")),
    "SPACING_MISSING": with_elements(ImagerPixelSpacing=None),
    "EXPOSURE": with_values(over_exposed),
    "SYNTHESISED_2D": with_elements(ImageType=["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]),
    "BODY_PART": with_elements(BodyPartExamined="CHEST"),
    "MODALITY_ADMITTED": admitted,
    "SAME_INSTANCE": twice,
    "PIXEL_DUPLICATE": lambda folder: of_exam(write(folder / "a.dcm"), write(folder / "b.dcm", ViewPosition="CC")),
    "SEVERAL_VOI": with_elements(WindowCenter=["2048", "1000"], WindowWidth=["4096", "2000"]),
    "NO_VOI": with_elements(WindowCenter=None, WindowWidth=None),
    "VOI_INDEX": lambda folder: found(write(folder / "a.dcm"), IngestSettings(voi_index=3)),
    "BURNED_IN_TEXT": with_elements(BurnedInAnnotation="YES"),
    "MISSING_VIEWS": lambda folder: of_exam(write(folder / "a.dcm")),
}


def test_every_code_has_a_file_that_provokes_it() -> None:
    assert set(CASES) | SANDBOX == set(RULES)
    provoked = (Path(__file__).parent / "test_sandbox.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in provoked for name in SANDBOX)


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_code_is_found_alone(name: str, tmp_path: Path) -> None:
    # an exam of one image also lacks views, and a picture of the wrong kind can be wrong in a second way
    beside = {"MISSING_VIEWS", "MULTI_FRAME"}
    codes = CASES[name](tmp_path)
    assert name in codes
    assert set(codes) - {name} <= beside


def test_a_plain_mammogram_has_no_finding(tmp_path: Path) -> None:
    assert found(write(tmp_path / "a.dcm")) == []


@pytest.mark.parametrize(
    "name, elements",
    [
        ("NOT_MAMMOGRAM", {"Modality": "RG"}),
        ("NOT_MAMMOGRAM", {"ViewCodeSequence": code("127457009")}),
        ("NOT_MAMMOGRAM", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}),
        ("FOR_PROCESSING", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}),
        ("TOMOSYNTHESIS", {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}),
        ("TOMOSYNTHESIS", {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS"]}),
        ("PRESENTATION_CONTRADICTORY", {"PresentationLUTShape": "INVERSE"}),
        ("PRESENTATION_CONTRADICTORY", {"VOILUTFunction": "CUBIC"}),
        ("MAGNIFICATION", {"EstimatedRadiographicMagnificationFactor": "1.8"}),
        ("IMPLANT", {"ViewCodeSequence": code("399368009", "399209000")}),
        ("SIDE_MISSING", {"ImageLaterality": "B"}),
        ("ORIENTATION", {"PatientOrientation": ["F", "A"]}),
        ("EXPOSURE", {"KVP": "120"}),
        ("EXPOSURE", {"ExposureStatus": "ABORTED"}),
        ("SEVERAL_VOI", {"VOILUTSequence": [lut(list(range(4096)), 0, 12)]}),
        ("HOSTILE_SIZE", {"Rows": 0}),
    ],
)
def test_other_ways_to_the_same_code(name: str, elements: dict[str, Any], tmp_path: Path) -> None:
    assert name in found(write(tmp_path / "a.dcm", **elements))


#: DESIGN: what is not scored, what is scored and marked, what is only noted.
SEVERITIES = {
    "refuse": "NOT_MAMMOGRAM FOR_PROCESSING TOMOSYNTHESIS MULTI_FRAME UNDECODABLE TRUNCATED HOSTILE_SIZE NO_BREAST "
    "PRESENTATION_CONTRADICTORY NOT_DICOM UNREADABLE TIMEOUT OUT_OF_MEMORY WORKER_CRASHED SAME_INSTANCE",
    "warn": "MAGNIFICATION SPOT_COMPRESSION IMPLANT PARTIAL_VIEW BREAST_CUT SIDE_MISSING SIDE_CONTRADICTORY "
    "VIEW_MISSING VIEW_CONTRADICTORY SPACING_MISSING EXPOSURE PIXEL_DUPLICATE MODALITY_ADMITTED SPECIAL_VIEW "
    "ORIENTATION SYNTHESISED_2D BODY_PART",
    "note": "SEVERAL_VOI VOI_INDEX NO_VOI BURNED_IN_TEXT MISSING_VIEWS",
}


def test_severities_are_those_of_the_design() -> None:
    expected = {name: severity for severity, names in SEVERITIES.items() for name in names.split()}
    assert {name: rule.severity for name, rule in RULES.items()} == expected


def test_the_page_on_the_gate_lists_every_code_with_its_severity_and_sentence() -> None:
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)` \| (\w+) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [(name, severity, sentence) for name, severity, sentence, _ in rows] == [
        (name, rule.severity, rule.sentence.replace("{}", "…")) for name, rule in RULES.items()
    ]
    assert all(len(when) > 10 for *_, when in rows)


def test_every_sentence_is_one_for_the_reader() -> None:
    for name, rule in RULES.items():
        assert rule.sentence.endswith("."), name
        assert rule.sentence[0].isupper() or rule.sentence.startswith("{}"), name
        assert len(rule.sentence) < 120, name
