"""`python -m benchmarks.ui`: what a reader waits for, alone with a large exam and among ten.

Ends with status 1 where somebody was shown what is not theirs, or where memory grew with the number of openings.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import linear_regression
from typing import Final

from benchmarks.ui import large
from benchmarks.ui.browser import Looked, among_sessions
from benchmarks.ui.process import Memory, busy_seconds, memory, server_process
from benchmarks.ui.sessions import Drive, Opening, drive, miswritten, mixed_up, p95, spread
from benchmarks.ui.usual import COLUMNS, PROTOTYPES, ROWS, Filled, fill
from tests.ui.serving import served

SESSIONS: Final = 10
EXAMS: Final = 50
OPENS: Final = 500
GOAL_S: Final = 3.0
#: Growth in the second half of the openings above which memory is called unbounded: what a page is sent is 1.2 MB.
MOST_MB_AN_OPENING: Final = 0.5
_EVERY, _SAID = 10, 100
_MOST_LINES: Final = 50


def main() -> int:
    """Measure both, and print it."""
    large.report()
    return many()


def many() -> int:
    """Ten sessions at once; 1 where they were mixed up or memory grew."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        filled = fill(home, EXAMS, SESSIONS)
        print(f"{EXAMS} exams of four views of {ROWS} x {COLUMNS} in full depth, {PROTOTYPES} prototypes each")
        with served(home, Path(name) / "server.log") as where:
            driven, sizes, busy_s = _driven(int(where.rpartition(":")[2]), filled)
            _say_times(driven, busy_s)
            grew = _grew(sizes)
            looked, crowd = among_sessions(where, filled)
        _say_browser(looked, crowd)
        return 1 if _mixed_up(filled, (*driven.openings, *crowd.openings), looked) or grew else 0


def _driven(port: int, filled: Filled) -> tuple[Drive, dict[int, Memory], tuple[float, float]]:
    """The drive, the server's memory by number of openings, and the time of processors of the server and of this."""
    process = server_process()
    sizes, busy_s, own_s = {0: memory(process)}, busy_seconds(process), time.process_time()

    def counted(openings: int) -> bool:
        if openings % _EVERY == 0:
            sizes[openings] = memory(process)
        return True

    driven = asyncio.run(drive(port, filled, OPENS // SESSIONS, counted))
    return driven, sizes, (busy_seconds(process) - busy_s, time.process_time() - own_s)


def _say_times(driven: Drive, busy_s: tuple[float, float]) -> None:
    times = [opening.seen.seconds for opening in driven.openings]
    fresh = [opening.seen.seconds for opening in driven.openings if opening.fresh]
    opens = len(times)
    said = "met" if p95(times) <= GOAL_S else "MISSED"
    print(
        f"{SESSIONS} sessions at once, no pause between exams, no browser: {opens} openings in {driven.seconds:.0f} s"
    )
    print(f"  opening an exam: {spread(times)} (goal: p95 {GOAL_S:.0f} s, {said})")
    print(f"  of which the first of a tab: {spread(fresh)}")
    print(f"  until the page's script had ended: {spread([o.seen.page_seconds for o in driven.openings])}")
    print(f"  processors an opening: {busy_s[0] / opens:.2f} s of the server, {busy_s[1] / opens:.2f} s of this")


def _say_browser(looked: Looked, crowd: Drive) -> None:
    drawn, others = [seconds for _, seconds, _ in looked.openings], [o.seen.seconds for o in crowd.openings]
    print(f"{SESSIONS - 1} such sessions and one Chromium, whose reader opens exams from the worklist:")
    print(f"  in the browser, from the click until all is drawn: {spread(drawn)} ({len(drawn)} openings)")
    print(f"  in the other sessions: {spread(others)} ({len(others)} openings)")


def _mixed_up(filled: Filled, openings: tuple[Opening, ...], looked: Looked) -> bool:
    """Print what was mixed up; whether anything was."""
    seen = [*((o.reader, o.entry) for o in openings), *((looked.reader, entry) for entry, _, _ in looked.openings)]
    wrong = [*mixed_up(filled, openings), *miswritten(filled, Counter(seen))]
    for entry, _, exams in looked.openings:
        if exams != {filled.exams[entry]}:
            wrong.append(f"{looked.reader}, entry {entry}: the browser shows {sorted(exams)}")
    for line in wrong[:_MOST_LINES]:
        print(line)
    right = f"none; each of {len(seen)} openings showed its own exam to its own reader, and the ledger has it"
    print(f"sessions mixed up: {len(wrong) or right}")
    return bool(wrong)


def _grew(sizes: dict[int, Memory]) -> bool:
    """Print the server's memory; whether it grew with the openings of the second half, by least squares."""
    for openings, size in sizes.items():
        if openings % _SAID == 0:
            print(f"memory after {openings:3d} openings: {size.rss_mb:.0f} MB resident, {size.pss_mb:.0f} MB its share")
    later = [openings for openings in sizes if 2 * openings >= OPENS]
    rate = linear_regression(later, [sizes[openings].rss_mb for openings in later]).slope
    most = max(size.rss_mb for size in sizes.values())
    said = f"{'GREW' if rate > MOST_MB_AN_OPENING else 'bounded'}, {most:.0f} MB at most"
    print(f"memory: {said}, {rate:+.2f} MB an opening over the second half (limit {MOST_MB_AN_OPENING})")
    return rate > MOST_MB_AN_OPENING


if __name__ == "__main__":
    sys.exit(main())
