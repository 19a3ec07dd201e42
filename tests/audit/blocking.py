"""A room's worker that is killed: scores exams without end, says on standard output where it is, loads no torch.

Arguments: home; the point at which to wait for the kill (`intent`, `scored`, `uncommitted`, `result`, `shown`, or
`none`); the pickled exams.
It prints `shown NUMBER` only for a prediction that `score_exam` has returned, as a screen would.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from audit.room import Actor, BundleScorer, open_room
from audit.service import score_exam
from medproto.records import Pseudonymise, Scored

HOME, POINT = Path(sys.argv[1]), sys.argv[2]


def say(text: str) -> None:
    """One line, in one write, so that a kill cannot cut it."""
    os.write(1, f"{text}\n".encode())


def wait_here(point: str) -> None:
    """Say where we are, and wait to be killed if this is the point."""
    if point == POINT:
        say(f"at {point}")
        time.sleep(600)


def main() -> None:
    """Score the prepared exams, one after the other, again and again."""
    exams: list[Scored] = pickle.loads(Path(sys.argv[3]).read_bytes())  # noqa: S301
    with open_room(HOME) as room:
        say("ready")
        for number in range(100_000):
            scored = exams[number % len(exams)]

            def score(paths: Sequence[Path], pseudonymise: Pseudonymise, scored: Scored = scored) -> Scored:
                wait_here("intent")
                pseudonymise("patient", "exam", "1")
                wait_here("scored")
                return scored

            entry = score_exam(room, [], BundleScorer(scored.prediction.bundle_id, "b", score), Actor("w", "system"))
            wait_here("result")
            say(f"shown {entry.number}")
            wait_here("shown")


def _wait_before_commit() -> None:
    """Let the commit of a prediction wait: the moment at which a log that shows first would lie."""
    seen: list[str] = []

    def on_execute(_conn: Connection, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("INSERT INTO entry") and "'prediction'" in repr(parameters):
            seen.append("prediction")
        if statement.startswith("INSERT INTO checkpoint") and seen:
            wait_here("uncommitted")

    event.listen(Engine, "after_cursor_execute", on_execute)


if __name__ == "__main__":
    if POINT == "uncommitted":
        _wait_before_commit()
    main()
