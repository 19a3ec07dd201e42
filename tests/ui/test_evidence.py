"""What a card and the wall say of a check by blanking: in words, in line styles, and the same as in the report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.report_words import (
    NO_BETTER,
    NOT_THE_REASON,
    UNCHECKED,
    WITHOUT_BREAST,
    blanking_words,
    counter_words,
)
from audit.trace import TracedPrototype
from medproto import pictures
from medproto.records import Prediction, Scored
from medproto.summary import Evidence, opposing, supporting
from tests.audit.factory import checked, make_scored, three_classes
from ui.evidence_html import PATCH_CONTEXT, card_html, conclusion_html
from ui.trace_view import source_words
from ui.viewing.wall import Exam, wall_of
from ui.waterfall_html import class_waterfall_html, waterfall_html


def cards(scored: Scored) -> list[str]:
    """Each card of the page, in order."""
    items = (*supporting(scored.prediction), *opposing(scored.prediction))
    return [card_html(item, scored.prediction, scored.pictures.__getitem__) for item in items]


def marks(scored: Scored) -> list[dict[str, Any]]:
    """All that the viewer outlines."""
    slots = [slot for row in wall_of(Exam(1, scored.prediction))["rows"] for slot in row if slot and slot["image"]]
    return [mark for slot in slots for mark in slot["image"]["marks"]]


def test_a_picture_that_is_of_a_patient_hangs_without_the_word_synthetic() -> None:
    record = make_scored().prediction
    told = [
        image.model_copy(update={"synthetic": said})
        for image, said in zip(record.images, (None, True, False, False), strict=True)
    ]
    mixed = record.model_copy(update={"images": tuple(told)})
    hung = {
        image["id"]: image["synthetic"]
        for row in wall_of(Exam(1, mixed))["rows"]
        for image in (slot["image"] for slot in row if slot)
    }
    assert [hung[image.image_id] for image in told] == [True, True, False, False]


def test_the_sentence_of_the_case_stands_on_top() -> None:
    assert '<div class="mp-conclusion flagged">Flagged: the right MLO view' in conclusion_html(make_scored().prediction)


def test_each_card_says_what_blanking_its_box_did() -> None:
    scored = checked(make_scored())
    for card in cards(scored):
        assert "Blanking this box removes 63\xa0% of what the breast gives to the similarity" in card
        assert "(a random box of this size: 4\xa0%)" in card
        assert "box by gradient x input" in card
        assert "box of the cell 38\xa0% (random 4\xa0%)" in card
        assert "16.0\xa0x\xa016.0\xa0mm" in card


def test_only_the_card_whose_box_does_no_better_than_random_warns() -> None:
    assert [NO_BETTER in card for card in cards(checked(make_scored(), 1))] == [False, True, False, False]


def test_a_match_that_was_not_checked_says_so() -> None:
    assert all(UNCHECKED in card and "box of the cell" in card for card in cards(make_scored()))


def test_a_similarity_that_the_breast_does_not_cause_is_no_reason() -> None:
    scored = make_scored(blanked=True)
    for card in cards(scored):
        assert NOT_THE_REASON in card
        assert WITHOUT_BREAST in card
    assert "a blanked breast gives as high a similarity" in conclusion_html(scored.prediction)


def test_a_box_whose_blanking_raises_the_similarity_removes_nothing() -> None:
    match = checked(make_scored()).prediction.matches[0]
    worse = match.blanking[0].model_copy(update={"at_cell": -0.03})
    said = blanking_words(match.model_copy(update={"blanking": (worse,)}), checked=True)
    assert said.startswith("Blanking this box removes nothing of what the breast gives")
    assert "−" not in said


def test_counter_evidence_names_its_classes() -> None:
    prediction = make_scored().prediction
    assert counter_words(prediction) == "Prototypes of “not malignant”, the strongest first."
    only_for = tuple(m for m in prediction.matches if m.contribution > 0)
    without = Prediction.model_validate(
        prediction.model_dump() | {"matches": only_for, "margin": sum(m.contribution for m in only_for)}
    )
    assert counter_words(without) == "No pictured prototype speaks against “malignant”."


@pytest.mark.parametrize("check, solid, dashed", [(True, 4, 4), (False, 4, 0)])
def test_shown_boxes_are_solid_and_compared_patches_dashed(check: bool, solid: int, dashed: int) -> None:
    shown = [mark["dashed"] for mark in marks(checked(make_scored()) if check else make_scored())]
    assert (shown.count(False), shown.count(True)) == (solid, dashed)


def test_the_shown_box_lies_on_the_wall_where_the_record_says() -> None:
    (first,) = (mark for mark in marks(checked(make_scored())) if "1" in mark["labels"] and not mark["dashed"])
    assert (first["box"], first["text"], first["against"]) == ([100, 110, 180, 190], "1", False)


def test_both_patches_of_a_card_are_drawn_at_one_scale() -> None:
    scored = make_scored()
    item = supporting(scored.prediction)[0]
    half = item.match.source.model_copy(update={"spacing_mm": (0.1, 0.1)})
    told = Evidence(item.label, item.match.model_copy(update={"source": half}))
    shown = card_html(told, scored.prediction, scored.pictures.__getitem__)
    assert re.findall(r'style="width:([\d.]+)%" alt', shown) == ["100.0", "50.0"]
    # 3 x 40 pixels of 0.2 and of 0.1 mm: a ruler of 5 mm is as long below either picture
    assert re.findall(r'<i style="width:([\d.]+)%"></i>5 mm', shown) == ["20.8", "20.8"]
    assert "scale unknown" in card_html(item, scored.prediction, scored.pictures.__getitem__)


def test_patch_pictures_are_cut_with_the_context_that_cards_count_with() -> None:
    assert PATCH_CONTEXT == pictures.PATCH_CONTEXT


def test_a_training_image_that_cannot_be_looked_up_is_no_file() -> None:
    match = make_scored().prediction.matches[0]
    gone = TracedPrototype(match, "R MLO", True, None, None, None, "the source film is no longer at hand")
    assert source_words(gone) == "The source film is no longer at hand."
    there = replace(gone, film=Path("images/7.dcm"), film_note="")
    assert source_words(there) == "Training image, by its manifest: images/7.dcm"


def sums_of(shown: str) -> list[float]:
    """The last column of a waterfall."""
    return [float(text.replace("−", "-")) for text in re.findall(r'<td class="n">(−?[\d.]+)</td></tr>', shown)]


def test_the_waterfall_ends_at_the_margin_and_says_how_far_it_is_from_the_operating_point() -> None:
    prediction = make_scored().prediction
    shown = waterfall_html(prediction)
    sums = sums_of(shown)
    assert sums[-2] == pytest.approx(prediction.margin, abs=5e-4)
    assert sums[-1] == prediction.operating_point.margin
    assert f"{prediction.margin - prediction.operating_point.margin:+.3f}" in shown


def test_the_waterfall_of_a_class_ends_at_its_logit() -> None:
    prediction = three_classes(make_scored(prototypes=12)).prediction
    for name in prediction.classes:
        shown = class_waterfall_html(prediction, name)
        assert sums_of(shown)[-1] == pytest.approx(prediction.logits[name], abs=5e-4)
        assert f"Sum for “{name}” (logit)" in shown
        assert "Operating point" not in shown
        first, *_, before_last, _ = re.findall(r'<td class="n">([+−]?[\d.]+)</td><td', shown)
        assert first.startswith("+")
        assert before_last != first


def test_a_waterfall_of_many_prototypes_sums_up_the_weak_ones() -> None:
    whole = three_classes(make_scored(prototypes=40)).prediction
    plain = tuple(match.model_copy(update={"patch": None}) for match in whole.matches)
    prediction = whole.model_copy(update={"matches": plain})
    shown = class_waterfall_html(prediction, "benign")
    (further,) = re.findall(r"(\d+) further prototypes", shown)
    assert shown.count("<tr class") == 40 - int(further) + 2
    assert sums_of(shown)[-1] == pytest.approx(prediction.logits["benign"], abs=5e-4)
