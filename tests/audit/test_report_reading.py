"""What a reader meets on a report: views that stay together, words for odd numbers, every script, long comments."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader

from audit.report import render_report
from audit.report_identity import Identity
from audit.report_words import blanking_words
from medproto.records import Prediction, Scored
from medproto.summary import number, signed
from tests.audit.factory import blanked, make_scored
from tests.audit.test_report import prediction_entry, rendered, review_of, standing_of, text_of


def test_a_report_of_three_classes_says_what_each_counted() -> None:
    scored = make_scored(prototypes=12)
    classes = ("normal", "benign", "malignant")
    kept = [
        match.model_copy(update={"prototype_class": classes[i % 2]}) if match.weight < 0 else match
        for i, match in enumerate(scored.prediction.matches)
    ]
    changes = {"matches": kept, "classes": classes, "logits": {"normal": -1.25, "benign": 0.5, "malignant": 9.75}}
    three = Scored(Prediction.model_validate(scored.prediction.model_dump() | changes), scored.pictures)
    text = text_of(rendered(three))
    assert "weighs “malignant” against the mean of “normal” and “benign”" in text
    for name in classes:
        own = [match for match in kept if match.prototype_class == name]
        logit = number(three.prediction.logits[name])
        assert f"{name} {len(own)} {logit} {signed(sum(match.contribution for match in own))}" in text
    assert "against the mean of" not in text_of(rendered(scored))


@pytest.mark.parametrize("name", ["Doe, Jane", "A very long name " * 12])
def test_four_views_stay_together_on_the_first_page_of_a_report_that_names_the_patient(name: str) -> None:
    scored = make_scored()
    held = standing_of(prediction_entry(scored))
    pdf = render_report(held, scored.pictures.__getitem__, Identity(name, "1234", "1950-01-01", "00"))
    first = PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    assert all(first.count(view) for view in ("R CC", "L CC", "R MLO", "L MLO"))
    assert first.count("50 mm") == 4


def test_a_negative_similarity_is_said_to_count_against_the_class() -> None:
    scored = make_scored("not flagged")
    unlike = [
        match.model_copy(update={"similarity": -match.similarity, "contribution": -match.contribution})
        if match.weight > 0
        else match
        for match in scored.prediction.matches
    ]
    margin = sum(match.contribution for match in unlike)
    changes = {"matches": unlike, "margin": margin}
    prediction = Prediction.model_validate(scored.prediction.model_dump() | changes)
    said = "A negative similarity: nothing in the exam is like that patch, which counts against it."
    assert said in text_of(rendered(Scored(prediction, scored.pictures)))
    assert said not in text_of(rendered(scored))


def test_a_box_that_takes_more_than_the_breast_is_said_to_take_more_than_all() -> None:
    match = blanked(make_scored().prediction.matches[0])
    shown = match.blanking[0].model_copy(update={"at_cell": 1.26})
    said = blanking_words(match.model_copy(update={"blanking": (shown,)}), checked=True)
    assert "removes more than all (126\N{NO-BREAK SPACE}%) of what the breast gives" in said


def test_what_a_cell_can_see_is_told_within_the_image() -> None:
    text = text_of(rendered(make_scored()))
    assert "rows 0 to 310, columns 0 to 290, 11 % of image; cell 3, 2" in text
    assert "rows −" not in text


def test_the_model_card_says_what_is_missing_from_the_ledger() -> None:
    text = text_of(rendered(make_scored()))
    assert "Not for primary diagnosis, not for triage of patients" in text
    assert "No evaluation of this bundle was registered in this ledger." in text


def test_a_comment_longer_than_a_page_is_broken_and_printed_whole() -> None:
    scored, comment = make_scored(), " ".join(f"word{i}" for i in range(2000))
    held = standing_of(prediction_entry(scored), review_of(comment))
    text = text_of(render_report(held, scored.pictures.__getitem__))
    assert all(f"word{i}" in text for i in (0, 999, 1999))


def test_characters_without_glyph_are_spelled_and_not_left_blank() -> None:
    scored = make_scored()
    held = standing_of(prediction_entry(scored), review_of("中 ok", "李.reader"))
    text = text_of(render_report(held, scored.pictures.__getitem__))
    assert "‹U+4E2D› ok" in text
    assert "‹U+674E›.reader" in text


def test_accented_greek_and_cyrillic_names_are_printed() -> None:
    name = "Zoë Ελένη Ольга"
    assert name in text_of(rendered(make_scored(bundle_name=name)))


def test_signs_and_scripts_that_the_text_font_lacks_are_set_in_the_other_one() -> None:
    said = "12 h → vascular, ≤ 3 mm ✓ Հայաստան საქართველო"
    scored = make_scored()
    held = standing_of(prediction_entry(scored), review_of(f"{said} <i>سلام</i>"))
    text = text_of(render_report(held, scored.pictures.__getitem__))
    assert said in text
    assert "<i>‹U+0633›‹U+0644›‹U+0627›‹U+0645›</i>" in text


def test_markup_in_a_name_is_printed_and_not_obeyed() -> None:
    assert "<b>A & B</b>" in text_of(rendered(make_scored(bundle_name="<b>A & B</b>")))
