"""Side and view: codes, words, archives' quirks, contradictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts

from medproto.ingest.reading import read_mammogram
from medproto.ingest.views import MODIFIERS, VIEWS, name_image
from tests.ingest.factory import code, write


def naming(**elements: Any) -> tuple[str | None, str | None, list[str]]:
    """Side, view and codes of a header of these elements."""
    header = Dataset()
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    named = name_image(header)
    return named.laterality, named.view, [one.code for one in named.findings]


def frame_anatomy(side: str) -> Sequence:
    anatomy, group = Dataset(), Dataset()
    anatomy.FrameLaterality = side
    group.FrameAnatomySequence = Sequence([anatomy])
    return Sequence([group])


def test_every_view_code_is_one_of_the_standards_context_group() -> None:
    known = {c for name in cid_concepts[4014]["SCT"] for c in concepts["SCT"][name]}
    ours = {c for c in VIEWS if c.isdigit()}
    assert ours <= known
    specimen = "127457009"
    assert known - ours == {specimen}
    modifiers = {c for name in cid_concepts[4015]["SCT"] for c in concepts["SCT"][name]}
    assert {c for c in MODIFIERS if c.isdigit()} <= modifiers


@pytest.mark.parametrize(
    "value, view", [("399368009", "MLO"), ("R-10226", "MLO"), ("399162004", "CC"), ("R-10224", "ML")]
)
def test_a_coded_view_needs_no_words(value: str, view: str) -> None:
    assert naming(ViewCodeSequence=code(value), ImageLaterality="L") == ("L", view, [])


def test_a_code_and_a_word_that_differ_leave_the_view_open() -> None:
    got = naming(ViewCodeSequence=code("399162004"), ViewPosition="MLO", ImageLaterality="L")
    assert got == ("L", None, ["VIEW_CONTRADICTORY"])


def test_sides_that_differ_leave_the_side_open_and_both_are_named(tmp_path: Path) -> None:
    mammogram = read_mammogram(write(tmp_path / "a.dcm", ImageLaterality="R", Laterality="L"))
    assert mammogram.laterality is None
    assert [(one.code, one.severity) for one in mammogram.findings] == [("SIDE_CONTRADICTORY", "warn")]
    assert mammogram.findings[0].sentence.endswith("L and R.")


def test_cbis_ddsm_writes_the_view_into_the_patient_orientation() -> None:
    assert naming(PatientOrientation="CC", Laterality="L") == ("L", "CC", [])
    assert naming(PatientOrientation=["A", "R"], ViewPosition="CC", Laterality="L") == ("L", "CC", [])


def test_tomosynthesis_states_its_side_in_the_frame_anatomy() -> None:
    assert naming(SharedFunctionalGroupsSequence=frame_anatomy("R"), ViewPosition="CC") == ("R", "CC", [])
    assert naming(PerFrameFunctionalGroupsSequence=frame_anatomy("L"), ViewPosition="CC") == ("L", "CC", [])


def test_nothing_said_is_missing_and_nothing_is_guessed() -> None:
    assert naming() == (None, None, ["SIDE_MISSING", "VIEW_MISSING"])
    assert naming(ViewPosition="AP", Laterality="B") == (None, None, ["SIDE_MISSING", "VIEW_MISSING"])


def test_a_view_word_that_holds_the_side_is_held_against_the_side() -> None:
    assert naming(ViewPosition="LMLO") == ("L", "MLO", [])
    assert naming(ViewPosition="LMLO", ImageLaterality="R") == (None, "MLO", ["SIDE_CONTRADICTORY"])


@pytest.mark.parametrize(
    "elements, expected",
    [
        ({"ViewCodeSequence": code("399162004", "399163009")}, "MAGNIFICATION"),
        ({"ViewCodeSequence": code("R-10242", "R-102D6")}, "MAGNIFICATION"),
        ({"EstimatedRadiographicMagnificationFactor": "1.8"}, "MAGNIFICATION"),
        ({"ViewCodeSequence": code("399162004", "399055006")}, "SPOT_COMPRESSION"),
        ({"ViewCodeSequence": code("399162004", "399209000")}, "IMPLANT"),
        ({"BreastImplantPresent": "YES"}, "IMPLANT"),
        ({"PartialView": "YES"}, "PARTIAL_VIEW"),
        ({"SeriesDescription": "cropped images"}, "PARTIAL_VIEW"),
    ],
)
def test_special_views_are_marked(elements: dict[str, Any], expected: str) -> None:
    assert naming(ViewPosition="CC", ImageLaterality="L", **elements) == ("L", "CC", [expected])


def test_a_contact_view_is_no_magnification() -> None:
    assert naming(ViewPosition="CC", ImageLaterality="L", EstimatedRadiographicMagnificationFactor="1.07")[2] == []
