"""What the console shows while it works: progress bars, one line an exam, one line an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(soft_wrap=True)


class LedgerEntry(Protocol):
    """What is needed of a ledger entry to say what became of an exam."""

    @property
    def number(self) -> int: ...

    @property
    def kind(self) -> str: ...

    @property
    def payload(self) -> Any: ...


class Inputs(Protocol):
    """What is needed of images that were read to say how it went."""

    @property
    def left_out(self) -> tuple[str, ...]: ...

    @property
    def remarks(self) -> tuple[str, ...]: ...

    @property
    def reused(self) -> int: ...

    def __len__(self) -> int: ...


def tell_inputs(data: Inputs) -> None:
    """How many images were read, what was odd about it, and one list of all that were left out."""
    lines = [f"{len(data)} images, {data.reused} of them from the cache; {len(data.left_out)} left out"]
    lines += [*data.remarks, *(f"left out: {reason}" for reason in data.left_out)]
    for line in lines:
        console.print(line, markup=False, highlight=False)


def fail(sentence: str) -> None:
    """One line on standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)


@contextmanager
def bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """A reporter: give it a title, get a progress callback (done, total) that draws a bar with its remaining time.

    The bars are drawn on standard error, so that what a command says can be piped.
    """
    with _progress(Console(stderr=True, soft_wrap=True)) as progress:

        def report(title: str) -> Callable[[int, int], None]:
            task = progress.add_task(title, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield report


@contextmanager
def stage_bars() -> Iterator[Callable[[str, int, int], None] | None]:
    """A callback (stage, done, total) that draws a bar a stage on standard error; None where that is no terminal."""
    watched = Console(stderr=True, soft_wrap=True)
    if not watched.is_terminal:
        yield None
        return
    with _progress(watched) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield tell


@contextmanager
def count_bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """One bar that advances by one at each call; what the console prints meanwhile scrolls above it."""
    with _progress(console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


def note(file: Path | None, **step: int) -> None:
    """Add one JSON line to a file that another process reads, where there is one."""
    if file:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(step) + "\n")


class Outcome:
    """Counts what became of the exams of a batch."""

    def __init__(self) -> None:
        self.failed = 0

    @property
    def exit_code(self) -> int:
        """0 if every exam was scored, else 3."""
        return 3 if self.failed else 0

    def line(self, entry: LedgerEntry, paths: Sequence[Path]) -> str:
        """What became of one exam, then a line for each image of it that was refused, and why.

        Files are told by the start of their SHA-256: their names may hold a patient's.
        """
        refused = entry.payload.get("refused", ())
        if entry.kind == "prediction":
            prediction = entry.payload["prediction"]
            refused = prediction["refused"]
            score = f"margin {prediction['margin']:+.2f}" if prediction["probability"] is not None else "no score shown"
            warned = [f["code"] for f in prediction["findings"] if f["severity"] == "warn"]
            notes = f" ({', '.join(warned)})" if warned else ""
            said = [f"entry {entry.number}: {prediction['exam_id']}: {prediction['decision']}, {score}{notes}"]
        else:
            said = []
        said += [f"entry {entry.number}: file {r['file_sha256'][:12]} not scored: {_reasons(r)}" for r in refused]
        if not said:
            files = f"{len(paths)} files" if len(paths) > 1 else "1 file"
            reason = entry.payload.get("sentence") or entry.payload.get("error")
            said = [f"entry {entry.number}: {files} not scored: {reason}"]
        self.failed += entry.kind != "prediction" or bool(refused)
        return "\n".join(said)


def _reasons(refused: dict[str, Any]) -> str:
    """The sentences for which an image was refused."""
    return " ".join(f["sentence"] for f in refused["findings"] if f["severity"] == "refuse")


def _progress(shown_on: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=shown_on,
        transient=False,
    )
