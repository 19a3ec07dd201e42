"""Imports wait in one line for one process, which holds the model for all sessions (`medproto.score_worker`).

The process is started with the first import, goes when this server goes, and is started again for the next import after
it died. Each import that waits or runs is held by a lock on its order, which the system lets go when the server dies.
"""

from __future__ import annotations

import fcntl
import functools
import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

LEDGER_VARIABLE: Final = "MEDPROTO_LEDGER_URL"
_LOG: Final = "scoring.log"
#: Longer than the process that scores takes to go once it was told to.
PATIENCE_S: Final = 32.0
_TRIES, _TRY_S = 10, 0.01


@dataclass(frozen=True)
class Target:
    """Where imports lie and what scores them."""

    home: Path
    ledger: str | None
    bundle: Path


@dataclass(frozen=True)
class Job:
    """One import in the line.

    Args:
        folder: where its `ended` and `log.txt` are written.
        target: where its entries go, and the bundle.
        order: what the process is told of it.
        held: open file whose lock says that this server will see to it.
        done: set when it ended.
    """

    folder: Path
    target: Target
    order: Mapping[str, Any]
    held: int
    done: threading.Event = field(default_factory=threading.Event)


class Scoring:
    """The process for one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, where one runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def ask(self, order: Mapping[str, Any]) -> tuple[int, str]:
        """Have one import scored; exit status, and a sentence where it says more."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = self._started()
        answer = _exchange(self._process, json.dumps(dict(order)).encode() + b"\n")
        if not answer.endswith(b"\n"):
            return 1, f"the process that scores died in this import ({_death(self.close())})"
        told = json.loads(answer)
        if told["goes"]:
            self.close()  # the next import would be asked of a process that no longer listens
        return int(told["status"]), str(told["said"])

    def close(self) -> int:
        """Let the process come to its end; how it did."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.communicate()
        return process.returncode

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "medproto.score_worker", str(self.target.bundle), str(self.target.home)]
        # Not as an argument, which anybody on the machine could read: a URL may hold a password.
        environment = {**os.environ, LEDGER_VARIABLE: self.target.ledger or ""}
        log = os.open(self.target.home / "imports" / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # A session of its own: what interrupts the server at a terminal must not cut an exam short.
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)


class Line:
    """Imports in the order in which they were begun, and the thread that has them scored."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Job] = queue.Queue()
        self._scoring: Scoring | None = None
        self._over, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        threading.Thread(target=self._serve, name="imports", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Of the process that scores, where one runs."""
        return self._scoring.pid if self._scoring is not None else None

    def put(self, job: Job) -> None:
        """Score this import after those before it."""
        self._waiting.put(job)

    def leave(self) -> None:
        """Begin no further import, and wait until the exam at hand is at its end, as the process that scores does.

        In a container all processes end with the server.
        """
        self._over.set()
        pid = self.pid
        if pid is not None and not self._idle.is_set():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            self._idle.wait(PATIENCE_S)

    def _serve(self) -> None:
        while not self._over.is_set():
            job = self._waiting.get()
            self._idle.clear()
            try:
                if self._scoring is None or self._scoring.target != job.target:
                    if self._scoring is not None:
                        self._scoring.close()
                    self._scoring = Scoring(job.target)
                ended(job.folder, *self._scoring.ask(job.order))
            except Exception:
                # One import must not stop the line; without its end it is shown as one that was left behind.
                logging.getLogger(__name__).exception("import")
            finally:
                os.close(job.held)
                job.done.set()
                self._idle.set()


def ended(folder: Path, status: int, said: str) -> None:
    """Write down how an import ended; its uploaded files go when all of them were looked at."""
    if status in (0, 3):
        shutil.rmtree(folder / "files", ignore_errors=True)
    (folder / "log.txt").write_text(f"{said}\n", "utf-8")
    fresh = folder / ".ended"
    fresh.write_text(str(status), "utf-8")
    os.replace(fresh, folder / "ended")


def hold(order: Path) -> int | None:
    """Lock an import's order for this server; None where a server holds it."""
    handle = os.open(order, os.O_RDONLY)
    for _ in range(_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_S)  # somebody may just look whether it is held
        else:
            return handle
    os.close(handle)
    return None


def is_held(order: Path) -> bool:
    """Whether a server that lives will see to this import."""
    handle = os.open(order, os.O_RDONLY)
    try:
        # Shared: two that look at once do not take each other for a server.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@functools.cache
def line() -> Line:
    """The one of this process."""
    return Line()


def leave() -> None:
    """Let the line of this process come to its end, where there is one."""
    if line.cache_info().currsize:
        line().leave()


def _exchange(process: subprocess.Popen[bytes], order: bytes) -> bytes:
    """The line that answers this one; cut short or empty where the process died over it."""
    if process.stdin is None or process.stdout is None:
        return b""
    try:
        process.stdin.write(order)
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    return process.stdout.readline()


def _death(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
