"""The ledger: signed durable appends, verification, proofs and memory, against the bare database and bare hashing.

Every figure is printed beside its goal: a rate, or the ratio to the plain way of the same job in the same run.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.entries import EntryDraft
from audit.findings import Knowledge
from audit.proofs import prove
from audit.room import Room, open_room, verify_room
from audit.verification import verify
from benchmarks.curves import Curve, draw
from benchmarks.pairs import compare
from benchmarks.scored import scored_exam

APPENDS = 50
BATCH = 2000
ENTRIES = 20_000
PROOFS = 40
#: Sizes between which peak memory is compared.
SHORT = 10_000


def main() -> None:
    """Print all figures, and draw how proofs grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="size of the long ledger")
    parser.add_argument("--out", type=Path, default=Path("build/ledger-proofs.svg"), help="picture of the proofs")
    parser.add_argument("--verify", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.verify is not None:
        print(_verified_alone(options.verify))
        return
    with tempfile.TemporaryDirectory() as folder:
        one_by_one(Path(folder))
        for name, share in (("entries of 250 bytes", 0), ("every fifth a scored exam", 5)):
            batched(Path(folder) / f"every-{share}", name, share)
        long_ledger(Path(folder) / "long", options.entries, options.out)


def one_by_one(folder: Path) -> None:
    """One commit for each entry, against bare durable inserts; and its verification, against bare signature checks."""
    with open_room(folder / "single", create=True) as room, closing(_bare(folder / "bare.sqlite")) as bare:
        numbers = iter(range(10**9))

        def ours() -> None:
            for _ in range(APPENDS):
                room.ledger.append([_small(next(numbers))])

        def plain() -> None:
            for _ in range(APPENDS):
                bare.execute("INSERT INTO entry (body) VALUES (?)", (b"x" * 400,))

        compare(f"{APPENDS} signed durable appends / bare durable inserts", ours, plain, 2)
        _rate("signed durable appends, one by one", APPENDS, ours, 500)
        key, text = Ed25519PrivateKey.generate(), b"x" * 120
        public, signature, size = key.public_key(), key.sign(text), room.ledger.count()
        compare(
            f"verification of {size} entries / {size} bare signature checks",
            lambda: verify_room(room),
            lambda: [public.verify(signature, text) for _ in range(size)],
        )


def batched(home: Path, name: str, scored: int) -> None:
    """Appends in large commits; verification against hashing the same bytes.

    Args:
        scored: every so manieth entry is the prediction of an exam, none at 0.
    """
    with open_room(home, create=True) as room:
        drafts = iter([[_draft(n, scored) for n in range(start, start + BATCH)] for start in range(0, ENTRIES, BATCH)])
        _rate(f"appends, {BATCH} at a time, {name}", BATCH, lambda: room.ledger.append(next(drafts)), 20_000)
        for left in drafts:
            room.ledger.append(left)
        with closing(sqlite3.connect(home / "ledger.sqlite")) as conn:
            bodies = [body for (body,) in conn.execute("SELECT body FROM entry")]
        _rate(f"verification, {name}", len(bodies), lambda: _verify_entries(room), 120_000)
        compare(
            f"verification / hashing the same {sum(map(len, bodies)) / len(bodies):.0f} bytes an entry",
            lambda: _verify_entries(room),
            lambda: [hashlib.sha256(body).digest() for body in bodies],
            3,
        )


def long_ledger(home: Path, entries: int, out: Path) -> None:
    """Proofs at ever larger sizes; peak memory of a verification at a short and at the full size."""
    chance, curve, memory = random.Random(0), Curve([], [], []), []
    with open_room(home, create=True) as room:
        print(f"\ninclusion proofs, made and checked: medians of {PROOFS}, in processor time")
        print(f"{'entries':>9} {'hashes':>7} {'bytes':>6} {'ms':>7}")
        for size in sorted({*_decades(entries), SHORT, entries}):
            _grow(room, size)
            _proofs(room, size, chance, curve)
            if size in (SHORT, entries):
                memory.append(_verified_in_a_process(home))
    draw(out, curve)
    print(f"drawn in {out}")
    for size, (seconds, peak) in zip((SHORT, entries), memory, strict=True):
        rate = f"{size / seconds:.0f} /s of processor time"
        print(f"verification of {size} entries: {seconds:.1f} s, {rate}, peak {peak / 2**20:.1f} MiB")
    print(f"peak memory at {entries} entries / at {SHORT}: {memory[1][1] / memory[0][1]:.3f}  (goal 1.1)")


def _proofs(room: Room, size: int, chance: random.Random, curve: Curve) -> None:
    numbers = [chance.randint(1, size) for _ in range(PROOFS)]
    lengths = [len(prove(room, number).path) for number in numbers]
    milliseconds = statistics.median(_busy(lambda n=n: prove(room, n)) for n in numbers) * 1e3
    hashes = round(statistics.median(lengths))
    curve.sizes.append(size)
    curve.hashes.append(hashes)
    curve.milliseconds.append(milliseconds)
    print(f"{size:>9} {hashes:>7} {32 * hashes:>6} {milliseconds:>7.2f}", flush=True)


def _verified_in_a_process(home: Path) -> tuple[float, int]:
    """Seconds of processor time and bytes at the peak of a verification in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.ledger", "--verify", str(home)]
    seconds, peak = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(peak)


def _verified_alone(home: Path) -> str:
    with open_room(home) as room:
        began = time.process_time()
        if not verify_room(room).verified:
            raise SystemExit("the ledger of the benchmark does not verify")
        seconds = time.process_time() - began
    return f"{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}"


def _verify_entries(room: Room) -> None:
    """Verify all but the evidence store: no picture that these entries name was ever drawn."""
    if not verify(room.ledger, Knowledge((room.public_key,))).verified:
        raise SystemExit("the ledger of the benchmark does not verify")


def _decades(entries: int) -> Iterator[int]:
    size = 10
    while size <= entries:
        yield size
        size *= 10


def _grow(room: Room, size: int) -> None:
    while (count := room.ledger.count()) < size:
        room.ledger.append([_small(number) for number in range(count, min(size, count + BATCH))])


def _draft(number: int, scored: int) -> EntryDraft:
    if scored and number % scored == 0:
        return EntryDraft("prediction", scored_exam(number), "bench", "system")
    return _small(number)


def _small(number: int) -> EntryDraft:
    return EntryDraft("exam opened", {"entry": number, "exam_id": f"exam-{number:016x}"}, "bench", "reader")


def _bare(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, body BLOB)")
    return conn


def _rate(name: str, entries: int, work: Callable[[], object], goal: int) -> None:
    """Print the best of five runs, by the clock and of processor time: on a busy machine the two differ."""
    clock, processor = [], []
    for _ in range(5):
        began = time.perf_counter()
        processor.append(entries / _busy(work))
        clock.append(entries / (time.perf_counter() - began))
    print(f"{name:<58} {max(clock):9.0f} /s   {max(processor):9.0f} /s of processor time  (goal {goal})", flush=True)


def _busy(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
