"""Attack copies of a ledger and print what each verifier sees: exit 0 where every attack is seen, 1 otherwise."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medproto.errors import MedprotoError
from tests.audit.attacks.copies import Copier
from tests.audit.attacks.entries import statements_let_through
from tests.audit.attacks.given import Given, given_copier
from tests.audit.attacks.levels import LEVELS
from tests.audit.attacks.own import own_copier
from tests.audit.attacks.suite import Outcome, attacks_on, carry_out, untouched
from tests.factories import train_tiny

_MARKS = {"verified": "-", "warning": "warning", "TAMPERED": "tampered", "cannot check": "refused"}
_WIDTH = 220


def main() -> int:
    """Run the suite that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit.attacks", description=__doc__)
    parser.add_argument(
        "ledger", type=Path, nargs="?", help="a home or an SQLite database at rest; without, one is made"
    )
    parser.add_argument("--public-key", help="public key obtained elsewhere")
    parser.add_argument("--anchors", type=Path, help="file of checkpoints kept elsewhere")
    parser.add_argument("--bundle", type=Path, help="the bundle that made the predictions")
    parser.add_argument("--seed", type=int, default=1, help="seed of all chance (1)")
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    with tempfile.TemporaryDirectory(prefix="medproto-attacks-") as scratch:
        folder = Path(scratch)
        try:
            if chosen.ledger is None:
                trained = train_tiny(folder / "tiny")
                copier = own_copier(folder / "own", None, (trained.bundle_path, trained.bundle_id), chosen.seed)
            else:
                given = Given(chosen.ledger, chosen.public_key, chosen.anchors, chosen.bundle)
                copier, assumed = given_copier(given, folder / "given", chosen.seed)
                console.print(*assumed, sep="\n")
        except MedprotoError as err:
            console.print(escape(str(err)))
            return 2
        return _run(console, copier)


def _run(console: Console, copier: Copier) -> int:
    copy = copier("untouched")
    console.print(f"{copy.size} entries; the anchor covers {copy.known.anchored}, the head remembered {copy.size}")
    sound = untouched(copier)
    for command, verdict in sound.items():
        console.print(f"untouched: {command}: {verdict.said} {escape(verdict.sentence)}")
    through = statements_let_through(copier("statements"))
    console.print(f"with its triggers in place the database let through: {', '.join(through) or 'nothing'}")
    outcomes = list(carry_out(attacks_on(copier), copier))
    console.print(_table(outcomes))
    for outcome in outcomes:
        if outcome.attack.unseen and outcome.verdicts:
            below = [level for level in LEVELS if level < outcome.attack.seen]
            console.print(f"{' and '.join(below)} cannot see: {outcome.attack.name}: {outcome.attack.unseen}")
        if outcome.impossible:
            console.print(f"not carried out: {escape(outcome.attack.name)}: {escape(outcome.impossible)}")
    missed = [outcome.attack.name for outcome in outcomes if outcome.verdicts and not outcome.detected]
    counts = Counter(bool(outcome.verdicts) for outcome in outcomes)
    words = f"{counts[True]} attacks carried out, {counts[True] - len(missed)} seen at their level"
    console.print(words + (f"; MISSED: {', '.join(missed)}" if missed else ""))
    return 0 if not missed and not through and all(v.said == "verified" for v in sound.values()) else 1


def _table(outcomes: list[Outcome]) -> Table:
    """What each level says of each attack; a dash is a level that holds the copy for untouched."""
    caption = "; ".join(f"{level}: {words}" for level, words in LEVELS.items())
    table = Table("attack", "must see", *LEVELS, "what the lowest that sees it says first", caption=caption)
    for outcome in outcomes:
        if outcome.verdicts:
            said = [_MARKS[verdict.said] for verdict in outcome.verdicts.values()]
            must = outcome.attack.seen + (" (warning)" if outcome.attack.warning else "")
            table.add_row(escape(outcome.attack.name), must, *said, escape(outcome.sentence))
    return table


if __name__ == "__main__":
    sys.exit(main())
