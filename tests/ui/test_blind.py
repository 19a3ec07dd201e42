"""Blind first: nothing of the model's result is on a reader's page before their own opinion is in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.blind import give_first_opinion
from audit.service import Actor, Entry, LedgerFilter, Opinion, Room, prediction, review
from medproto.errors import AccessRefused, InputError
from medproto.summary import number
from tests.ui.conftest import opened, words
from ui.blind import BLIND_VARIABLE
from ui.opening import DEMO_AUDITOR

ADA = Actor("ada", "reader")


@pytest.fixture
def blind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that is read blind first."""
    monkeypatch.setenv(BLIND_VARIABLE, "1")


def test_the_score_is_shown_once_an_opinion_is_signed(blind: None, exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    _, record = prediction(room, entry)
    telling = ("Flagged", number(record.margin), record.matches[0].prototype_id, "malignant", "at a prevalence of")
    app = opened("exam", entry)
    said = words(app)
    assert [word for word in telling if word in said] == []
    assert not app.get("download_button")
    app.segmented_control(key=f"blind_{entry}").set_value(True).run()
    app.button(key=f"unblind_{entry}").click().run()
    said = words(app)
    assert [word for word in telling if word not in said] == []
    (given,) = room.ledger.entries(LedgerFilter(kind="opinion before score"))
    assert (given.payload["suspicious"], given.refers_to) == (True, entry)


def test_the_worklist_of_a_blind_room_tells_no_outcome(blind: None, exams: dict[str, Entry], room: Room) -> None:
    app = opened()
    said = words(app)
    for kind in ("flagged", "not flagged", "no decision"):
        _, record = prediction(room, exams[kind].number)
        assert record.exam_id in said
        assert number(record.margin) not in said
    assert '"mp-chip' not in said
    places = [said.index(str(exams[kind].exam_id)) for kind in ("flagged", "not flagged", "no decision")]
    assert places == sorted(places)  # as they were scored, not by priority


def test_exams_that_were_refused_are_listed_in_a_blind_room_too(blind: None, exams: dict[str, Entry]) -> None:
    app = opened()
    kinds = app.segmented_control(key="worklist_kind")
    assert kinds.options == ["All 3", "Refused 1"]
    kinds.set_value("Refused").run()
    assert "The image holds raw detector values." in words(app)


def test_an_auditor_of_a_blind_room_sees_the_score(blind: None, auditor: None, exams: dict[str, Entry]) -> None:
    assert "Flagged: the right MLO view" in words(opened("exam", exams["flagged"].number))


def test_an_opinion_is_signed_once_and_never_after_a_reading(exams: dict[str, Entry], room: Room) -> None:
    entry = exams["flagged"].number
    give_first_opinion(room, entry, False, ADA)
    with pytest.raises(InputError, match="was signed before"):
        give_first_opinion(room, entry, True, ADA)
    review(room, entry, Opinion(verdict="agree"), Actor("bob", "reader"))
    with pytest.raises(InputError, match="comes after a reading"):
        give_first_opinion(room, entry, True, Actor("bob", "reader"))


def test_an_auditor_signs_no_opinion(exams: dict[str, Entry], room: Room) -> None:
    with pytest.raises(AccessRefused, match="review: not for the role auditor"):
        give_first_opinion(room.held_by(DEMO_AUDITOR), exams["flagged"].number, True, DEMO_AUDITOR)
