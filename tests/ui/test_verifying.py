"""Verification in the reading room: in a thread of the server, one at a time, its result there for every session."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from audit.service import Actor, Entry, Room, exam_opened, open_room
from medproto.errors import LedgerUnavailable
from tests.audit.attacking import attack
from tests.ui.conftest import opened, verified, words
from ui.opening import DEMO_AUDITOR, DEMO_READER
from ui.verifying import Verifications

ADA = Actor("ada", "reader")


def test_two_auditors_share_one_verification_and_its_result(auditor: None, exams: dict[str, Entry], room: Room) -> None:
    first, second = opened("ledger"), opened("ledger")
    assert "Verified" not in words(second)
    size, head = room.ledger.count(), room.ledger.head(room.public_key)
    first = verified(first)
    said = words(second.run())
    assert f"Verified: {size} entries" in said
    assert "asked for by demo auditor" in said
    assert head is not None
    assert head.root in [block.value for block in second.get("code")]
    exam_opened(room, exams["flagged"].number, ADA)
    assert "1 entry was written since, and is not in this result." in words(second.run())


def test_a_second_verification_waits_for_the_first_to_end(exams: dict[str, Entry], home: Path) -> None:
    let_go, kept = threading.Event(), Verifications()

    def late() -> Room:
        assert let_go.wait(30)
        return open_room(home)

    thread = kept.begin("room", DEMO_AUDITOR, late)
    assert thread is not None
    assert kept.begin("room", DEMO_AUDITOR, late) is None
    let_go.set()
    thread.join()
    standing = kept.newest("room")
    assert standing is not None
    assert standing.result is not None
    assert standing.result.verified
    assert (standing.stage, standing.done) == ("entries", standing.result.size)


def test_a_ledger_that_goes_away_meanwhile_is_one_sentence(auditor: None, exams: dict[str, Entry], home: Path) -> None:
    def gone() -> Room:
        raise LedgerUnavailable("ledger: the database refused or cannot be reached (OperationalError)")

    kept = Verifications()
    thread = kept.begin("room", DEMO_AUDITOR, gone)
    assert thread is not None
    thread.join()
    standing = kept.newest("room")
    assert standing is not None
    assert standing.result is None
    assert "cannot be reached" in standing.failed
    again = kept.begin("room", DEMO_AUDITOR, lambda: open_room(home))
    assert again is not None
    again.join()
    assert (kept.newest("room") or standing).failed == ""


def test_an_error_that_nobody_foresaw_ends_it_and_names_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Room:
        raise ValueError("DOE^JANE")

    kept = Verifications()
    thread = kept.begin("room", DEMO_AUDITOR, broken)
    assert thread is not None
    thread.join()
    standing = kept.newest("room")
    assert standing is not None
    assert standing.ended is not None
    assert "the server's log says which" in standing.failed
    assert "JANE" not in standing.failed
    assert "ValueError" in caplog.text


def test_a_server_that_can_start_no_thread_says_so_and_tries_again(
    exams: dict[str, Entry], home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, usual = Verifications(), threading.stack_size(2**46)  # more than any machine has
    try:
        assert kept.begin("room", DEMO_AUDITOR, lambda: open_room(home)) is None
    finally:
        threading.stack_size(usual)
    standing = kept.newest("room")
    assert standing is not None
    assert standing.ended is not None
    assert "too much to do" in standing.failed
    assert "start new thread" in caplog.text
    again = kept.begin("room", DEMO_AUDITOR, lambda: open_room(home))
    assert again is not None
    again.join()
    assert (kept.newest("room") or standing).failed == ""


def test_a_reader_cannot_have_it_verified(exams: dict[str, Entry], home: Path) -> None:
    kept = Verifications()
    thread = kept.begin("room", DEMO_READER, lambda: open_room(home))
    assert thread is not None
    thread.join()
    standing = kept.newest("room")
    assert standing is not None
    assert standing.result is None
    assert "not for the role reader" in standing.failed


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE entry SET body = body || ' ' WHERE number = 5", "(2) entry 5: its body was altered"),
        ("DELETE FROM entry WHERE number = 4", "(1) entry 4: missing"),
        ("UPDATE entry SET actor = 'eve' WHERE number = 5", "(4) entry 5: its column actor differs from its body"),
        ("DELETE FROM checkpoint", "(5)"),
        ("UPDATE entry SET body = body || ' ' WHERE number = (SELECT MAX(number) FROM entry)", "(2)"),
    ],
)
def test_a_tampered_ledger_can_still_be_verified_here_and_says_what_is_wrong(
    auditor: None, exams: dict[str, Entry], home: Path, statement: str, fault: str
) -> None:
    attack(home, statement)
    app = verified(opened("ledger"))
    assert not app.exception
    errors = [error.value for error in app.error]
    assert errors[0].startswith("NOT verified: ")
    assert any(said.startswith(fault) for said in errors)
