"""Several readers at once on one served room: each is shown their own exams alone, and the ledger says the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.ui.sessions import drive, miswritten, mixed_up
from benchmarks.ui.usual import fill
from tests.ui.serving import served


def test_readers_at_once_are_shown_their_own_exams_alone(tmp_path: Path) -> None:
    filled = fill(tmp_path / "home", exams=3, readers=3)
    with served(filled.home, tmp_path / "server.log") as where:
        port = int(where.rpartition(":")[2])
        openings = asyncio.run(drive(port, filled, 3, lambda count: True)).openings
    written = Counter((opening.reader, opening.entry) for opening in openings)
    assert set(written) == {(reader, entry) for reader in filled.readers for entry in filled.exams}
    assert list(mixed_up(filled, openings)) == []
    assert list(miswritten(filled, written)) == []

    # and whoever was shown another's exam, or under another's name, would be found
    first, *others = openings
    other = next(opening for opening in others if opening.entry != first.entry and opening.reader != first.reader)
    swapped = list(mixed_up(filled, [replace(first, seen=other.seen)]))
    assert [part in "\n".join(swapped) for part in ("the page names [b'exam-", "[b'reader-", "four views")] == [
        True
    ] * 3
    assert len(list(miswritten(filled, written + Counter([(first.reader, first.entry)])))) == 1
