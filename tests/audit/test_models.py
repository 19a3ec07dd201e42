"""What a room knows of a model: its prototypes with their neighbours, its card, and what readers say misled."""

from __future__ import annotations

import pytest

from audit.evidence import model_files
from audit.room import Room
from audit.service import (
    Actor,
    Opinion,
    complaints,
    known_prototypes,
    model_card,
    prediction,
    review,
    trace_prototype,
    training_patch,
    verify_room,
)
from medproto.errors import EntryNotFound, EvidenceMissing
from tests.audit.factory import BUNDLE_ID, make_scored
from tests.audit.modelling import CARD, MEASURED_CARD, register_model, register_results

SECOND = Actor("reader-2", "radiologist")


def test_a_registered_model_has_its_neighbours_with_their_pictures(room: Room) -> None:
    register_model(room, make_scored())
    known = known_prototypes(room, BUNDLE_ID)
    assert [one.prototype_id for one in known] == [m.prototype_id for m in make_scored().prediction.matches]
    for one in known:
        assert one.neighbours is not None
        assert all(training_patch(room, near.patch).startswith(b"\x89PNG") for near in one.neighbours.nearest)


def test_a_model_that_only_scored_is_known_without_neighbours(room: Room) -> None:
    known = known_prototypes(room, BUNDLE_ID)
    assert len(known) == 4
    assert {one.neighbours for one in known} == {None}
    assert known_prototypes(room, "ab" * 32) == ()


def test_an_entry_from_before_neighbours_and_cards_is_read(room: Room) -> None:
    register_model(room, make_scored(), neighbours=False)
    assert {one.neighbours for one in known_prototypes(room, BUNDLE_ID)} == {None}
    assert model_card(room, BUNDLE_ID) is None
    assert verify_room(room).verified


def test_the_card_with_results_takes_the_place_of_the_one_without(room: Room) -> None:
    register_model(room, make_scored())
    assert model_card(room, BUNDLE_ID) == CARD
    register_results(room)
    assert model_card(room, BUNDLE_ID) == MEASURED_CARD
    assert model_card(room, "ab" * 32) is None


def test_a_complaint_has_its_readers_words_until_it_is_amended(room: Room) -> None:
    blamed = prediction(room, 3)[1].matches[0].prototype_id
    said = Opinion(verdict="disagree", reason="A skin fold.", misleading=(blamed,), comment="Seen twice.")
    first = review(room, 3, said, SECOND)
    (found,) = complaints(room, blamed, BUNDLE_ID)
    assert (found.prediction, found.signed.actor, found.signed.review.reason) == (3, "reader-2", "A skin fold.")
    assert complaints(room, blamed, "ab" * 32) == []
    review(room, 3, Opinion(verdict="agree", act="amendment", of=(first.number,)), SECOND)
    assert complaints(room, blamed, BUNDLE_ID) == []


def test_decisions_that_a_prototype_led_are_told_from_those_it_took_part_in(room: Room) -> None:
    matches = prediction(room, 3)[1].matches
    leader, follower = matches[0].prototype_id, matches[-1].prototype_id
    assert [one.number for one in trace_prototype(room, leader, BUNDLE_ID, led=True)] == [7, 5, 3]
    assert len(trace_prototype(room, follower, BUNDLE_ID)) == 3
    with pytest.raises(EntryNotFound, match="no prediction in this ledger names it"):
        trace_prototype(room, follower, BUNDLE_ID, led=True)


@pytest.mark.parametrize("spoil", ["remove", "alter"])
def test_a_neighbours_patch_or_a_card_that_is_gone_or_altered_is_a_fault(room: Room, spoil: str) -> None:
    entry = register_model(room, make_scored())
    named = sorted(model_files(entry.payload))
    assert len(named) == 4 * (1 + 5) + 1
    for name in named:
        path = room.evidence.path(name)
        if spoil == "remove":
            path.unlink()
        else:
            path.write_bytes(b"another")
    faults = [fault.entry for fault in verify_room(room).faults]
    assert faults.count(entry.number) == len(named)
    with pytest.raises(EvidenceMissing, match="evidence"):
        model_card(room, BUNDLE_ID)
