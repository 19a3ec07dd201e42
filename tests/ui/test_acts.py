"""What a reader is offered to sign is what the service lets them sign, and the form signs it as that."""

from __future__ import annotations

from audit.service import Actor, Entry, Opinion, Room, review, reviews
from tests.ui.conftest import opened, words
from ui.acts import closed_by, offers
from ui.opening import DEMO_READER

BOB = Actor("bob", "reader")


def offered(room: Room, number: int, name: str) -> list[tuple[str, tuple[int, ...]]]:
    """Acts with the entries they name."""
    return [(offer.act, offer.of) for offer in offers(reviews(room, number), name)]


def test_everything_offered_is_accepted_and_nothing_after_a_final(exams: dict[str, Entry], room: Room) -> None:
    number = exams["flagged"].number
    assert offered(room, number, "ada") == [("reading", ())]
    first = review(room, number, Opinion(verdict="agree"), Actor("ada", "reader")).number
    assert offered(room, number, "ada") == [("amendment", (first,)), ("final", (first,)), ("reading", ())]
    assert offered(room, number, "bob") == [("second reading", (first,)), ("final", (first,)), ("reading", ())]
    names = ("bob", "ada", "bob", "ada")
    for name in names:  # each signs the likeliest that is open
        offer = offers(reviews(room, number), name)[0]
        review(room, number, Opinion(verdict="refer", act=offer.act, of=offer.of), Actor(name, "reader"))
    every = next(offer for offer in offers(reviews(room, number), "cleo") if offer.act == "final")
    final = review(room, number, Opinion(verdict="agree", act="final", of=every.of), BOB).number
    assert closed_by(reviews(room, number)) == final
    assert offered(room, number, "ada") == []
    assert offered(room, number, "bob") == [("amendment", (final,))]


def test_a_second_reading_is_signed_as_one_with_the_time_on_the_case(exams: dict[str, Entry], room: Room) -> None:
    number = exams["flagged"].number
    first = review(room, number, Opinion(verdict="agree"), BOB).number
    app = opened("exam", number)
    app.segmented_control(key=f"draft_verdict_{number}").set_value("agree").run()
    app.button(key=f"sign_{number}").click().run()
    signed = reviews(room, number)[-1]
    assert (signed.actor, signed.review.act, signed.review.of) == (DEMO_READER.name, "second reading", (first,))
    assert signed.review.seconds is not None
    assert "second reading" in words(app)


def test_an_exam_that_somebody_else_closed_offers_no_signature(exams: dict[str, Entry], room: Room) -> None:
    number = exams["flagged"].number
    first = review(room, number, Opinion(verdict="agree"), BOB).number
    final = review(room, number, Opinion(verdict="agree", act="final", of=(first,)), BOB).number
    app = opened("exam", number)
    assert f"Closed by entry {final}" in words(app)
    assert not [button for button in app.button if button.key == f"sign_{number}"]
