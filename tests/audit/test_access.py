"""Roles are enforced where the work is done: whoever the role is not for is turned away, and that is written down."""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audit import service
from audit.access import PERMITTED, permitted
from audit.room import Actor, Room, verify_room
from audit.service import LedgerFilter, Opinion
from medproto.errors import AccessRefused

READER, AUDITOR, ADMIN = (Actor(f"some {role}", role) for role in ("reader", "auditor", "admin"))
#: What the server asks on nobody's behalf, and what has no room yet.
UNGUARDED = {"ledger_head", "open_room"}


def questions() -> dict[str, Any]:
    """Every function of the service that takes a room."""
    functions = {name: getattr(service, name) for name in service.__all__ if inspect.isfunction(getattr(service, name))}
    return {n: f for n, f in functions.items() if "room" in list(inspect.signature(f).parameters)[:1]}


def kinds(room: Room) -> list[str]:
    """Kinds of the entries, newest first."""
    return [entry.kind for entry in room.ledger.entries()]


@pytest.mark.parametrize("name", sorted(set(questions()) - UNGUARDED))
def test_a_role_that_nobody_knows_is_for_nothing_at_all(room: Room, name: str) -> None:
    nobody = Actor("nobody", "janitor")
    asked = questions()[name]
    needed = [p for p in list(inspect.signature(asked).parameters.values())[1:] if p.default is p.empty]
    values = [nobody if p.name == "actor" else None for p in needed]
    with pytest.raises(AccessRefused, match="not for the role janitor"):
        asked(room.held_by(nobody), *values)


def test_the_list_of_questions_is_not_empty() -> None:
    assert len(questions()) > 15


@pytest.mark.parametrize(
    ("actor", "action", "let_in"),
    [
        (READER, lambda r: service.worklist_page(r, service.WorklistFilter()), True),
        (READER, lambda r: service.prediction(r, 3), True),
        (READER, lambda r: service.review(r, 3, Opinion(verdict="agree"), READER), True),
        (READER, lambda r: service.ledger_page(r), False),
        (READER, lambda r: service.entry_of(r, 3), False),
        (READER, lambda r: service.verify_room(r), False),
        (READER, lambda r: service.trace_entry(r, 3), False),
        (AUDITOR, lambda r: service.entry_of(r, 3), True),
        (AUDITOR, lambda r: service.verify_room(r), True),
        (AUDITOR, lambda r: service.trace_entry(r, 3), True),
        (AUDITOR, lambda r: service.review(r, 3, Opinion(verdict="agree"), AUDITOR), False),
        (AUDITOR, lambda r: service.report_exported(r, 3, "0" * 64, AUDITOR), False),
        (ADMIN, lambda r: service.ledger_page(r), True),
        (ADMIN, lambda r: service.review(r, 3, Opinion(verdict="agree"), ADMIN), True),
    ],
)
def test_each_role_does_its_own_work_and_no_other(room: Room, actor: Actor, action: Any, let_in: bool) -> None:
    held, before = room.held_by(actor), room.ledger.count()
    if let_in:
        action(held)
        assert "access refused" not in kinds(room)
        return
    with pytest.raises(AccessRefused, match=f"not for the role {actor.role}; this was written into the ledger"):
        action(held)
    assert room.ledger.count() == before + 1
    (refused,) = room.ledger.entries(LedgerFilter(kind="access refused"))
    assert (refused.actor, refused.role) == (actor.name, actor.role)


def test_nobody_signs_in_the_name_of_somebody_else(room: Room) -> None:
    with pytest.raises(AccessRefused, match="review: in the name of somebody else"):
        service.review(room.held_by(READER), 3, Opinion(verdict="agree"), Actor("another reader", "reader"))
    with pytest.raises(AccessRefused, match="review: in the name of somebody else"):
        service.review(room.held_by(READER), 3, Opinion(verdict="agree"), Actor(READER.name, "admin"))
    assert kinds(room)[0] == "access refused"


def test_a_repeated_refusal_is_written_once_a_minute(room: Room) -> None:
    for _ in range(3):
        with pytest.raises(AccessRefused, match="verify: not for the role reader"):
            service.verify_room(room.held_by(READER))
    assert kinds(room).count("access refused") == 1
    with pytest.raises(AccessRefused, match="ledger: not for the role reader"):
        service.ledger_page(room.held_by(READER))
    clock = room.ledger.clock
    later = replace(room, ledger=replace(room.ledger, clock=lambda: clock() + timedelta(seconds=61)))
    with pytest.raises(AccessRefused, match="verify: not for the role reader"):
        service.verify_room(later.held_by(READER))
    assert kinds(room).count("access refused") == 3
    assert verify_room(room).verified


def test_a_room_that_nobody_holds_is_the_operators(room: Room) -> None:
    assert service.ledger_page(room).total == room.ledger.count()


def test_no_role_but_admin_holds_all_and_no_auditor_signs() -> None:
    assert PERMITTED["admin"] > PERMITTED["reader"] | PERMITTED["auditor"]
    assert not permitted("auditor", "review")
    assert not permitted("", "worklist")
