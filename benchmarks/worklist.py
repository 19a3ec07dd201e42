"""The worklist, its counts and the ledger's pages with 50,000 exams: time of each question, and memory of the process.

The bodies are small (one image, three prototypes): the questions are put to the derived tables, whose rows are as wide
as those of any exam.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from audit.entries import EntryDraft
from audit.filters import LedgerFilter
from audit.prototypes import prototype_uses, trace_prototype
from audit.queries import ledger_page
from audit.room import Room, open_room
from audit.worklist import WorklistFilter, worklist_counts, worklist_page

BUNDLE: Final = "b" * 64
_AT_ONCE: Final = 500
_REVIEWED, _MISLED = 0.4, 0.05


def main() -> None:
    """Make the exams, then ask."""
    parser = argparse.ArgumentParser(description="Questions about many exams.")
    parser.add_argument("--exams", type=int, default=50_000)
    exams = parser.parse_args().exams
    with tempfile.TemporaryDirectory() as folder, open_room(Path(folder) / "home", create=True) as room:
        begun = time.perf_counter()
        _fill(room, exams)
        entries = room.ledger.count()
        print(f"{exams} exams, {entries} entries, written in {time.perf_counter() - begun:.0f} s", flush=True)
        before = _peak_mb()
        for name, ask in _questions(room, exams):
            times = [_milliseconds(ask) for _ in range(5)]
            print(f"{name:<58} {statistics.median(times):9.1f} ms", flush=True)
        print(f"memory: {before:.0f} MB after writing, {_peak_mb():.0f} MB at most after asking")


def _questions(room: Room, exams: int) -> Iterator[tuple[str, Callable[[], object]]]:
    every, waiting = WorklistFilter(), WorklistFilter(status="open")
    yield "worklist, first page of 14", lambda: worklist_page(room, every, 0, 14)
    yield "worklist, last page of 14", lambda: worklist_page(room, every, exams - 14, 14)
    yield "worklist without a review, first page", lambda: worklist_page(room, waiting, 0, 14)
    yield "next exam to read", lambda: worklist_page(room, waiting, 0, 2)
    yield "search by part of a pseudonym", lambda: worklist_page(room, WorklistFilter(search="abc1"), 0, 14)
    yield "counts of all exams", lambda: worklist_counts(room, every)
    yield "counts of the exams without a review", lambda: worklist_counts(room, waiting)
    yield "ledger, first page", lambda: ledger_page(room)
    yield "ledger, one kind", lambda: ledger_page(room, LedgerFilter(kind="review"))
    yield "ledger, one actor", lambda: ledger_page(room, LedgerFilter(actor="reader-3"))
    yield "ledger, a text anywhere", lambda: ledger_page(room, LedgerFilter(search="reader-3"))
    yield "ledger, one bundle", lambda: ledger_page(room, LedgerFilter(bundle_id=BUNDLE))
    yield "ledger, one prototype", lambda: ledger_page(room, LedgerFilter(prototype_id="malignant-01"))
    yield "decisions of a prototype, newest 30", lambda: trace_prototype(room, "malignant-01", BUNDLE, 30)
    yield "prototypes of a bundle with counts", lambda: prototype_uses(room, BUNDLE)


def _fill(room: Room, exams: int) -> None:
    chance = random.Random(0)
    for first in range(0, exams, _AT_ONCE):
        payloads = [_prediction(number, chance) for number in range(first, min(first + _AT_ONCE, exams))]
        drafts = [EntryDraft("prediction", payload, f"reader-{chance.randrange(9)}", "reader") for payload in payloads]
        scored = room.ledger.append(drafts)
        reviews = [_review(entry.number, str(entry.exam_id), chance) for entry in scored if chance.random() < _REVIEWED]
        if reviews:
            room.ledger.append([EntryDraft("review", review, "reader-1", "reader") for review in reviews])


def _prediction(number: int, chance: random.Random) -> dict[str, Any]:
    name, margin = hashlib.sha256(b"%d" % number).hexdigest(), chance.gauss(0, 3)
    matches = [
        {"prototype_id": f"malignant-{i:02d}", "similarity": 1.0, "weight": 0.5, "contribution": margin / 3}
        for i in range(1, 4)
    ]
    chance.shuffle(matches)
    fields = {"exam_id": f"exam-{name[:16]}", "patient_id": f"patient-{name[16:32]}", "bundle_id": BUNDLE}
    fields |= {"bundle_name": "benchmark", "decision": "flagged" if margin >= 2 else "not flagged", "probability": 0.5}
    fields |= {"margin": margin, "operating_point": {"margin": 2.0}, "synthetic": True, "matches": matches}
    finding = {"code": "PARTIAL_VIEW", "severity": "warn", "sentence": "The breast is cut at the lower edge."}
    return {"prediction": fields | {"images": [{"findings": [finding]}], "findings": [], "refused": []}}


def _review(number: int, exam_id: str, chance: random.Random) -> dict[str, Any]:
    verdict = chance.choice(["agree", "agree", "agree", "disagree", "refer"])
    misleading = ["malignant-01"] if chance.random() < _MISLED else []
    return {"entry": number, "exam_id": exam_id, "verdict": verdict, "misleading": misleading}


def _milliseconds(ask: Callable[[], object]) -> float:
    begun = time.perf_counter()
    ask()
    return 1e3 * (time.perf_counter() - begun)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
