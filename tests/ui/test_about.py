"""Intended use: hazards and limits in the product's own words, and for each model what it learnt from and its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.service import Entry, Room
from medproto.intended_use import HAZARDS, INTENDED, LIMITS, NOT_INTENDED
from tests.audit.factory import BUNDLE_ID, checked, make_scored
from tests.audit.modelling import register_model
from tests.ui.conftest import opened, words
from ui.importing import BUNDLE_VARIABLE


def test_every_reader_finds_use_hazards_and_limits(exams: dict[str, Entry]) -> None:
    said = words(opened("about")).replace("&#x27;", "'")
    for sentence in (INTENDED, NOT_INTENDED, *LIMITS, *(text for hazard in HAZARDS for text in hazard)):
        assert sentence in said


def test_a_model_says_whose_pictures_it_learnt_from(room: Room) -> None:
    register_model(room, checked(make_scored("flagged", exam="1"), 1))
    app = opened("about")
    said = words(app)
    assert "factory cohort, SYNTHETIC: no patient" in said
    assert "<dt>Trained on</dt><dd>120 patients, 120 exams, 480 images</dd>" in said
    assert said.index("Trained on") < said.index("Choices made on") < said.index("Kept for evaluation")
    assert "CC0-1.0" in said
    app.button(key=f"read_model_{BUNDLE_ID}").click().run()
    assert "mp-page" in words(app)


def test_a_model_that_only_scored_claims_nothing_about_its_data(exams: dict[str, Entry]) -> None:
    said = words(opened("about"))
    assert "not recorded with this model" in said
    assert "Trained on" not in said
    assert "No model card was kept with this model." in said


def loads(folder: Path, monkeypatch: pytest.MonkeyPatch, **changed: object) -> None:
    """Load a bundle of which the manifest alone is there."""
    splits = {"train": {"patients": 3, "exams": 4, "images": 16, "annotated": 2, "by": {}, "left_out": {}}}
    told = {"name": "fresh", "data_licence": "CC-BY-4.0", "data_name": "real films", "synthetic": False}
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(told | {"data": {"splits": splits}} | changed))
    monkeypatch.setenv(BUNDLE_VARIABLE, str(folder))


def test_the_loaded_model_is_told_before_it_has_scored(
    exams: dict[str, Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads(tmp_path / "bundle", monkeypatch)
    said = words(opened("about"))
    assert "loaded: it scores what is imported; it has scored nothing here yet" in said
    assert "<dd>real films</dd>" in said
    assert "3 patients, 4 exams, 16 images" in said
    assert "CC-BY-4.0" in said
    assert "not registered here" in said  # the model that scored the exams


@pytest.mark.parametrize("changed", [{"data": {"splits": {"train": {}}}}, {"data": "none"}])
def test_a_damaged_manifest_of_the_loaded_model_is_said(
    exams: dict[str, Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]
) -> None:
    loads(tmp_path / "bundle", monkeypatch, **changed)
    app = opened("about")
    assert not app.exception
    assert "manifest of the loaded one is absent or damaged" in str(app.warning[0].value)
    assert "factory-phantom" in words(app)
