"""What counted, on the exam page: the score of two classes, each class of three; nothing where no score is shown."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from audit.service import Actor, BundleScorer, Entry, Room, score_exam
from medproto.records import Decision, Scored
from medproto.summary import number
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of, three_classes
from tests.ui.conftest import opened, words
from ui.contributions import NO_SCORE, NOT_RECORDED

ADA = Actor("ada", "reader")


def of_three(decision: Decision = "flagged", recorded: bool = True) -> Scored:
    """An exam that a model of three classes scored."""
    return three_classes(make_scored(decision, exam="three", prototypes=8), recorded)


def page_of(room: Room, scored: Scored) -> tuple[AppTest, int]:
    """That exam's page, and its entry."""
    path = room.home.parent / "three.dcm"
    path.write_bytes(b"three")
    number_of_entry = score_exam(
        room, [path], BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(scored)), ADA
    ).number
    return opened("exam", number_of_entry), number_of_entry


def test_two_classes_have_the_score_alone(exams: dict[str, Entry]) -> None:
    said = words(opened("exam", exams["flagged"].number))
    assert "Score (margin)" in said
    assert "Most alike" not in said


def test_three_classes_have_a_line_and_a_waterfall_each(room: Room) -> None:
    scored = of_three()
    app, entry = page_of(room, scored)
    assert not app.exception
    said = words(app)
    assert "weighs “malignant” against the mean of “normal” and “benign”" in said
    for name, logit in scored.prediction.logits.items():
        assert f"<td>{name}</td><td class='n'>" in said
        assert f"<td class='n'>{number(logit)}</td>" in said
    assert "Score (margin)" in said
    app.segmented_control(key=f"counted_{entry}").set_value("benign").run()
    assert "Sum for “benign” (logit)" in words(app)
    assert "Score (margin)" not in words(app)


def test_an_exam_from_before_class_weights_says_so(room: Room) -> None:
    app, entry = page_of(room, of_three(recorded=False))
    assert NOT_RECORDED in words(app)
    assert "Score (margin)" in words(app)
    assert f"counted_{entry}" not in {control.key for control in app.segmented_control}


def test_without_a_score_the_most_alike_of_each_class_is_named_and_nothing_counted(room: Room) -> None:
    scored = of_three("no decision")
    app, _ = page_of(room, scored)
    said = words(app)
    assert NO_SCORE in said
    assert "Most alike" in said
    assert "Logit" not in said
    assert all(number(logit) not in said for logit in scored.prediction.logits.values())
    assert "Score (margin)" not in said
    assert "What counted for" not in [control.label for control in app.segmented_control]
