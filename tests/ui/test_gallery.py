"""The prototypes' page: neighbours and purity, complaints with their words, the card, and what is gone or never was."""

from __future__ import annotations

from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from audit.erasure import erase
from audit.service import Actor, BundleScorer, Entry, Opinion, Room, prediction, review, score_exam
from medproto.records import Scored
from tests.audit.factory import BUNDLE_ID, checked, make_scored, scorer_of
from tests.audit.modelling import MEASURED_CARD, register_model, register_results
from tests.ui.conftest import opened, words
from ui.export import at_the_click
from ui.model_view import card_bytes
from ui.prototype_view import NOT_RECORDED

ADA = Actor("ada", "reader")


@pytest.fixture
def scored() -> Scored:
    """The flagged exam of the filled room."""
    return checked(make_scored("flagged", exam="1"), 1)


def closer(prototype_id: str) -> AppTest:
    """The page with that prototype looked at."""
    app = opened("gallery")
    return app.button(key=f"gallery_{prototype_id}").click().run()


def test_a_prototype_is_seen_with_its_closest_training_patches(auditor: None, room: Room, scored: Scored) -> None:
    register_model(room, scored)
    first, *_, last = scored.prediction.matches
    assert "Closest patches: 5 of 5 of its class, by chance 25\xa0%" in words(opened("gallery"))
    app = closer(first.prototype_id)
    assert not app.exception
    said = words(app)
    assert "Of the 5 training images of other patients that are most like it 5 are malignant" in said
    assert said.count('alt="Closest training patch"') == 5
    assert "similarity 3.000" in said
    assert "(other class)" not in said
    assert words(closer(last.prototype_id)).count("(other class)") == 4


def test_prototypes_whose_closest_patches_are_of_other_classes_are_found(
    auditor: None, room: Room, scored: Scored
) -> None:
    register_model(room, scored)
    app = opened("gallery")
    assert words(app).count('class="mp-tile"') == 4
    app.toggle(key="gallery_foreign").set_value(True).run()
    assert words(app).count('class="mp-tile"') == 1
    assert scored.prediction.matches[-1].prototype_id in words(app)


def test_a_model_without_neighbours_and_card_says_so(auditor: None, room: Room, scored: Scored) -> None:
    register_model(room, scored, neighbours=False)
    app = opened("gallery")
    assert words(app).count(NOT_RECORDED) == 1
    assert "No model card was kept with this model." in words(app)
    assert "gallery_foreign" not in {toggle.key for toggle in app.toggle}
    assert NOT_RECORDED in words(closer(scored.prediction.matches[0].prototype_id))


def test_complaints_are_quoted_with_their_reader_and_the_decisions_it_led(
    auditor: None, exams: dict[str, Entry], room: Room, scored: Scored
) -> None:
    number = exams["flagged"].number
    blamed = prediction(room, number)[1].matches[0].prototype_id
    review(room, number, Opinion(verdict="disagree", reason="A <b>fold</b>", misleading=(blamed,), comment="No."), ADA)
    app = closer(blamed)
    said = words(app)
    assert "1 reader says it misled" in said
    assert "“A &lt;b&gt;fold&lt;/b&gt;. No.”" in said
    assert f"ada, reader, {room.ledger.entry(number).time:%Y-%m-%d}: disagree" in said
    labels = [link.proto.label for link in app.get("page_link")]
    assert any(label.startswith(f"{scored.prediction.exam_id}: flagged, counted +") for label in labels)
    untouched = scored.prediction.matches[-1].prototype_id
    assert "No reader says that it misled." in words(closer(untouched))
    assert "It led no decision here." in words(closer(untouched))


def test_a_patch_that_is_gone_is_said_and_ends_nothing(auditor: None, room: Room, scored: Scored) -> None:
    payload = register_model(room, scored).payload
    first = payload["prototypes"][0]
    for patch in (first["source"]["patch"], first["neighbours"]["nearest"][2]["patch"]):
        room.evidence.remove(patch)
    assert words(opened("gallery")).count("The patch is missing.") == 1
    app = closer(first["prototype_id"])
    assert words(app).count("The patch is missing.") >= 3  # of the tile behind, of the patch, of one neighbour
    assert words(app).count('alt="Closest training patch"') == 4


