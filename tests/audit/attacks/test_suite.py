"""The suite finds every attack on its own ledger, at the level it says and at no lower one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audit.entries import KINDS
from tests.audit.attacks import files
from tests.audit.attacks.attack import Attack
from tests.audit.attacks.copies import Copier
from tests.audit.attacks.entries import ON_A_SERVER, statements_let_through
from tests.audit.attacks.own import own_copier
from tests.audit.attacks.suite import attacks_on, carry_out, untouched
from tests.audit.serving import fresh_database
from tests.factories import train_tiny


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def copier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copier]:
    """Copies of a ledger with every kind of entry."""
    folder = tmp_path_factory.mktemp("attacked")
    if request.param == "sqlite":
        trained = train_tiny(tmp_path_factory.getbasetemp() / "tiny")
        yield own_copier(folder, None, (trained.bundle_path, trained.bundle_id))
        return
    with fresh_database(request.getfixturevalue("postgresql_server"), "attacked") as url:
        yield own_copier(folder, url)


def test_an_untouched_ledger_passes_every_command(copier: Copier) -> None:
    assert {verdict.said for verdict in untouched(copier).values()} == {"verified"}


def test_it_attacks_entries_of_every_kind(copier: Copier) -> None:
    copy = copier("kinds")
    with copy.room() as room:
        kinds = {entry.kind for entry in room.ledger.entries()}
    missing = set() if copy.url.get_backend_name() == "sqlite" else {"restored"}
    assert kinds == set(KINDS) - missing


def test_the_triggers_let_nothing_through(copier: Copier) -> None:
    assert statements_let_through(copier("statements")) == []


def test_every_attack_is_seen_at_its_level_and_no_lower(copier: Copier) -> None:
    on_a_server = copier("kind").url.get_backend_name() == "postgresql"
    attacks = [attack for attack in attacks_on(copier) if not on_a_server or _of_the_server(attack)]
    outcomes = list(carry_out(attacks, copier))
    missed = [o.attack.name for o in outcomes if not o.detected]
    assert missed == []
    lower = [o.attack.name for o in outcomes for level, v in o.verdicts.items() if level < o.attack.seen and v.sees]
    assert lower == [], "the table says of more than it must that a level cannot see it"
    assert {o.impossible for o in outcomes} == ({"", ON_A_SERVER} if on_a_server else {""})


def _of_the_server(attack: Attack) -> bool:
    """Of many that differ in the column alone, one of each type; none on what lies beside the database."""
    flips = "number", "time", "body", "margin"
    one = {f"bit flipped in {table}.{column}" for table in ("entry", "prediction") for column in flips}
    many = attack.name.startswith(("bit flipped in ", "derived table ")) and attack.name not in one
    return attack not in files.ATTACKS and not many
