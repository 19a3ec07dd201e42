"""Limits that a card finds in its bundle and in the figures of an evaluation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medproto.card.evaluation import Measured
from medproto.card.limits import limits
from medproto.card.records import Table
from tests.card.factory import Written, section, words_of

ROOT = Path(__file__).resolve().parent.parent.parent


def test_evidence_that_fails_its_checks_is_a_limit(written: Written) -> None:
    gain = {"value": 0.01, "low": -0.02, "high": 0.04}
    box = {"kind": "patch", "at_cell": 0.1, "random_at_cell": 0.09, "gain": gain, "gain_anywhere": gain, "better": 0.5}
    card = written.card(
        blanking={"exams": 40, "random_boxes": 20, "without_share": 0, "boxes": [box]},
        shortcut={"verdict": "suspected", "exams": 30, "in_lesion": None},
        strangers=[{"name": "films", "unlike": {"value": 0.75, "low": 0.6, "high": 0.9}, "exams": 8}],
        beside=[{"method": "black box", "exams": 9, "difference": {"value": -0.2, "low": -0.3, "high": -0.1}}],
    )
    text = words_of(section(card, "Limits"))
    for sentence in (
        "is not shown to take more than random boxes do: 0.010 (-0.020 to 0.040).",
        "WARNING: a SHORTCUT is suspected",
        "Not all exams of 'films' are marked as unlike the training data: 0.750 (0.600 to 0.900).",
        "black box has a higher AUROC on the same exams, by 0.200.",
    ):
        assert sentence in text
    assert "patch | 0.100 | 0.090 | 0.010 (-0.020" in words_of(section(card, "Results: blanking the box"))
    assert "strongest patch in the finding | not defined" in words_of(section(card, "Results: shortcut check"))
    assert "films | not measured | 8 |" in words_of(section(card, "Results: exams from elsewhere"))


def test_evidence_that_passes_its_checks_is_no_limit(written: Written) -> None:
    gain = {"value": 0.3, "low": 0.2, "high": 0.4}
    card = written.card(
        blanking={"exams": 40, "random_boxes": 20, "boxes": [{"kind": "patch", "gain": gain}]},
        shortcut={"verdict": "no sign", "exams": 30},
        strangers=[{"name": "films", "unlike": {"value": 1.0, "low": 0.6, "high": 1.0}, "exams": 8}],
        beside=[{"method": "black box", "exams": 9, "difference": {"value": -0.2, "low": -0.3, "high": 0.1}}],
    )
    text = words_of(section(card, "Limits"))
    assert not re.search("random boxes|SHORTCUT|films|black box|Not measured in this evaluation", text)


def test_blanking_that_takes_nothing_is_not_called_unmeasured(written: Written) -> None:
    found = words_of(section(written.card(blanking=None), "Results: blanking the box"))
    assert found == "Not defined: blanking the whole breast lowers no exam's similarity."
    assert words_of(section(written.card(blanking=...), "Results: blanking the box")).startswith("Not measured")


def test_limits_are_found_in_the_figures(written: Written) -> None:
    groups = [
        {"field": "vendor", "value": "Blue", "notes": ["WARNING: AUROC lies below that of all others (0.950)"]},
        {"field": "view", "value": "CC", "notes": ["too small to judge: 3 positive and 4 negative"]},
    ]
    content = written.content() | {
        "exams": 4000,
        "positives": 99,
        "manifest_digest": "0" * 64,
        "auroc": {"exam": {"value": 0.8, "low": 0.6, "high": 0.9}},
        "top1_in_lesion": {"value": 0.1, "low": 0.04, "high": 0.2},
        "random_in_lesion": 0.05,
        "unlike_training": {"value": 0.2, "low": 0.1, "high": 0.3},
        "left_out": ["row 2: The file is not DICOM."],
        "subgroups": groups,
        "calibration": written.content()["calibration"] | {"ece": 0.2, "ece_if_perfect": [0.01, 0.1]},
    }
    content = {key: value for key, value in content.items() if key not in ("quality", "blanking", "shortcut")}
    text = words_of(limits(written.trained.bundle(), Measured(content)))
    for sentence in (
        "SYNTHETIC: nothing here says how the model does on exams of patients",
        "chosen on 4 validation exams",
        "Evaluated on 99 positive and 3901 other exams, fewer than 100 of each",
        "The AUROC of exams is known to within 0.30 only: 0.800 (0.600 to 0.900)",
        "not shown to lie in the finding more often than a random one: 0.100 (0.040 to 0.200)",
        "gets no decision: 0.200 (0.100 to 0.300)",
        "1 rows of the evaluated split were left out",
        "WARNING: the AUROC lies below that of all others in 1 subgroups: vendor Blue",
        "1 of 2 subgroups are too small to judge: view CC",
        "how the results differ by density, age",
        "ECE 0.200, of a perfect model at most 0.100",
        "Not as asked for: strongest patch of a positive exam in the marked finding.",
        "Not measured in this evaluation: prototype quality, blanking of the boxes, shortcuts, exams from elsewhere",
    ):
        assert sentence in text
    assert "the training's own data set alone" not in text


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        ({"value": 1.0, "low": 0.9, "high": 1.1}, "met"),
        ({"value": 0.6, "low": 0.5, "high": 0.7}, "not met"),
        ({"value": 1.5, "low": 1.3, "high": 1.7}, "not met"),
        ({"value": 1.0, "low": 0.7, "high": 1.3}, "open: the interval holds both"),
        (None, "not defined"),
    ],
)
def test_a_level_is_met_where_the_whole_interval_says_so(written: Written, slope: object, verdict: str) -> None:
    calibration = written.content()["calibration"] | {"slope": slope}
    text = words_of(section(written.card(calibration=calibration), "Limits"))
    assert re.search(rf"^calibration slope \| 0.8 to 1.25 \| .* \| {verdict}$", text, re.MULTILINE)


def test_prototypes_are_asked_to_stay_under_every_shift_that_was_tried(written: Written) -> None:
    text = words_of(section(written.card(), "Limits"))
    tried = [name for name in written.content()["quality"]["stability"] if "pixel" in name or "JPEG" in name]
    assert len(tried) >= 3
    assert all(f"prototypes in the same place, {name} | 0.95 or more" in text for name in tried)


def test_the_guide_names_what_is_asked_for(written: Written) -> None:
    guide = (ROOT / "docs" / "card.md").read_text(encoding="utf-8")
    asked = next(part for part in section(written.card(), "Limits").parts if isinstance(part, Table))
    named = [f"| {measure} | {level} |" for measure, level, *_ in asked.rows if "in the same place" not in measure]
    assert len(named) == 3
    assert all(row in guide for row in named)
    assert {level for measure, level, *_ in asked.rows if "in the same place" in measure} == {"0.95 or more"}