def test_the_newest_card_is_read_and_saved_as_it_was_kept(auditor: None, room: Room, scored: Scored) -> None:
    register_model(room, scored)
    register_results(room)
    app = opened("gallery")
    assert "0.910 (0.840 to 0.960)" in words(app)
    app.button(key=f"read_model_{BUNDLE_ID}").click().run()
    assert "mp-page" in words(app)
    assert at_the_click(partial(card_bytes, BUNDLE_ID))() == MEASURED_CARD


@pytest.mark.parametrize("page", ["gallery", "about"])
def test_a_card_that_is_gone_is_said_and_ends_nothing(auditor: None, room: Room, scored: Scored, page: str) -> None:
    room.evidence.remove(register_model(room, scored).payload["card"])
    app = opened(page)
    assert "The model card is missing or was altered" in words(app)
    assert not app.error
    assert "CC0-1.0" in words(app)


def test_words_about_an_erased_patient_are_gone_and_the_rest_stands(
    auditor: None, exams: dict[str, Entry], room: Room, scored: Scored
) -> None:
    number, blamed = exams["flagged"].number, scored.prediction.matches[0].prototype_id
    review(room, number, Opinion(verdict="disagree", reason="A fold.", misleading=(blamed,)), ADA)
    erase(room, scored.prediction.patient_id, "request", Actor("administrator", "admin"))
    app = closer(blamed)
    assert not app.exception
    assert "A fold." not in words(app)
    assert "erased by entry" in words(app)
    assert "1 reader says it misled" in words(app)


def test_a_link_opens_a_prototype_of_its_model_once(auditor: None, room: Room, scored: Scored) -> None:
    register_model(room, scored)
    other = make_scored("flagged", exam="other", bundle_id="ab" * 32, bundle_name="other")
    path = room.home.parent / "other.dcm"
    path.write_bytes(b"other")
    score_exam(room, [path], BundleScorer("ab" * 32, "other", scorer_of(other)), ADA)
    app = opened("gallery")
    app.query_params["bundle"], app.query_params["prototype"] = "ab" * 32, scored.prediction.matches[1].prototype_id
    said = words(app.run())
    assert f"<h3>{scored.prediction.matches[1].prototype_id}</h3>" in said
    assert "<dd>other, licence of its pictures: CC0-1.0</dd>" in said
    assert "<h3>" not in words(app.run())
    app.query_params["bundle"], app.query_params["prototype"] = BUNDLE_ID, "nobody"
    assert "<h3>" not in words(app.run())
    assert app.selectbox(key="gallery_bundle").value.bundle_id == BUNDLE_ID


def test_a_trace_leads_to_the_closest_patches_of_its_prototype(
    auditor: None, exams: dict[str, Entry], room: Room, scored: Scored
) -> None:
    register_model(room, scored)
    number, follower = exams["flagged"].number, scored.prediction.matches[2].prototype_id
    app = opened("ledger", number)
    app.selectbox(key=f"trace_prototype_{number}").set_value(follower).run()
    app.button(key=f"trace_closest_{number}").click().run()
    said = words(app)
    assert f"<h3>{follower}</h3>" in said
    assert said.count('alt="Closest training patch"') == 5


def test_many_prototypes_come_a_page_at_a_time(auditor: None, exams: dict[str, Entry], room: Room) -> None:
    many = make_scored("flagged", exam="many", prototypes=30, bundle_id="ab" * 32, bundle_name="many")
    path = room.home.parent / "many.dcm"
    path.write_bytes(b"many")
    score_exam(room, [path], BundleScorer("ab" * 32, "many", scorer_of(many)), ADA)
    app = opened("gallery")
    assert words(app).count('class="mp-tile"') == 24
    app.button(key="gallery_page_on").click().run()
    assert words(app).count('class="mp-tile"') == 6
