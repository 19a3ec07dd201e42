"""Side and view: codes, words, archives' quirks, contradictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from medproto.ingest.reading import read_mammogram
from medproto.ingest.views import MODIFIERS, SPECIAL_MODIFIERS, SPECIMENS, VIEWS, name_image
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


def codes_of(group: int) -> set[str]:
    """Every code of a context group of the standard, SNOMED CT and the older SRT."""
    coded = {c for name in cid_concepts[group]["SCT"] for c in concepts["SCT"][name]}
    return coded | {mapping["SCT"][c] for c in coded}


def test_every_view_of_the_standard_is_known_in_both_codings() -> None:
    assert set(VIEWS) | SPECIMENS == codes_of(4014)
    for code_value, view in VIEWS.items():
        older = mapping["SCT"].get(code_value, code_value)
        assert VIEWS[older] == view


def test_every_view_modifier_of_the_standard_is_judged_in_both_codings() -> None:
    nipple_in_profile = {"442581004", "R-40AB3"}
    assert not set(MODIFIERS) & set(SPECIAL_MODIFIERS)
    assert set(MODIFIERS) | set(SPECIAL_MODIFIERS) | nipple_in_profile == codes_of(4015)
    both = MODIFIERS | SPECIAL_MODIFIERS
    assert all(both[mapping["SCT"][c]] == said for c, said in both.items() if c.isdigit())


@pytest.mark.parametrize(
    "value, view", [("399368009", "MLO"), ("R-10226", "MLO"), ("399162004", "CC"), ("R-10242", "CC")]
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
    assert naming(PatientOrientation="CC", ViewPosition="MLO", Laterality="L")[1:] == (None, ["VIEW_CONTRADICTORY"])


def test_tomosynthesis_states_its_side_in_the_frame_anatomy() -> None:
    assert naming(SharedFunctionalGroupsSequence=frame_anatomy("R"), ViewPosition="CC") == ("R", "CC", [])
    assert naming(PerFrameFunctionalGroupsSequence=frame_anatomy("L"), ViewPosition="CC") == ("L", "CC", [])


def test_nothing_said_is_missing_and_nothing_is_guessed() -> None:
    assert naming() == (None, None, ["SIDE_MISSING", "VIEW_MISSING"])
    assert naming(ViewPosition="AP", Laterality="B") == (None, None, ["SIDE_MISSING", "VIEW_MISSING"])


def test_a_view_word_that_holds_the_side_is_held_against_the_side() -> None:
    assert naming(ViewPosition="LMLO") == naming(ViewPosition="L MLO") == ("L", "MLO", [])
    assert naming(ViewPosition="RCC", ImageLaterality="R") == ("R", "CC", [])
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
        ({"PartialViewCodeSequence": code("261089000")}, "PARTIAL_VIEW"),
        ({"SeriesDescription": "cropped images"}, "PARTIAL_VIEW"),
        ({"ViewCodeSequence": code("399162004", "399161006")}, "SPECIAL_VIEW"),
        ({"ViewCodeSequence": code("R-10242", "R-102D3")}, "SPECIAL_VIEW"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_PLUS"]}, "SPECIAL_VIEW"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PREFIRE_MINUS"]}, "SPECIAL_VIEW"),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]}, "SPECIAL_VIEW"),
    ],
)
def test_special_views_are_marked(elements: dict[str, Any], expected: str) -> None:
    assert naming(ViewPosition="CC", ImageLaterality="L", **elements) == ("L", "CC", [expected])


def test_a_contact_view_is_no_magnification() -> None:
    assert naming(ViewPosition="CC", ImageLaterality="L", EstimatedRadiographicMagnificationFactor="1.07")[2] == []


@pytest.mark.parametrize("word", ["ML", "LM", "XCCL", "LMO", "AT"])
def test_views_beyond_the_standard_two_are_special(word: str) -> None:
    header = Dataset()
    header.ViewPosition, header.ImageLaterality = word, "L"
    named = name_image(header)
    assert (named.view, named.laterality) == (word, "L")
    assert [one.sentence for one in named.findings] == [
        f"A special view ({word}); the network was trained on standard views."
    ]


def test_a_lateral_view_is_no_axillary_tail_of_the_left_breast() -> None:
    assert naming(ViewPosition="LAT", ImageLaterality="R") == ("R", None, ["VIEW_MISSING"])
    assert naming(ViewPosition="LLM") == ("L", "LM", ["SPECIAL_VIEW"])


def test_nipple_in_profile_is_no_special_view() -> None:
    assert naming(ViewCodeSequence=code("399162004", "442581004"), ImageLaterality="L") == ("L", "CC", [])


@pytest.mark.parametrize("elements", [{"ViewCodeSequence": code("127457009")}, {"ViewPosition": "SPECIMEN"}])
def test_a_specimen_is_no_mammogram(elements: dict[str, Any]) -> None:
    assert naming(ImageLaterality="L", **elements) == ("L", None, ["VIEW_MISSING", "NOT_MAMMOGRAM"])
