"""Local users: changes are entries, passwords are hashes, and a file that was edited lets nobody in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.passwords import hash_password, matches
from audit.room import Actor, Room, verify_room
from audit.service import LedgerFilter
from audit.sign_in import PER_PAIR, PER_SOURCE, WINDOW_S, Attempt, Attempts, sign_in
from audit.users import USERS_FILE, add_user, change_password, change_role, disable_user, find_user, read_users
from medproto.cli import app
from medproto.errors import AccessRefused, InputError, LedgerUnavailable

OPERATOR = Actor("ada", "operator")
PASSWORD = "correct horse battery"
NOT_LET_IN = "this name and password do not go together"


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def grace(empty_room: Room) -> Room:
    """A room with one user, Grace, a reader."""
    add_user(empty_room, "Grace", "reader", PASSWORD, OPERATOR)
    return empty_room


def attempt(password: str = PASSWORD, name: str = "Grace", source: str = "127.0.0.1") -> Attempt:
    """Somebody types something."""
    return Attempt(name, password, source)


def newest(room: Room, kind: str) -> dict[str, object]:
    """Payload of the newest entry of that kind."""
    return dict(room.ledger.entries(LedgerFilter(kind=kind), limit=1)[0].payload)


def test_an_added_user_signs_in_and_both_are_entries(grace: Room) -> None:
    assert sign_in(grace, attempt(), Attempts()).role == "reader"
    assert newest(grace, "user changed") | {"record": ""} == {
        "user": "Grace", "change": "added", "role": "reader", "enabled": True, "record": "",
    }  # fmt: skip
    assert newest(grace, "sign-in") == {"method": "password"}
    assert verify_room(grace).verified


def test_names_are_one_in_any_case_and_composition(empty_room: Room) -> None:
    add_user(empty_room, "Zoe\u0308 M.", "auditor", PASSWORD, OPERATOR)
    assert find_user(empty_room.home, "ZOË m.") is not None
    with pytest.raises(InputError, match="there is one of this name"):
        add_user(empty_room, "zoë m.", "reader", PASSWORD, OPERATOR)


@pytest.mark.parametrize("name", ["", "x", " Grace", "Grace ", "a\nb", "<b>x</b>", "a" * 70])
def test_a_name_that_cannot_sign_is_refused(empty_room: Room, name: str) -> None:
    with pytest.raises(InputError, match="expected a name of 2 to 60 letters"):
        add_user(empty_room, name, "reader", PASSWORD, OPERATOR)
    assert read_users(empty_room.home) == ()


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaaa", "x" * 300])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(InputError, match="expected 12 to 256 characters, not all the same"):
        hash_password(password)


def test_a_hash_is_salted_and_holds_for_its_own_password_alone() -> None:
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first.digest != second.digest
    assert matches(PASSWORD, first)
    assert not matches(PASSWORD + "!", first)
    assert first.cost * first.passes >= 3 * 2**15


def test_the_file_is_the_owners_alone_and_holds_no_password(grace: Room) -> None:
    path = grace.home / USERS_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    assert all(PASSWORD.encode() not in entry.body for entry in grace.ledger.entries())


@pytest.mark.parametrize(
    ("typed", "reason", "known"),
    [
        (attempt(password="wrong horse battery"), "wrong password", "Grace"),
        (attempt(name=PASSWORD), "unknown user", None),
    ],
)
def test_a_refused_sign_in_says_nothing_of_why_and_is_an_entry(
    grace: Room, typed: Attempt, reason: str, known: str | None
) -> None:
    with pytest.raises(AccessRefused, match=NOT_LET_IN):
        sign_in(grace, typed, Attempts())
    assert newest(grace, "sign-in refused") == {"reason": reason, "user": known}
    assert (
        all(typed.name.encode() not in e.body for e in grace.ledger.entries(LedgerFilter(kind="sign-in refused")))
        or known
    )


def test_a_disabled_user_comes_in_again_with_a_new_password(grace: Room) -> None:
    disable_user(grace, "grace", OPERATOR)
    with pytest.raises(AccessRefused, match=NOT_LET_IN):
        sign_in(grace, attempt(), Attempts())
    assert newest(grace, "sign-in refused")["reason"] == "disabled"
    change_password(grace, "Grace", PASSWORD + "2", OPERATOR)
    assert sign_in(grace, attempt(PASSWORD + "2"), Attempts()).enabled


@pytest.mark.parametrize("field", ["role", "digest"])
def test_a_file_edited_by_hand_lets_nobody_in(grace: Room, field: str) -> None:
    path = grace.home / USERS_FILE
    (user,) = json.loads(path.read_text())
    if field == "role":
        user["role"] = "admin"
    else:
        user["password"] = hash_password("a password of mine").model_dump()
    path.write_text(json.dumps([user]))
    with pytest.raises(AccessRefused, match=NOT_LET_IN):
        sign_in(grace, attempt(PASSWORD if field == "role" else "a password of mine"), Attempts())
    assert newest(grace, "sign-in refused")["reason"] == "record altered"


def test_yesterdays_file_does_not_give_a_role_back(grace: Room) -> None:
    path = grace.home / USERS_FILE
    change_role(grace, "Grace", "admin", OPERATOR)
    yesterday = path.read_bytes()
    change_role(grace, "Grace", "reader", OPERATOR)
    path.write_bytes(yesterday)
    with pytest.raises(AccessRefused, match=NOT_LET_IN):
        sign_in(grace, attempt(), Attempts())


def test_a_damaged_file_is_said_so(grace: Room) -> None:
    (grace.home / USERS_FILE).write_text("[{]")
    with pytest.raises(LedgerUnavailable, match="not one that `medproto user add` wrote"):
        sign_in(grace, attempt(), Attempts())


def test_nobody_but_an_admin_changes_users_in_a_held_room(grace: Room) -> None:
    auditor = Actor("Lise", "auditor")
    with pytest.raises(AccessRefused, match="users: not for the role auditor"):
        change_role(grace.held_by(auditor), "Grace", "admin", auditor)
    assert find_user(grace.home, "Grace").role == "reader"  # type: ignore[union-attr]


def test_guessing_is_stopped_even_with_the_right_password_and_goes_on_later(grace: Room) -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(PER_PAIR):
        with pytest.raises(AccessRefused, match=NOT_LET_IN):
            sign_in(grace, attempt("wrong horse battery"), attempts)
    for _ in range(2):
        with pytest.raises(AccessRefused, match="too many attempts"):
            sign_in(grace, attempt(), attempts)
    reasons = [e.payload["reason"] for e in grace.ledger.entries(LedgerFilter(kind="sign-in refused"))]
    assert reasons == ["too many attempts", *["wrong password"] * PER_PAIR]
    assert sign_in(grace, attempt(source="127.0.0.2"), attempts)
    clock.now += WINDOW_S + 1
    assert sign_in(grace, attempt(), attempts)


def test_one_address_does_not_try_many_names() -> None:
    attempts = Attempts(Clock())
    allowed = [attempts.count(attempt(name=f"user {n}")) for n in range(PER_SOURCE + 1)]
    assert allowed == [True] * PER_SOURCE + [False]


def test_the_right_password_forgives_the_wrong_ones() -> None:
    attempts = Attempts(Clock())
    for _ in range(PER_PAIR * 3):
        assert attempts.count(attempt())
        attempts.forgive(attempt())


def test_users_are_kept_by_the_command_line(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path / "home")]

    def run(*words: str, typed: str = "") -> str:
        done = CliRunner().invoke(app, ["user", *words, *home], input=typed)
        assert done.exit_code == 0, done.output
        return done.output

    assert CliRunner().invoke(app, ["audit", "init", *home]).exit_code == 0
    assert "entry 2" in run("add", "Grace", "--role", "reader", "--password-stdin", typed=PASSWORD + "\n")
    run("role", "Grace", "--role", "auditor")
    assert re.search(r"Grace\W+auditor\W+yes", run("list"))
    run("disable", "Grace")
    assert re.search(r"Grace\W+auditor\W+no", run("list"))
    run("password", "Grace", "--password-stdin", typed=PASSWORD + "\n")
    assert re.search(r"Grace\W+auditor\W+yes", run("list"))


@pytest.mark.skipif(os.getuid() != 0, reason="nobody but root becomes somebody else")
def test_an_operator_whom_the_system_knows_by_number_alone_has_a_name_too() -> None:
    """As in a container that runs as any user."""
    code = "import os; from audit.cli_options import operator; os.setuid(54321); print(operator().name)"
    unnamed = {
        name: value for name, value in os.environ.items() if name not in ("LOGNAME", "USER", "LNAME", "USERNAME")
    }
    done = subprocess.run([sys.executable, "-c", code], env=unnamed, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("user 54321\n", "")


def test_two_passwords_that_differ_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ["--home", str(tmp_path / "home")]
    CliRunner().invoke(app, ["audit", "init", *home])
    typed = iter((PASSWORD, PASSWORD + "!"))
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
    done = CliRunner().invoke(app, ["user", "add", "Grace", "--role", "admin", *home])
    assert done.exit_code == 2
    assert "the two are not the same" in done.output
    assert read_users(tmp_path / "home") == ()
