"""A reading as it is entered, kept and signed: what is written down, and what is said where nothing is."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from audit.service import Actor, Entry, Opinion, Room, prediction, review, reviews
from tests.ui.conftest import kinds, opened, words
from ui.review_form import NO_REASON, NO_VERDICT, SIGN


def test_review_is_written_with_name_reason_and_misleading_prototype(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    _, record = prediction(room, entry)
    app = opened("exam", entry)
    misled = record.matches[0].prototype_id
    app.checkbox(key=f"draft_misleads_{misled}_{entry}").check().run()
    _choose(app, entry, "disagree")
    app.text_area(key=f"draft_reason_{entry}").set_value("A lymph node.").run()
    _sign(app)
    (signed,) = reviews(room, entry)
    assert (signed.actor, signed.role, signed.review.reason) == ("demo reader", "reader", "A lymph node.")
    assert signed.review.misleading == (misled,)
    assert f"Signed and written as ledger entry {signed.number}." in words(app)
    assert "A lymph node." in words(app)


def test_what_was_signed_gives_way_to_its_amendment(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    _choose(app, entry, "agree")
    _sign(app)
    assert "Signed and written" in words(app)
    assert "To amend your reading, choose again and sign" in words(app)
    _choose(app, entry, "refer")
    assert "Signed and written" not in words(app)
    assert app.selectbox[0].options[0].startswith("An amendment of what I signed")


def test_disagreeing_without_a_reason_says_so_and_writes_nothing(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    _choose(app, entry, "disagree")
    _sign(app)
    assert NO_REASON in words(app)
    assert "review" not in kinds(room)


def test_a_reason_too_long_is_refused_in_words_and_kept_to_be_shortened(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    app.segmented_control(key=f"draft_verdict_{entry}").set_value("disagree").run()
    app.text_area(key=f"draft_reason_{entry}").set_value("x" * 10_000).run()
    app.button(key=f"sign_{entry}").click().run()
    assert "The reason has 10,000 characters, 2,000 at most are kept: please shorten it." in words(app)
    assert len(app.text_area(key=f"draft_reason_{entry}").value) == 10_000
    assert reviews(room, entry) == []
    app.text_area(key=f"draft_reason_{entry}").set_value("x" * 2000).run()
    app.button(key=f"sign_{entry}").click().run()
    assert [len(signed.review.reason) for signed in reviews(room, entry)] == [2000]


def test_nobody_signs_after_a_reading_that_was_not_yet_shown(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    _choose(app, entry, "agree")
    other = review(room, entry, Opinion(verdict="disagree", reason="A lymph node."), Actor("ada", "reader"))
    _sign(app)
    assert f"Meanwhile entry {other.number} was signed." in words(app)
    assert f"A second reading, after entry {other.number}" in app.selectbox[0].options
    assert len(reviews(room, entry)) == 1
    _sign(app)
    assert [(r.review.act, r.review.of) for r in reviews(room, entry)][1:] == [("second reading", (other.number,))]


def test_signing_without_a_verdict_says_so(exams: dict[str, Entry]) -> None:
    app = opened("exam", exams["flagged"].number)
    _sign(app)
    assert NO_VERDICT in words(app)


def test_an_unsigned_reading_is_asked_about_and_kept(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    _choose(app, entry, "disagree")
    app.text_area(key=f"draft_reason_{entry}").set_value("A lymph node.").run()
    app.button(key="next").click().run()
    assert "is not in the ledger yet" in words(app)
    assert str(exams["flagged"].exam_id) in words(app)
    app.button(key="leave").click().run()
    assert str(exams["no decision"].exam_id) in words(app)
    app.query_params["entry"] = str(entry)
    app.run()
    assert app.text_area(key=f"draft_reason_{entry}").value == "A lymph node."
    assert "review" not in kinds(room)


def test_a_discarded_reading_leaves_nothing(exams: dict[str, Entry]) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    _choose(app, entry, "refer")
    app.button(key="next").click().run()
    app.button(key="discard").click().run()
    app.query_params["entry"] = str(entry)
    app.run()
    assert app.segmented_control(key=f"draft_verdict_{entry}").value is None


def test_no_tab_changes_its_name_when_a_reading_is_signed(exams: dict[str, Entry]) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    before = [tab.label for tab in app.tabs]  # the browser finds the tab that is looked at by its name
    _choose(app, entry, "agree")
    app.button(key=f"sign_{entry}").click().run()
    assert "Signed and written" in words(app)
    assert [tab.label for tab in app.tabs] == before


def _choose(app: AppTest, entry: int, verdict: str) -> None:
    app.segmented_control(key=f"draft_verdict_{entry}").set_value(verdict).run()


def _sign(app: AppTest) -> None:
    next(button for button in app.button if button.label == SIGN).click().run()


def test_keys_choose_and_bring_the_keyboard_to_the_reason_that_is_needed(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    app = opened("exam", entry)
    app.button(key="key_y").click().run()
    assert app.segmented_control(key=f"draft_verdict_{entry}").value == "agree"
    assert "write_reason" not in app.session_state
    app.button(key="key_x").click().run()
    assert app.segmented_control(key=f"draft_verdict_{entry}").value == "disagree"
    assert app.session_state["write_reason"] == 1
    app.text_area(key=f"draft_reason_{entry}").set_value("A lymph node.").run()
    _sign(app)
    assert [(r.review.verdict, r.review.reason) for r in reviews(room, entry)] == [("disagree", "A lymph node.")]


def test_what_was_entered_and_not_signed_is_marked_on_the_worklist(exams: dict[str, Entry]) -> None:
    app = opened("exam", exams["flagged"].number)
    app.button(key="key_y").click().run()
    app.switch_page("screens/worklist.py").run()
    assert "not signed" in words(app)
