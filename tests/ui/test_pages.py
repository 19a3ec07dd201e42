"""Each page over a real ledger: what it says, what it writes down, and what it says when something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from audit.entries import KINDS
from audit.erasure import erase, finish_erasures
from audit.evidence import sealed_of
from audit.service import Actor, Entry, Opinion, Room, open_room, prediction, review
from medproto.summary import number
from tests.ui.conftest import kinds, opened, verified, words


def test_without_a_ledger_the_page_says_what_to_do(home: Path) -> None:
    app = opened()
    assert not app.exception
    assert "There is no ledger here yet" in words(app)
    assert "make demo" in words(app)
    assert str(home) in words(app)


def test_a_ledger_that_comes_back_is_found_again(exams: dict[str, Entry], home: Path) -> None:
    app = opened()
    shutil.move(home, home.with_name("away"))
    assert "There is no ledger here yet" in words(app.run())
    shutil.move(home.with_name("away"), home)
    assert exams["flagged"].exam_id in words(app.run())


def test_a_new_room_shows_the_way_to_its_first_exam(home: Path) -> None:
    open_room(home, create=True)
    app = opened()
    assert "No exam has been scored yet." in words(app)
    assert [link.proto.label for link in app.get("page_link")] == ["Import exams"]


def test_worklist_opens_on_flagged_exams_with_counts_and_banners(exams: dict[str, Entry]) -> None:
    said = words(opened())
    assert str(exams["flagged"].exam_id) in said
    assert str(exams["not flagged"].exam_id) not in said
    for banner in ("SYNTHETIC", "Research use only", "Nobody signs in", "demo reader"):
        assert banner in said


def test_worklist_shows_no_score_for_an_exam_without_a_decision(exams: dict[str, Entry], room: Room) -> None:
    app = opened()
    app.segmented_control(key="worklist_kind").set_value("No decision").run()
    _, record = prediction(room, exams["no decision"].number)
    assert record.exam_id in words(app)
    assert number(record.margin) not in words(app)


def test_worklist_lists_refused_exams_with_their_reason(exams: dict[str, Entry]) -> None:
    app = opened()
    app.segmented_control(key="worklist_kind").set_value("Refused").run()
    assert app.expander[0].label.endswith("UTC: The image holds raw detector values.")
    assert "The image holds raw detector values." in words(app)


def test_worklist_search_that_finds_nothing_says_what_to_do(exams: dict[str, Entry]) -> None:
    app = opened()
    app.text_input(key="worklist_search").set_value("exam-nobody").run()
    assert "clear the search" in words(app)


def test_the_keyboard_walks_the_worklist_and_opens_an_exam(exams: dict[str, Entry]) -> None:
    app = opened()
    app.segmented_control(key="worklist_kind").set_value("All").run()
    assert app.button(key="up").disabled
    app.button(key="down").click().run()
    app.button(key="open_marked").click().run()
    assert str(exams["no decision"].number) in app.query_params["entry"]


def test_a_signed_exam_leaves_the_exams_that_wait(exams: dict[str, Entry], room: Room) -> None:
    review(room, exams["flagged"].number, Opinion(verdict="refer"), Actor("ada", "reader"))
    app = opened()
    assert str(exams["flagged"].exam_id) not in words(app)
    app.selectbox(key="worklist_reading").set_value("Referred").run()
    assert str(exams["flagged"].exam_id) in words(app)


def test_what_was_read_is_found_and_a_final_reading_is_told_from_others(exams: dict[str, Entry], room: Room) -> None:
    flagged, unlike = exams["flagged"].number, exams["no decision"].number
    first = review(room, flagged, Opinion(verdict="agree"), Actor("ada", "reader")).number
    review(room, flagged, Opinion(verdict="agree", act="final", of=(first,)), Actor("bob", "reader"))
    review(room, unlike, Opinion(verdict="refer"), Actor("ada", "reader"))
    app = opened()
    app.segmented_control(key="worklist_kind").set_value("All").run()
    for reading, said, entry in (("Closed", "agree, closed", flagged), ("Read, not closed", "refer", unlike)):
        app.selectbox(key="worklist_reading").set_value(reading).run()
        assert said in words(app)
        assert [b.key for b in app.button if str(b.key).startswith("open_") and b.label == "Open"] == [f"open_{entry}"]


def test_opening_an_exam_from_the_worklist_is_written_down_once(exams: dict[str, Entry], room: Room) -> None:
    app = opened()
    app.button(key=f"open_{exams['flagged'].number}").click().run()
    app.run()
    assert kinds(room).count("exam opened") == 1
    assert "Flagged: the right MLO view" in words(app)
    assert "The score for “malignant”, 6.000, reaches the operating point, 2.000." in words(app)


def test_exam_page_shows_every_number_of_its_evidence(exams: dict[str, Entry], room: Room) -> None:
    _, record = prediction(room, exams["flagged"].number)
    said = words(opened("exam", exams["flagged"].number))
    for match in record.matches:
        for value in (match.similarity, match.contribution):
            assert number(value).lstrip("−") in said
        assert match.source.image_id in said
    assert f"operating point {number(record.operating_point.margin)}" in said
    assert "at a prevalence of 25.0" in said
    assert "The breast is cut at the lower edge." in said


def test_exam_without_a_decision_shows_evidence_but_no_score(exams: dict[str, Entry], room: Room) -> None:
    _, record = prediction(room, exams["no decision"].number)
    said = words(opened("exam", exams["no decision"].number))
    assert "No decision: this exam is unlike the data the model was trained on" in said
    assert record.matches[0].prototype_id in said
    for hidden in (number(record.margin), number(record.matches[0].contribution), "at a prevalence of"):
        assert hidden not in said


def test_exam_that_is_not_flagged_says_so(exams: dict[str, Entry]) -> None:
    said = words(opened("exam", exams["not flagged"].number))
    assert "Not flagged, although the right MLO view" in said
    assert "stays below the operating point, 2.000." in said


def test_next_exam_is_the_next_without_a_review(exams: dict[str, Entry]) -> None:
    app = opened("exam", exams["flagged"].number)
    app.button(key="next").click().run()
    assert str(exams["no decision"].exam_id) in words(app)


def test_exam_page_without_an_exam_offers_the_first_of_the_worklist(exams: dict[str, Entry]) -> None:
    app = opened("exam")
    assert "3 exams wait for a reading." in words(app)


def test_an_entry_that_is_no_exam_is_one_sentence_without_a_traceback(exams: dict[str, Entry]) -> None:
    app = opened("exam", 1)
    assert not app.exception
    assert "expected a prediction" in app.error[0].value
    assert "Research use only" in words(app)


def test_a_picture_that_is_gone_is_one_sentence_without_a_traceback(exams: dict[str, Entry], room: Room) -> None:
    entry, record = prediction(room, exams["flagged"].number)
    room.evidence.path(sealed_of(entry.payload)[str(record.matches[0].patch)]).unlink()
    app = opened("exam", exams["flagged"].number)
    assert not app.exception
    assert len(app.error) == 1


def test_an_erased_exam_is_one_sentence_that_names_the_entry(exams: dict[str, Entry], room: Room) -> None:
    entry, record = prediction(room, exams["flagged"].number)
    number = erase(room, record.patient_id, "request", Actor("admin", "administrator")).number
    finish_erasures(room)
    app = opened("exam", entry.number)
    assert not app.exception
    assert [f"erased by entry {number}" in error.value for error in app.error] == [True]
    assert record.exam_id not in words(opened())
    assert kinds(room)[-1] == "erasure"  # an exam that cannot be seen was not opened


@pytest.mark.usefixtures("auditor")
def test_ledger_page_offers_every_kind_of_entry(exams: dict[str, Entry]) -> None:
    offered = opened("ledger").selectbox(key="ledger_kind").options
    assert set(offered) == {"every kind", *KINDS}


@pytest.mark.usefixtures("auditor")
def test_ledger_page_lists_filters_and_verifies(exams: dict[str, Entry]) -> None:
    app = opened("ledger")
    assert "prediction" in words(app)
    app.selectbox(key="ledger_kind").set_value("refusal").run()
    assert str(exams["flagged"].exam_id) not in words(app)
    assert "Verified: 9 entries" in words(verified(app))
    assert "Every body names the leaf of the entry before it." in words(app)


@pytest.mark.usefixtures("auditor")
def test_ledger_page_shows_an_entry_its_proof_and_its_trace(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"]
    app = opened("ledger", entry.number)
    _, record = prediction(room, entry.number)
    assert record.matches[0].source.patch[:16] in words(app)
    assert any(entry.leaf in str(block.value) for block in app.code)
    assert app.json[0].value


@pytest.mark.parametrize("asked", ["abc", "-1", "99999", "9" * 30, "9" * 5000])
def test_an_entry_that_is_not_there_is_one_sentence_beside_the_list(
    asked: str, auditor: None, exams: dict[str, Entry]
) -> None:
    app = opened("ledger")
    app.query_params["entry"] = asked
    app.run()
    assert "There is no such entry in this ledger." in words(app)
    assert app.button(key=f"show_{exams['flagged'].number}")


def test_a_ledger_page_of_readings_alone_says_that_their_exams_are_synthetic(
    auditor: None, exams: dict[str, Entry], room: Room
) -> None:
    review(room, exams["flagged"].number, Opinion(verdict="agree"), Actor("ada", "reader"))
    app = opened("ledger")
    for kind, synthetic in (("review", True), ("ledger created", False)):
        app.selectbox(key="ledger_kind").set_value(kind).run()
        assert ("SYNTHETIC DATA" in words(app)) is synthetic


def test_intended_use_names_the_bundle_and_its_licence(exams: dict[str, Entry]) -> None:
    app = opened("about")
    assert "It is not a medical device." in words(app)
    assert all(said in words(app) for said in ("factory-phantom", "not registered here"))
    assert "CC0-1.0" in words(app)


def test_a_card_brings_its_evidence_into_the_views(exams: dict[str, Entry]) -> None:
    app = opened("exam", exams["flagged"].number)
    app.button(key="focus_A").click().run()
    assert app.segmented_control(key="choice").value == "A"
