"""Untrusted files, read in a process of their own: a file that breaks a decoder ends that process, not this one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from pydantic import ValidationError

from medproto.config import IngestSettings
from medproto.errors import MedprotoError, RefusedImage, UnreadableImage
from medproto.ingest.gate import unreadable
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import DEFAULTS
from medproto.ingest.worker import LENGTH, READY, Facts, Reply

#: Reads one file as a mammogram, or raises UnreadableImage or RefusedImage: `read_mammogram`, or a sandbox's `read`.
Reader = Callable[[Path], Mammogram]

#: What Python runs in the worker; nothing of the folder that it happens to be started in.
WORKER = ("-P", "-m", "medproto.ingest.worker")
#: A worker that is not ready after so many seconds is not coming.
STARTUP_S = 120.0
#: A worker whose output has ended is given so many seconds to end, too.
END_S = 1.0
#: A pipe of this size takes a picture in fewer turns than the system's default.
PIPE_BYTES = 1 << 20
#: A reply says little beside its arrays; a longer one is not a reply.
MAX_REPLY_BYTES = 1 << 20
#: What a worker gets to know of the environment; keys and passwords stay here.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class Sandbox:
    """Reads files as `read_mammogram` does, in a worker process with limits.

    1. A file is given up after `settings.file_seconds`, and its worker is killed: TIMEOUT.
    2. The worker has `settings.worker_bytes` beyond what it needs to start: OUT_OF_MEMORY.
    3. A worker that dies is this file's finding alone, WORKER_CRASHED; the next file gets a new one.
    4. What a worker sends is checked for type, size and range, and none of it is run as code.
    5. A worker ends with its sandbox, with this process, and by itself after `file_seconds` in one file.

    With `full_depth` it reads the values before VOI, too.

    Threads may share a sandbox and take turns; a forked or spawned process that was handed one starts its own worker.
    """

    def __init__(self, settings: IngestSettings = DEFAULTS, full_depth: bool = False) -> None:
        self._settings = settings
        self._full_depth = full_depth
        self._workers: dict[int, _Worker] = {}

    def __enter__(self) -> Self:
        self._worker().start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Sandbox], tuple[IngestSettings, bool]]:
        return Sandbox, (self._settings, self._full_depth)

    def read(self, path: Path) -> Mammogram:
        """The file as a mammogram.

        Raises:
            UnreadableImage: as `read_mammogram`, or TIMEOUT, OUT_OF_MEMORY, WORKER_CRASHED.
            RefusedImage: as `read_mammogram`.
            MedprotoError: no worker can be started.
        """
        return self._worker().read(path)

    def close(self) -> None:
        """End the worker; the next `read` would start another."""
        self._worker().stop()

    def _worker(self) -> _Worker:
        """The worker of this process: one that came along in a fork belongs to the parent."""
        worker = self._workers.get(os.getpid())
        if worker is None:
            worker = self._workers.setdefault(os.getpid(), _Worker(self._settings, self._full_depth))
            weakref.finalize(self, worker.stop)
        return worker


class _Died(Exception):
    """The worker's output ended, or is not what a worker writes."""


