"""The process in which untrusted files are read: `python -m medproto.ingest.worker`, started by `sandbox`.

It takes its settings, whether values before VOI are wanted, and then paths from standard input, one JSON value a line,
and answers each on standard output: four bytes of length, so much JSON (a `Reply`), and for a mammogram its pixels, its
mask, eight pixels a byte, and where they are wanted its samples, two bytes a pixel.
It loads no torch, and ends when its input does, when a file takes too long, or when it breaks one of its limits.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from medproto.config import IngestSettings
from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest.gate import finding
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from medproto.records import GateFinding, Record

#: Written once, when everything is loaded and the limits are set.
READY = b"ready\n"
LENGTH = struct.Struct(">I")
#: Fields of a mammogram that follow the reply as bytes, not as JSON.
ARRAYS = ("pixels", "breast", "samples")
#: A worker that its parent has not killed ends itself so many seconds after the parent should have.
GRACE_S = 2.0

_HINTS = get_type_hints(Mammogram)
_FACTS: dict[str, Any] = {one.name: (_HINTS[one.name], ...) for one in dataclasses.fields(Mammogram)}
#: Everything of a mammogram but its arrays.
Facts: type[BaseModel] = create_model(
    "Facts",
    __config__=ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True),
    **{name: kind for name, kind in _FACTS.items() if name not in ARRAYS},
)


class Reply(Record):
    """What came of one file: a mammogram's size and facts (`Facts` as JSON), or the findings of its refusal."""

    outcome: Literal["mammogram", "unreadable", "refused"]
    rows: int = Field(default=0, ge=0)
    columns: int = Field(default=0, ge=0)
    facts: str = ""
    findings: tuple[GateFinding, ...] = ()

    @model_validator(mode="after")
    def _says_what_its_outcome_needs(self) -> Self:
        refused = any(one.severity == "refuse" for one in self.findings)
        if refused == (self.outcome == "mammogram") or (self.outcome == "mammogram") != (self.rows * self.columns > 0):
            raise ValueError("a mammogram has a size and anything else a reason")
        return self


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    # what a C library prints must not be taken for an answer
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    settings = IngestSettings.model_validate_json(sys.stdin.buffer.readline())
    full_depth = bool(json.loads(sys.stdin.buffer.readline()))
    confine(settings)
    read = partial(read_mammogram, settings=settings, full_depth=full_depth)
    answers.write(READY)
    for line in sys.stdin.buffer:
        # the default action of SIGALRM ends the process also inside of a decoder, and with no parent left to do it
        signal.setitimer(signal.ITIMER_REAL, settings.file_seconds + GRACE_S)
        answer(Path(json.loads(line)), read, answers)
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def confine(settings: IngestSettings) -> None:
    """Bound address space; forbid to write files, and core files, in which a patient would remain."""
    limit = address_space() + settings.worker_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def address_space() -> int:
    """Bytes of address space that this process has taken so far; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def answer(path: Path, read: Callable[[Path], Mammogram], answers: BinaryIO) -> None:
    """Read one file and write what came of it."""
    arrays: list[memoryview] = []
    try:
        mammogram = read(path)
        reply = _reply(mammogram)
        arrays = [np.ascontiguousarray(mammogram.pixels, "<f4").data.cast("B"), np.packbits(mammogram.breast).data]
        if mammogram.samples is not None:
            arrays.append(np.ascontiguousarray(mammogram.samples, "<u2").data.cast("B"))
    except MemoryError:
        reply = Reply(outcome="unreadable", findings=(finding("OUT_OF_MEMORY"),))
    except UnreadableImage as err:
        reason = GateFinding(code=err.code, severity="refuse", sentence=str(err))
        reply = Reply(outcome="unreadable", findings=(reason,))
    except RefusedImage as err:
        reply = Reply(outcome="refused", findings=err.findings)
    head = reply.model_dump_json().encode("utf-8")
    for part in (memoryview(LENGTH.pack(len(head)) + head), *arrays):
        _write(answers, part)


def _reply(mammogram: Mammogram) -> Reply:
    facts = Facts(**{name: getattr(mammogram, name) for name in Facts.model_fields})
    rows, columns = mammogram.pixels.shape
    return Reply(outcome="mammogram", rows=rows, columns=columns, facts=facts.model_dump_json())


def _write(answers: BinaryIO, part: memoryview) -> None:
    """All of the part; a pipe takes as much at a time as it has room for."""
    while part:
        part = part[answers.write(part) :]


if __name__ == "__main__":
    main()
