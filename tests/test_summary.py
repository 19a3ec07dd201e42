"""The sentence of a case is true of its record, whatever the record holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medproto.records import Blanking, Box, BoxKind, ImageRecord, Likeness, Prediction, PrototypeMatch
from medproto.summary import case_sentence, opposing, percent, share, shown_box, size_words, supporting, view_words
from tests.audit.factory import Pictures, checked, make_image, make_scored

CLASSES = ("not malignant", "malignant", "benign finding", "implant")
NOT_THE_BREAST = "yet a blanked breast gives as high a similarity"
NO_BETTER = "yet blanking its box does no better than blanking a random one"
BASE = make_scored(prototypes=10)
#: A record takes milliseconds to draw, and more on a busy machine: that is no failure.
UNHURRIED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ROUNDED = st.floats(-3, 3).map(lambda value: round(value, 2))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """A box somewhere on the image, up to 300 pixels a side."""
    top, left = draw(st.floats(0, 700)), draw(st.floats(0, 500))
    return Box(top=top, left=left, bottom=top + draw(st.floats(1, 300)), right=left + draw(st.floats(1, 300)))


@st.composite
def blankings(draw: st.DrawFn) -> tuple[Blanking, ...]:
    """Nothing, or a check of one to three kinds of box."""
    kinds: list[BoxKind] = draw(st.permutations(["patch", "threshold", "attribution"]))
    drops = ("at_cell", "anywhere", "random_at_cell", "random_anywhere")
    return tuple(
        Blanking(
            kind=kind,
            box=draw(boxes()),
            boxes=20,
            as_strong=draw(st.integers(0, 20)),
            **{name: draw(st.floats(-0.5, 1.5)) for name in drops},
        )
        for kind in kinds[: draw(st.integers(0, 3))]
    )


@st.composite
def images(draw: st.DrawFn) -> tuple[ImageRecord, ...]:
    """One to six views; sides, kinds and spacing may be unknown, and two pictures may show the same view."""
    found = []
    for place in range(draw(st.integers(1, 6))):
        image = BASE.prediction.images[place % 4]
        rendering = image.rendering.model_copy(
            update={
                "crop": draw(boxes()),
                "flipped": draw(st.booleans()),
                "upturned": draw(st.booleans()),
            }
        )
        changes = {
            "image_id": f"image-{place:016x}",
            "laterality": draw(st.sampled_from(["L", "R", None])),
            "view": draw(st.sampled_from(["CC", "MLO", None])),
            "spacing_mm": draw(st.sampled_from([None, (0.1, 0.1), (0.05, 0.2)])),
            "rendering": rendering,
        }
        found.append(image.model_copy(update=changes))
    return tuple(found)


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    """Exams of every outcome with up to ten prototypes of two to four classes."""
    views, classes = draw(images()), CLASSES[: draw(st.integers(2, 4))]
    matches = []
    for place in range(draw(st.integers(1, 10))):
        base = BASE.prediction.matches[place]
        similarity, weight = draw(ROUNDED), draw(ROUNDED)
        changes: dict[str, Any] = {
            "prototype_id": f"prototype-{place:02d}",
            "prototype_class": draw(st.sampled_from(classes)),
            "similarity": similarity,
            "weight": weight,
            "contribution": similarity * weight,
            "image_id": draw(st.sampled_from(views)).image_id,
            "box": draw(boxes()),
            "patch": base.patch if draw(st.booleans()) else None,
            "blanking": draw(blankings()),
        }
        matches.append(base.model_copy(update=changes))
    margin = sum(match.contribution for match in matches)
    decision = draw(st.sampled_from(["flagged", "not flagged", "no decision"]))
    unlike = decision == "no decision" and draw(st.booleans())
    scored = make_scored().prediction
    return Prediction.model_validate(
        scored.model_dump()
        | {
            "classes": classes,
            "images": views,
            "matches": tuple(sorted(matches, key=lambda m: -m.contribution)),
            "margin": margin,
            "decision": decision,
            "blanked": any(match.blanking for match in matches) or draw(st.booleans()),
            "probability": None if unlike else scored.probability,
            "likeness": Likeness(distance=9.0 if unlike else 1.0, threshold=4.0),
        }
    )


def named(said: str, prediction: Prediction) -> PrototypeMatch:
    """The one match that a part of the sentence names."""
    (match,) = [m for m in prediction.matches if m.prototype_id in said]
    return match


def assert_place(said: str, match: PrototypeMatch, prediction: Prediction) -> None:
    """A part of the sentence names view, label, half, size and class of its match, and nothing that is not so."""
    image, box = prediction.image(match.image_id), shown_box(match)
    assert view_words(prediction, match.image_id) in said
    assert f"“{match.prototype_class}”" in said
    labels = {e.match.prototype_id: e.label for e in (*supporting(prediction), *opposing(prediction))}
    assert re.findall(r"box (\w+)[,)]", said) == [label for name, label in labels.items() if name == match.prototype_id]
    assert (NOT_THE_BREAST in said) == (prediction.blanked and match.patch is not None and not match.blanking)
    assert (NO_BETTER in said) == bool(match.blanking and match.blanking[0].no_better_than_random)
    if "half" in said:
        row, column = box.centre
        crop, rendering = image.rendering.crop, image.rendering
        assert not rendering.upturned
        assert crop.contains(row, column)
        assert ("upper half" in said) == (row < crop.centre[0])
        assert ("on the chest wall side" in said) == ((column >= crop.centre[1]) == rendering.flipped)


@UNHURRIED
@given(predictions())
def test_every_part_of_the_sentence_is_true_of_the_record(prediction: Prediction) -> None:
    said = case_sentence(prediction)
    assert said.endswith(".")
    assert re.findall(r"[.!?](?:\s|$)", said) == ["."]
    first, last = said.rsplit("; ", 1)
    if prediction.decision == "no decision":
        assert first.startswith("No decision")
        alike = named(last, prediction)
        assert alike.similarity == max(m.similarity for m in prediction.matches)
        assert_place(last, alike, prediction)
        return
    assert first.startswith("Flagged" if prediction.decision == "flagged" else "Not flagged")
    contributions = [m.contribution for m in prediction.matches]
    if max(contributions) > 0:
        strongest = named(first, prediction)
        assert strongest.contribution == max(contributions)
        assert_place(first, strongest, prediction)
        total = sum(c for c in contributions if c > 0)
        assert f"which gives {share(strongest.contribution / total)} of what speaks for “malignant”" in first
    else:
        assert "no prototype speaks for “malignant”" in first
    if min(contributions) < 0:
        against = named(last, prediction)
        assert against.contribution == min(contributions)
        assert_place(last, against, prediction)
    else:
        assert last == "nothing speaks against it."


@UNHURRIED
@given(predictions())
def test_nothing_that_names_a_patient_an_exam_or_an_image_is_in_the_sentence(prediction: Prediction) -> None:
    said = case_sentence(prediction)
    names = [prediction.patient_id, prediction.exam_id, *(image.image_id for image in prediction.images)]
    names += [match.source.image_id for match in prediction.matches]
    assert not [name for name in names if name in said]


@UNHURRIED
@given(predictions())
def test_an_exam_without_a_decision_gets_no_share_of_a_score(prediction: Prediction) -> None:
    said = case_sentence(prediction)
    assert ("%" in said) <= (prediction.decision != "no decision")
    assert ("speaks" in said) == (prediction.decision != "no decision")


@pytest.mark.parametrize(
    "make, expected",
    [
        (
            lambda: make_scored("flagged").prediction,
            "Flagged: the right MLO view (box 1, upper half, away from the chest wall, 8.0 x 8.0 mm) resembles a "
            "training patch of “malignant” (p000-811878bf, similarity 6.00), which gives 78 % of what speaks for "
            "“malignant”; strongest against it: p002-a9da8c79 of “not malignant” in the right CC view (box A).",
        ),
        (
            lambda: make_scored("not flagged").prediction,
            "Not flagged, although the right MLO view (box 1, upper half, away from the chest wall, 8.0 x 8.0 mm) "
            "resembles a training patch of “malignant” (p000-811878bf, similarity 0.60), which gives 69 % of what "
            "speaks for “malignant”; strongest against it: p003-cf8141e4 of “not malignant” in the left CC view "
            "(box A).",
        ),
        (
            lambda: checked(make_scored("no decision"), 0).prediction,
            "No decision: this exam is unlike the data the model was trained on, so neither a score nor a probability "
            "is shown; the greatest likeness found is of the right MLO view (box 1, upper half, away from the chest "
            "wall, 16.0 x 16.0 mm) to a training patch of “malignant” (p000-811878bf, similarity 3.00), yet blanking "
            "its box does no better than blanking a random one.",
        ),
    ],
)
def test_the_sentence_reads(make: Callable[[], Prediction], expected: str) -> None:
    assert case_sentence(make()).replace("\xa0", " ") == expected


def test_where_spacing_is_unknown_the_box_is_told_in_rows_and_columns() -> None:
    scored = make_scored().prediction
    images = tuple(image.model_copy(update={"spacing_mm": None}) for image in scored.images)
    said = case_sentence(scored.model_copy(update={"images": images}))
    assert "rows 120 to 160, columns 100 to 140" in said
    assert "mm" not in said


def test_two_pictures_of_one_view_are_not_taken_for_one() -> None:
    scored = make_scored().prediction
    twice = scored.model_copy(update={"images": (*scored.images, make_image(Pictures(7), "R", "MLO"))})
    assert "one of 2 pictures of the right MLO view" in case_sentence(twice)


def test_sizes_follow_the_spacing_of_rows_and_columns() -> None:
    image = make_scored().prediction.images[0].model_copy(update={"spacing_mm": (0.1, 0.2)})
    assert size_words(Box(top=0, left=0, bottom=100, right=30), image) == "10.0\xa0x\xa06.0\xa0mm"


def test_a_share_that_is_not_quite_all_is_not_called_all() -> None:
    assert [share(value).replace("\xa0", " ") for value in (0.0, 0.004, 0.41, 0.996, 1.0, -0.06, -0.001)] == [
        "0 %",
        "under 1 %",
        "41 %",
        "over 99 %",
        "100 %",
        "−6 %",
        "0 %",
    ]


def test_a_probability_that_is_not_quite_certain_is_not_printed_as_certain() -> None:
    blank = "\N{NO-BREAK SPACE}"
    said = [percent(value).replace(blank, " ") for value in (0, 0.0001, 0.0005, 0.832, 0.9994, 0.99999, 1)]
    assert said == ["0.0 %", "under 0.1 %", "0.1 %", "83.2 %", "99.9 %", "over 99.9 %", "100.0 %"]