class _Worker:
    """One worker process at a time, started when it is needed."""

    def __init__(self, settings: IngestSettings, full_depth: bool) -> None:
        self._settings = settings
        self._full_depth = full_depth
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> subprocess.Popen[bytes]:
        """The process, started where there is none, perhaps not ready yet."""
        with self._lock:
            if self._process is None:
                self._process = _popen()
                self._ready = False
            return self._process

    def stop(self) -> None:
        """End the process and collect it."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.kill()
                process.communicate()

    def read(self, path: Path) -> Mammogram:
        """One file, within the limits; a process that did not keep them is ended."""
        with self._lock:
            process = self._started()
            deadline = time.monotonic() + self._settings.file_seconds
            try:
                _send(process, json.dumps(os.fspath(path.absolute())))
                return self._answer(process, deadline)
            except (UnreadableImage, RefusedImage):
                raise
            except TimeoutError:
                self.stop()
                raise unreadable("TIMEOUT", f"{self._settings.file_seconds:g}") from None
            except (_Died, OSError) as err:
                raise unreadable("WORKER_CRASHED", self._end(process, err)) from None
            except BaseException:
                # an answer that nobody waits for must not be taken for the next file's
                self.stop()
                raise

    def _started(self) -> subprocess.Popen[bytes]:
        """The process, ready for a file."""
        if self._process is not None and self._process.poll() is not None:
            # it ended between two files, by the fault of neither
            self.stop()
        process = self.start()
        if self._ready:
            return process
        try:
            _send(process, self._settings.model_dump_json())
            _send(process, json.dumps(self._full_depth))
            self._ready = _receive(process, len(READY), time.monotonic() + STARTUP_S) == READY
        except (TimeoutError, _Died, OSError):
            self._ready = False
        if not self._ready:
            self.stop()
            end = f"got exit status {process.returncode}, expected it to be ready within {STARTUP_S:g} s"
            raise MedprotoError(f"The process that reads untrusted files did not start: {end}.")
        return process

    def _answer(self, process: subprocess.Popen[bytes], deadline: float) -> Mammogram:
        """The mammogram that the worker answers with, or the error."""
        reply = _reply(process, deadline)
        if reply.outcome == "refused":
            raise RefusedImage(reply.findings)
        if reply.outcome == "unreadable":
            raise UnreadableImage(reply.findings[0].sentence, reply.findings[0].code)
        if reply.rows * reply.columns > self._settings.max_pixels:
            raise _Died("it answers with too large a picture")
        size = reply.rows * reply.columns
        pixels = np.frombuffer(_receive(process, 4 * size, deadline), "<f4").reshape(reply.rows, reply.columns)
        packed = np.frombuffer(_receive(process, (size + 7) // 8, deadline), np.uint8)
        if not (pixels.min() >= 0.0 and pixels.max() <= 1.0):
            raise _Died("it answers with values beyond black and white")
        breast = np.unpackbits(packed, count=size).view(np.bool_).reshape(pixels.shape)
        samples = None
        if self._full_depth:
            samples = np.frombuffer(_receive(process, 2 * size, deadline), "<u2").reshape(pixels.shape)
        facts = _facts(reply)
        if (facts["greys"] is None) == self._full_depth:
            raise _Died("its answer is malformed")
        return Mammogram(pixels=pixels, breast=breast, samples=samples, **facts)

    def _end(self, process: subprocess.Popen[bytes], err: Exception) -> str:
        """Why the process gave no answer, in words; it is ended where it did not end by itself."""
        if str(err) and isinstance(err, _Died):
            self.stop()
            return str(err)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        self.stop()
        status = process.returncode
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _popen() -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    # the worker finds the code where this process found it; more threads would only take up address space
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        pipesize=PIPE_BYTES,
        env=environment,
    )


def _send(process: subprocess.Popen[bytes], line: str) -> None:
    """One line, which a pipe has room for."""
    if process.stdin is not None:
        process.stdin.write(line.encode("ascii") + b"\n")


def _receive(process: subprocess.Popen[bytes], count: int, deadline: float) -> bytearray:
    """So many bytes of the worker's output.

    Raises:
        TimeoutError: they did not come in time.
        _Died: the output ended before.
    """
    if process.stdout is None:
        raise _Died
    output = process.stdout.fileno()
    waiting = select.poll()
    waiting.register(output, select.POLLIN)
    buffer = bytearray(count)
    left = memoryview(buffer)
    while left:
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        got = os.readv(output, [left])
        if got == 0:
            raise _Died
        left = left[got:]
    return buffer


def _reply(process: subprocess.Popen[bytes], deadline: float) -> Reply:
    """What the worker says of the file, before any arrays."""
    (length,) = LENGTH.unpack(_receive(process, LENGTH.size, deadline))
    if length > MAX_REPLY_BYTES:
        raise _Died("its answer is too long")
    try:
        return Reply.model_validate_json(_receive(process, length, deadline))
    except ValidationError:
        # the text of a ValidationError repeats the values
        raise _Died("its answer is malformed") from None


def _facts(reply: Reply) -> dict[str, Any]:
    """The fields of a mammogram that are not arrays."""
    try:
        return dict(Facts.model_validate_json(reply.facts))
    except ValidationError:
        raise _Died("its answer is malformed") from None
