"""The process that scores what the reading room takes in: a bundle loaded once, one import after the other.

Each order is a line of JSON on standard input, each answer a line of JSON on standard output: exit status as that of
`medproto score`, a sentence where it says more, and whether the process goes, as it does without a bundle. When the
input ends, as it does however the server dies, the exam at hand is brought to its end and the process goes; after
`PATIENCE_S` it goes in any case.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from audit.room import Actor, BundleScorer, open_room
from audit.service import score_exam
from medproto.bundle import Bundle, load_bundle
from medproto.console import Outcome, note
from medproto.errors import MedprotoError
from medproto.import_step import STEP_FILE, ImportSteps
from medproto.ingest.exam import find_candidates, group_exams
from medproto.predict import scorer
from medproto.registering import register_bundle

#: How long the exam at hand may take once the server is gone.
PATIENCE_S: Final = 30.0
_BROKEN_OFF: Final = "the server was stopped before this import ended"

#: Exit status, what is said, and whether the process goes.
Answer = Callable[[int, str, bool], None]


@dataclass(frozen=True)
class Place:
    """Where results go, what gives them, and what says how far it is."""

    bundle: Bundle
    score: BundleScorer
    steps: ImportSteps
    home: Path
    ledger: str | None


@dataclass(frozen=True)
class Order:
    """One import.

    Args:
        source: folder of its files.
        progress: file to which a line is added for what is found and for every exam; `STEP_FILE` is beside it.
        actor: in whose name, with `role`.
        done: how many of its exams were scored before it was broken off.
    """

    source: Path
    progress: Path
    actor: str
    role: str
    done: int


class Listener:
    """Reads orders in a thread of its own, so that the end of the input is met while an exam is being scored."""

    def __init__(self, orders: IO[bytes]) -> None:
        self._orders = orders
        # A simple one: `stop` is also called by a signal, which may come amid `next`, and must not wait for it.
        self._waiting: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self.over = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        """Take no further order, and go once the exam at hand is at its end."""
        self.over.set()
        self._waiting.put(None)
        last = threading.Timer(PATIENCE_S, os._exit, (1,))
        last.daemon = True
        last.start()

    def next(self) -> Order | None:
        """The next order, when it comes; None when there will be none."""
        return self._waiting.get()

    def _listen(self) -> None:
        for line in self._orders:
            self._waiting.put(_order(json.loads(line)))
        self.stop()


def _order(said: dict[str, Any]) -> Order:
    paths = Path(said["source"]), Path(said["progress"])
    return Order(*paths, actor=said["actor"], role=said["role"], done=said["done"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the input ends; returns the exit status, 2 where the bundle cannot be loaded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("home", type=Path)
    given = parser.parse_args(arguments)
    answer, listener = _answering(), Listener(sys.stdin.buffer)
    signal.signal(signal.SIGTERM, lambda _number, _frame: listener.stop())
    order = listener.next()
    if order is None:
        return 0
    try:
        bundle = load_bundle(given.bundle)
    except MedprotoError as err:
        answer(2, str(err), True)
        return 2
    steps = ImportSteps()
    scoring = scorer(bundle, seen=steps.image_read)
    judge = BundleScorer(bundle.bundle_id, bundle.manifest.name, scoring, bundle.manifest.synthetic)
    place = Place(bundle, judge, steps, given.home, os.environ.get("MEDPROTO_LEDGER_URL") or None)
    while order is not None:
        answer(*_served(order, place, listener.over), listener.over.is_set())
        order = None if listener.over.is_set() else listener.next()
    return 0


def _served(order: Order, place: Place, over: threading.Event) -> tuple[int, str]:
    """Score one import; exit status, and the sentence for which it ended early."""
    who, outcome = Actor(order.actor, order.role), Outcome()
    try:
        found = find_candidates(order.source)
        groups = group_exams(found.paths)
        note(order.progress, exams=len(groups), passed_over=found.skipped)
        place.steps.begin(order.progress.with_name(STEP_FILE), [len(group.paths) for group in groups], order.done)
        with open_room(place.home, place.ledger).held_by(who) as room:
            register_bundle(room, place.bundle, who)
            for group in groups[order.done :]:
                if over.is_set():
                    return 2, _BROKEN_OFF
                place.steps.next_exam()
                entry = score_exam(room, group.paths, place.score, who)
                outcome.line(entry, group.paths)
                note(order.progress, entry=entry.number)
    except MedprotoError as err:
        return 2, str(err)
    return outcome.exit_code, ""


def _answering() -> Answer:
    """Writes answers to what was standard output; whatever else is printed goes where errors go."""
    answers = os.dup(1)
    os.dup2(2, 1)

    def answer(status: int, said: str, goes: bool) -> None:
        told = json.dumps({"status": status, "said": said, "goes": goes})
        with suppress(BrokenPipeError):  # the server is gone: the import's own file says how far it came
            os.write(answers, told.encode() + b"\n")

    return answer


if __name__ == "__main__":
    sys.exit(main())
