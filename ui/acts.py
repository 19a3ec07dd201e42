"""What a reader may sign after the readings that are there; nothing that the service would refuse is offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.payloads import Act
from audit.service import ReviewRecord


@dataclass(frozen=True)
class Offer:
    """One act that is open to a reader: its kind, the entries it names, and its words."""

    act: Act
    of: tuple[int, ...]
    words: str


def offers(earlier: Sequence[ReviewRecord], name: str) -> tuple[Offer, ...]:
    """What this person may sign now, the likeliest first; nothing where somebody else closed the exam."""
    amended = {number for signed in earlier if signed.review.act == "amendment" for number in signed.review.of}
    stands = [signed for signed in earlier if signed.number not in amended]
    own = [signed for signed in stands if signed.actor == name]
    amendments = tuple(
        Offer("amendment", (s.number,), f"An amendment of what I signed as entry {s.number}") for s in own
    )
    if closing := closed_by(earlier):
        return tuple(offer for offer in amendments if offer.of == (closing,))
    reading = Offer("reading", (), "A reading on its own")
    if not stands:
        return (reading,)
    every = tuple(signed.number for signed in stands)
    final = Offer("final", every, f"The final reading, which closes {_named(every)}")
    if any(signed.actor == name for signed in earlier):
        return (*amendments, final, reading)
    second = Offer("second reading", (stands[-1].number,), f"A second reading, after entry {stands[-1].number}")
    return (second, final, reading)


def closed_by(earlier: Sequence[ReviewRecord]) -> int | None:
    """Entry of the final reading as it stands, amended or not; None while the exam is open."""
    closing: int | None = None
    for signed in sorted(earlier, key=lambda signed: signed.number):
        if signed.review.act == "final" or (signed.review.act == "amendment" and closing in signed.review.of):
            closing = signed.number
    return closing


def _named(numbers: Sequence[int]) -> str:
    return ", ".join(f"entry {number}" for number in numbers)
