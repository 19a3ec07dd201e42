"""Processes that append to one ledger at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from audit.findings import Knowledge, Verification
from audit.ledger import create_ledger
from audit.signing import create_keys
from audit.verification import verify
from tests.audit.attacks.killing import REPOSITORY


@dataclass(frozen=True)
class Raced:
    """What came of it: how each process ended, the numbers in order, how many entries each actor wrote."""

    exits: tuple[int, ...]
    numbers: tuple[int, ...]
    actors: Counter[str]
    verification: Verification


def append_at_once(where: str | Path, folder: Path, processes: int, appends: int) -> Raced:
    """Let so many processes append so many entries each, one by one, to a new ledger with its keys in this folder."""
    signer = create_keys(folder / "keys")
    command = [sys.executable, "-m", "tests.audit.appending", str(where), str(folder / "keys"), str(appends)]
    with create_ledger(where, signer, {}) as ledger:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        running = [
            subprocess.Popen([*command, f"actor-{i}"], cwd=REPOSITORY, env=environment) for i in range(processes)
        ]
        exits = tuple(process.wait() for process in running)
        entries = ledger.entries()[::-1]
        actors = Counter(entry.actor for entry in entries[1:])
        result = verify(ledger, Knowledge((signer.public,)))
    return Raced(exits, tuple(entry.number for entry in entries), actors, result)
