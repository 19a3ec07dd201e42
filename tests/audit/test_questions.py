"""What may be asked of the ledger, on both databases: entries by actor, time, bundle, prototype; prototypes by use."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.filters import LedgerFilter
from audit.room import Actor, Room
from audit.service import (
    BundleScorer,
    Opinion,
    PrototypeUse,
    ledger_page,
    prediction,
    prototype_uses,
    review,
    score_exam,
    trace_prototype,
)
from medproto.errors import EntryNotFound
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of

OTHER = "a" * 64


def numbers(room: Room, which: LedgerFilter) -> list[int]:
    """Entries that match, newest first; their count is asked for too."""
    page = ledger_page(room, which)
    assert page.total == len(page.entries)
    return [entry.number for entry in page.entries]


def score_by_another_bundle(room: Room) -> int:
    """Score the first exam again by a bundle of the same prototypes' names."""
    scored = make_scored(exam="0", bundle_id=OTHER)
    return score_exam(room, [], BundleScorer(OTHER, "other", scorer_of(scored)), READER).number


def test_entries_are_found_by_who_acted(either_room: Room) -> None:
    review(either_room, 5, Opinion(verdict="agree"), Actor("reader-10", "radiologist"))
    assert numbers(either_room, LedgerFilter(actor="reader-10")) == [12]
    assert numbers(either_room, LedgerFilter(actor="reader-1", kind="review")) == [9]


def test_entries_are_found_between_two_times(either_room: Room) -> None:
    first, last = either_room.ledger.entry(4).time, either_room.ledger.entry(6).time
    assert numbers(either_room, LedgerFilter(since=first, until=last)) == [5, 4]
    assert numbers(either_room, LedgerFilter(since=last + timedelta(days=1))) == []


def test_entries_are_found_by_the_bundle_they_name(either_room: Room) -> None:
    number = score_by_another_bundle(either_room)
    assert numbers(either_room, LedgerFilter(bundle_id=OTHER)) == [number, number - 1]
    assert numbers(either_room, LedgerFilter(bundle_id=BUNDLE_ID)) == [7, 6, 5, 4, 3, 2]
    assert numbers(either_room, LedgerFilter(bundle_id=BUNDLE_ID, kind="prediction")) == [7, 5, 3]


def test_entries_are_found_by_a_prototype_they_hold_or_blame(either_room: Room) -> None:
    blamed = prediction(either_room, 5)[1].matches[0].prototype_id
    number = review(either_room, 5, Opinion(verdict="refer", misleading=(blamed,)), READER).number
    assert numbers(either_room, LedgerFilter(prototype_id=blamed)) == [number, 7, 5, 3]
    assert numbers(either_room, LedgerFilter(prototype_id=blamed, kind="review")) == [number]
    assert numbers(either_room, LedgerFilter(prototype_id=blamed, bundle_id=OTHER)) == []


def test_a_prototype_of_the_same_name_in_another_bundle_is_another(either_room: Room) -> None:
    name = prediction(either_room, 3)[1].matches[0].prototype_id
    number = score_by_another_bundle(either_room)
    assert [d.number for d in trace_prototype(either_room, name)] == [number, 7, 5, 3]
    assert [d.number for d in trace_prototype(either_room, name, OTHER)] == [number]
    assert [d.number for d in trace_prototype(either_room, name, BUNDLE_ID, limit=2)] == [7, 5]
    with pytest.raises(EntryNotFound, match="no prediction in this ledger names it"):
        trace_prototype(either_room, name, "b" * 64)


def test_a_review_that_was_amended_speaks_no_longer(either_room: Room) -> None:
    name = prediction(either_room, 3)[1].matches[0].prototype_id
    first = review(either_room, 5, Opinion(verdict="refer", misleading=(name,)), READER).number
    assert [(d.verdicts, d.misled) for d in trace_prototype(either_room, name)][1] == (("refer",), True)
    assert prototype_uses(either_room, BUNDLE_ID)[0] == PrototypeUse(name, decisions=3, led=3, complaints=1)
    review(either_room, 5, Opinion(verdict="agree", act="amendment", of=(first,)), READER)
    assert [(d.verdicts, d.misled) for d in trace_prototype(either_room, name)][1] == (("agree",), False)
    assert prototype_uses(either_room, BUNDLE_ID)[0].complaints == 0


def test_prototypes_with_complaints_come_first(either_room: Room) -> None:
    uses = prototype_uses(either_room, BUNDLE_ID)
    assert [use.led for use in uses] == sorted((use.led for use in uses), reverse=True)
    assert sum(use.led for use in uses) == 3
    last = uses[-1].prototype_id
    review(either_room, 7, Opinion(verdict="refer", misleading=(last,)), READER)
    assert prototype_uses(either_room, BUNDLE_ID)[0].prototype_id == last
    assert prototype_uses(either_room, OTHER) == []


def test_the_commands_ask_the_same(home: Path, room: Room) -> None:
    name = prediction(room, 3)[1].matches[0].prototype_id

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--home", str(home)])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "3 entries match" in said("list", "--prototype", name, "--bundle", BUNDLE_ID)
    assert "11 entries match" in said("list", "--from", "2020-01-01", "--until", "2999-01-01")
    assert "0 entries match" in said("list", "--actor", "reader")
    table = said("trace", "--bundle", BUNDLE_ID).splitlines()
    assert name in table[3]
    assert "flagged" in said("trace", "--prototype", name, "--bundle", BUNDLE_ID)
