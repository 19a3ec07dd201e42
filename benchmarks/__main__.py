"""`make bench`: our way against the plain way of the same job, alternated in one process; a ratio below 1 is faster."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from audit.entries import EntryDraft
from audit.room import open_room, verify_room
from benchmarks.pairs import compare


def ledger(entries: int) -> None:
    """Signed, durable appends one by one against bare durable inserts; verification against hashing the same bytes."""
    with tempfile.TemporaryDirectory() as folder, open_room(Path(folder) / "home", create=True) as room:
        bare = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        bare.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, body BLOB)")
        draft = EntryDraft("exam opened", {"entry": 1, "exam_id": "exam-0000000000000000"}, "bench", "reader")

        def ours() -> None:
            for _ in range(entries):
                room.ledger.append([draft])

        def plain() -> None:
            for _ in range(entries):
                bare.execute("INSERT INTO entry (body) VALUES (?)", (b"x" * 400,))

        compare(f"{entries} signed appends / bare durable inserts", ours, plain)
        room.ledger.append([draft] * 2000)
        bodies = [entry.body for entry in room.ledger.entries()]
        compare(
            f"verification of {len(bodies)} entries / hashing their bytes",
            lambda: verify_room(room),
            lambda: [hashlib.sha256(body).digest() for body in bodies],
        )
        bare.close()


def main() -> None:
    """Run all benchmarks on two threads."""
    torch.set_num_threads(2)
    print(f"{'job':<58} {'ours':>12}  {'plain':>12}", flush=True)
    ledger(50)
    # programs of their own: their workers, as the readers of untrusted files, start without torch
    names = ("ingest", "loading", "layer", "warm_up", "projection", "last_layer", "explanation", "report", "worklist")
    for name in names:
        print(flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
