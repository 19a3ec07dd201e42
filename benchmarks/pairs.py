"""Our way against the plain way of the same job, alternated in one process; a ratio below 1 is faster."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

PAIRS = 7


def compare(name: str, ours: Callable[[], object], plain: Callable[[], object], goal: float | None = None) -> float:
    """Print the median ratio of at least seven alternated pairs, after one pair that warms both up, and return it."""
    ours(), plain()
    pairs = [(_seconds(ours), _seconds(plain)) for _ in range(PAIRS)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    wanted = "" if goal is None else f"  (goal {goal})"
    print(f"{name:<58} {mine * 1e3:9.1f} ms  {theirs * 1e3:9.1f} ms   ratio {ratio:.3f}{wanted}", flush=True)
    return ratio


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
