"""The suite on a ledger that somebody names: a home, or a bare database; it is copied and never touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.room import open_room
from medproto.errors import AuditError
from tests.audit.attacks import heads
from tests.audit.attacks.given import Given, given_copier
from tests.audit.attacks.suite import carry_out, untouched


@pytest.mark.parametrize("bare", [True, False])
def test_a_named_ledger_is_attacked_and_left_as_it_was(bare: bool, home: Path, tmp_path: Path) -> None:
    database = home / "ledger.sqlite"
    before = {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}
    copier, assumed = given_copier(Given(database if bare else home), tmp_path / "scratch")
    assert len(assumed) == 2
    assert {verdict.said for verdict in untouched(copier).values()} == {"verified"}
    tails = [attack for attack in heads.ATTACKS if attack.name.startswith("tail cut")]
    assert [outcome.detected for outcome in carry_out(tails, copier)] == [True] * 4
    assert {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()} == before


def test_what_is_not_at_hand_is_said_and_not_carried_out(home: Path, tmp_path: Path) -> None:
    copier, _ = given_copier(Given(home / "ledger.sqlite"), tmp_path / "scratch")
    forks = [attack for attack in heads.ATTACKS if attack.name.startswith("fork")]
    assert {outcome.impossible for outcome in carry_out(forks, copier)} == {"no live private key at hand"}


def test_a_ledger_too_short_to_be_attacked_is_refused(tmp_path: Path) -> None:
    open_room(tmp_path / "home", create=True).close()
    with pytest.raises(AuditError, match="got 1 checkpoints, expected 4 or more"):
        given_copier(Given(tmp_path / "home"), tmp_path / "scratch")
    with pytest.raises(AuditError, match="expected a home or a database file"):
        given_copier(Given(tmp_path / "nowhere"), tmp_path / "scratch")
