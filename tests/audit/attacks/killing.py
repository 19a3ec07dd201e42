"""Workers that score exams and are killed: what they showed must be in the ledger, and the ledger must verify."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.findings import Verification
from audit.room import open_room, verify_room
from tests.audit.factory import make_scored

REPOSITORY = Path(__file__).parents[3]
#: A worker that is up is killed within this time, which takes it through several exams.
_LONGEST_S = 0.3


@dataclass(frozen=True)
class Killed:
    """What is left after the kills.

    Args:
        shown: predictions that were shown to somebody; `lost` are those of them that the ledger does not hold.
        kinds: how many entries there are of each kind.
        open_intents: how many intents the verification says had no result.
    """

    shown: int
    lost: tuple[int, ...]
    kinds: Counter[str]
    open_intents: int
    verification: Verification


def prepare_exams(folder: Path) -> Path:
    """Prepared exams in a file, so that the worker itself needs no numpy."""
    path = folder / "exams.pickle"
    path.write_bytes(pickle.dumps([make_scored(exam=str(i), prototypes=2) for i in range(3)]))
    return path


@contextmanager
def worker(home: Path, point: str, exams: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker process that waits at this point; killed with SIGKILL on leaving."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.audit.blocking", str(home), point, str(exams)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """What the worker says until it says this."""
    said: list[str] = []
    for line in process.stdout or ():
        said.append(line.strip())
        if said[-1] == last:
            return said
    raise RuntimeError(f"the worker ended before it said {last!r}; it said {said[-3:]}")


def kill_at_random_moments(home: Path, exams: Path, kills: int, seed: int) -> Killed:
    """Start a worker on this room again and again, and kill each at a moment of chance."""
    open_room(home, create=True).close()
    moments = random.Random(seed)
    shown: list[int] = []
    for _ in range(kills):
        with worker(home, "none", exams) as process:
            lines_until(process, "ready")
            time.sleep(moments.uniform(0, _LONGEST_S))
            process.send_signal(signal.SIGKILL)
            said = [line.split() for line in process.stdout or ()]
        shown += [int(words[1]) for words in said if words[0] == "shown"]
    with open_room(home) as room:
        kinds = {entry.number: entry.kind for entry in room.ledger.entries()}
        result = verify_room(room)
    lost = tuple(number for number in shown if kinds.get(number) != "prediction")
    open_intents = sum("intent without a result" in notice for notice in result.notices)
    return Killed(len(shown), lost, Counter(kinds.values()), open_intents, result)
