"""The suite: every attack, each on a fresh copy, and what the real commands say of it at every level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.audit.attacks import entries, files, heads
from tests.audit.attacks.attack import BUNDLE, REPORT, Attack, Command, NotPossible
from tests.audit.attacks.columns import bit_flips
from tests.audit.attacks.copies import Copier, Copy
from tests.audit.attacks.levels import (
    LEVELS,
    Level,
    Verdict,
    bundle_replayed,
    report_verified,
    usual_notices,
    verified_at,
)
from tests.audit.attacks.projections import on_derived_tables

NAMED = (*entries.ATTACKS, *heads.ATTACKS, *files.ATTACKS)


@dataclass(frozen=True)
class Outcome:
    """What became of one attack; `verdicts` is empty where it was not possible, and `impossible` says why."""

    attack: Attack
    verdicts: dict[Level, Verdict]
    impossible: str = ""

    @property
    def detected(self) -> bool:
        """Whether it is seen at its level and at all above: as a fault or, where there can be no more, a warning."""
        enough = ("TAMPERED", "cannot check", "warning") if self.attack.warning else ("TAMPERED", "cannot check")
        return all(verdict.said in enough for level, verdict in self.verdicts.items() if level >= self.attack.seen)

    @property
    def sentence(self) -> str:
        """The first sentence about it at the lowest level that sees it."""
        return next((verdict.sentence for verdict in self.verdicts.values() if verdict.sees), "")


def attacks_on(copier: Copier) -> list[Attack]:
    """The named attacks, and one flipped bit for each column of each table that this ledger has."""
    return [*NAMED, *on_derived_tables(), *bit_flips(copier("columns"))]


def untouched(copier: Copier) -> dict[str, Verdict]:
    """What the commands say of copies that nobody touched: all must say `verified`."""
    said: dict[str, Verdict] = {}
    for level in LEVELS:
        copy = copier("untouched")
        said[f"verify at level {level}"] = verified_at(copy, level, [copy.known.key], usual_notices(copy))
    for command, prepare in (("verify-report", _keep_report), ("replay", files.genuine_bundle)):
        copy = copier("untouched")
        try:
            prepare(copy)
            said[command] = _asked(copy, command)
        except NotPossible:
            continue
    return said


def carry_out(attacks: list[Attack], copier: Copier) -> Iterator[Outcome]:
    """Carry out each attack on a fresh copy, and let every level judge it."""
    usual = usual_notices(copier("usual"))
    for attack in attacks:
        copy = copier(attack.name)
        try:
            attack.run(copy)
        except NotPossible as err:
            yield Outcome(attack, {}, str(err))
            continue
        keys = [copy.known.key]
        if attack.key_known == "retired" and copy.known.older is not None:
            keys = [copy.known.older]
        verdicts: dict[Level, Verdict] = {}
        for level in LEVELS:
            # Below its level the verifier has not got what the command is to be given.
            asked = attack.command != "verify" and level >= attack.seen
            verdicts[level] = _asked(copy, attack.command) if asked else verified_at(copy, level, keys, usual)
        yield Outcome(attack, verdicts)


def _keep_report(copy: Copy) -> None:
    (copy.home / REPORT).write_bytes(files.genuine_report(copy))


def _asked(copy: Copy, command: Command) -> Verdict:
    if command == "verify-report":
        return report_verified(copy, (copy.home / REPORT).read_bytes())
    with copy.room() as room:
        number = files.shown(room).number
    return bundle_replayed(copy, copy.home / BUNDLE, number)
