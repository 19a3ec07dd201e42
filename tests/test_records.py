"""What a record refuses: sums that do not add up, places that are not in the exam, a score where none may be shown."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from medproto.records import Box, GateFinding, Likeness, Prediction
from tests.audit.factory import make_scored, three_classes


def document(**changes: Any) -> str:
    """A valid prediction as JSON, with these fields replaced."""
    return json.dumps({**make_scored().prediction.model_dump(mode="json"), **changes})


def first_match(**changes: Any) -> list[dict[str, Any]]:
    """The matches of a valid prediction, the first one changed."""
    matches: list[dict[str, Any]] = json.loads(document())["matches"]
    return [{**matches[0], **changes}, *matches[1:]]


def test_prediction_survives_json_without_a_change() -> None:
    prediction = make_scored().prediction
    assert Prediction.model_validate_json(prediction.model_dump_json()) == prediction


def test_contributions_must_add_up_to_the_margin() -> None:
    margin = make_scored().prediction.margin
    with pytest.raises(ValidationError, match=r"contributions: got a sum of .*, expected the margin"):
        Prediction.model_validate_json(document(margin=margin * (1 + 3e-5)))
    assert Prediction.model_validate_json(document(margin=margin * (1 + 3e-6)))
    with pytest.raises(ValidationError, match=r"contributions: got a sum of .*, expected the margin"):
        Prediction.model_validate_json(document(matches=first_match(contribution=1000.0)))


def test_what_counted_for_a_class_must_add_up_to_its_logit() -> None:
    three = three_classes(make_scored(prototypes=8)).prediction
    assert Prediction.model_validate_json(three.model_dump_json()) == three
    for name, logit in three.logits.items():
        with pytest.raises(ValidationError, match=r"contributions: got a sum of .* for a class, expected its logit"):
            Prediction.model_validate(three.model_dump() | {"logits": three.logits | {name: logit + 0.01}})


def test_a_body_from_before_class_weights_is_read() -> None:
    told = json.loads(document())
    for match in told["matches"]:
        del match["class_weights"]
    assert Prediction.model_validate_json(json.dumps(told)) == make_scored().prediction


def test_match_must_lie_in_an_image_of_the_exam() -> None:
    with pytest.raises(
        ValidationError, match="matches: got an image that is not in the exam, expected one of its images"
    ):
        Prediction.model_validate_json(document(matches=first_match(image_id="image-of-another")))


@pytest.mark.parametrize(
    "changes", [{"decision": "flagged"}, {"decision": "not flagged", "probability": None}, {"probability": 0.5}]
)
def test_exam_unlike_the_training_data_may_not_carry_a_score(changes: dict[str, Any]) -> None:
    unlike = make_scored("no decision").prediction
    assert unlike.likeness.unlike
    with pytest.raises(
        ValidationError, match="decision: got a score for an exam unlike the training data, expected none"
    ):
        Prediction.model_validate({**unlike.model_dump(), **changes})


def test_exam_at_the_threshold_is_like_the_training_data() -> None:
    assert not Likeness(distance=4.0, threshold=4.0).unlike
    assert Likeness(distance=math.nextafter(4.0, 5.0), threshold=4.0).unlike


@pytest.mark.parametrize("field", ["matches", "images"])
def test_explanation_without_evidence_is_invalid(field: str) -> None:
    with pytest.raises(ValidationError, match=rf"{field}\n.*at least 1 item"):
        Prediction.model_validate_json(document(**{field: []}))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"margin": math.nan}, "finite number"),
        ({"comment": "fine"}, r"comment\n.*Extra inputs are not permitted"),
        ({"schema_version": 3}, r"schema_version\n.*Input should be 1 or 2"),
        ({"decision": "maybe"}, r"decision\n.*'flagged', 'not flagged' or 'no decision'"),
        ({"probability": 1.2}, r"probability\n.*less than or equal to 1"),
        ({"bundle_id": "ABC"}, r"bundle_id\n.*pattern"),
    ],
)
def test_prediction_refuses_what_it_cannot_mean(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Prediction.model_validate({**make_scored().prediction.model_dump(), **changes})


def test_record_cannot_be_changed() -> None:
    prediction = make_scored().prediction
    with pytest.raises(ValidationError, match="frozen"):
        prediction.margin = 0.0  # type: ignore[misc]


def test_prediction_names_every_picture_once() -> None:
    scored = make_scored()
    named = scored.prediction.pictures()
    assert list(named) == sorted(set(named))
    assert set(named) == set(scored.pictures)
    assert {match.source.patch for match in scored.prediction.matches} <= set(named)


def test_image_is_found_by_its_id_and_titled_by_side_and_view() -> None:
    prediction = make_scored().prediction
    assert [prediction.image(image.image_id).title for image in prediction.images] == ["R MLO", "L MLO", "R CC", "L CC"]
    unknown = prediction.images[0].model_copy(update={"laterality": None, "view": None})
    assert unknown.title == "side unknown view unknown"


def test_box_is_half_open_and_has_an_area() -> None:
    box = Box(top=10, left=20, bottom=30, right=60)
    assert box.centre == (20, 40)
    assert box.contains(10, 20)
    assert not box.contains(30, 20)
    assert not box.contains(10, 60)
    for edges in ((10, 20, 10, 60), (10, 60, 30, 20)):
        with pytest.raises(ValidationError, match=r"box: got .*, expected a positive area"):
            Box(top=edges[0], left=edges[1], bottom=edges[2], right=edges[3])


def test_reason_codes_are_in_capitals() -> None:
    with pytest.raises(ValidationError, match=r"code\n.*pattern"):
        GateFinding(code="no good", severity="warn", sentence="No good.")
