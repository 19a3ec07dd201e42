"""Ten sessions at once on one server: how soon an exam is open, whether anybody is shown another's, and the memory.

Each session is a user of its own who signed in at the door, and opens one exam after the other without a pause, in a
new tab after every `PER_TAB`. An opening lasts from asking for the page until its script has ended and the pictures
and maps of its four views are there. No browser draws: `benchmarks.ui.visitor` says what is driven instead.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from audit.service import LedgerFilter, open_room
from benchmarks.ui.usual import VIEWS, Filled, stamp
from benchmarks.ui.visitor import Browser, Seen, tab

PER_TAB: Final = 10
_EXAM: Final = re.compile(rb"exam-[0-9a-f]{16}")
_READER: Final = re.compile(rb"reader-[0-9]{2}")


@dataclass(frozen=True)
class Opening:
    """One exam that one reader opened; `fresh` where it was the first in its tab."""

    reader: str
    entry: int
    fresh: bool
    seen: Seen


@dataclass(frozen=True)
class Drive:
    """What was driven, in the order in which it ended, and how long it took."""

    openings: tuple[Opening, ...]
    seconds: float


async def drive(port: int, filled: Filled, each: int, counted: Callable[[int], bool]) -> Drive:
    """Have every reader open so many exams, all readers at once.

    Args:
        port: where the server listens.
        filled: its exams and readers.
        each: exams that every reader opens, beginning at another one than the others.
        counted: is told after every opening how many there were, and says whether to go on.
    """
    openings: list[Opening] = []
    numbers, readers = list(filled.exams), list(filled.readers.items())
    browsers = [Browser(port) for _ in readers]
    await asyncio.gather(*(browser.sign_in(*reader) for browser, reader in zip(browsers, readers, strict=True)))

    async def read(place: int) -> None:
        first = place * len(numbers) // len(readers)
        order = [numbers[(first + i) % len(numbers)] for i in range(each)]
        for start in range(0, each, PER_TAB):
            async with tab(browsers[place]) as held:
                for entry in order[start : start + PER_TAB]:
                    seen = await held.open_exam(entry)
                    openings.append(Opening(readers[place][0], entry, entry == order[start], seen))
                    if not counted(len(openings)):
                        return

    began = time.perf_counter()
    await asyncio.gather(*(read(place) for place in range(len(readers))))
    seconds = time.perf_counter() - began
    await asyncio.gather(*(browser.close() for browser in browsers))
    return Drive(tuple(openings), seconds)


def mixed_up(filled: Filled, openings: Iterable[Opening]) -> Iterator[str]:
    """What somebody was shown that is not theirs, or not shown that is."""
    places = {number: place for place, number in enumerate(filled.exams)}
    for opening in openings:
        what = f"{opening.reader}, entry {opening.entry}"
        exams, readers = set(_EXAM.findall(opening.seen.text)), set(_READER.findall(opening.seen.text))
        if exams != {filled.exams[opening.entry].encode()}:
            yield f"{what}: the page names {sorted(exams)}, expected {filled.exams[opening.entry]} alone"
        if readers != {opening.reader.encode()}:
            yield f"{what}: the page names {sorted(readers)}, expected {opening.reader} alone"
        if set(opening.seen.stamps) != {stamp(places[opening.entry], view) for view in range(VIEWS)}:
            yield f"{what}: its four views are not the ones of that exam"


def miswritten(filled: Filled, driven: Counter[tuple[str, int]]) -> Iterator[str]:
    """Where the ledger has other openings than these, of a reader and an entry each."""
    with open_room(filled.home) as room:
        entries = room.ledger.entries(LedgerFilter(kind="exam opened"))
    written = Counter((entry.actor, int(entry.refers_to or 0)) for entry in entries)
    for (reader, entry), times in sorted(((written - driven) + (driven - written)).items()):
        yield f"{reader}, entry {entry}: the ledger has {written[reader, entry]} openings, {times} off what was driven"


def spread(seconds: list[float]) -> str:
    """Median, 95th percentile and longest of some times."""
    ordered = sorted(seconds)
    return f"p50 {ordered[len(ordered) // 2]:.2f} s, p95 {p95(ordered):.2f} s, longest {ordered[-1]:.2f} s"


def p95(seconds: list[float]) -> float:
    """The time within which 95% of them lie."""
    return sorted(seconds)[-(-95 * len(seconds) // 100) - 1]
