"""Exams brought in through the browser: set aside, scored by a process of its own, one import after the other.

The room's own process neither reads an image nor loads a model: `medproto score` does, whose gate reads every file in
a sandbox with limits. What was uploaded is removed when its import ends; a folder of the inbox is only read.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from audit.service import Actor
from medproto.errors import InputError

BUNDLE_VARIABLE: Final = "MEDPROTO_BUNDLE"
INBOX_VARIABLE: Final = "MEDPROTO_INBOX"
#: What one import may hold: against archives that unpack without end.
MOST_FILES: Final = 5_000
MOST_BYTES: Final = 8 * 2**30
_PIECE: Final = 2**20
_ORDER, _PROGRESS, _ENDED, _LOG, _FILES = "order.json", "progress.jsonl", "ended", "log.txt", "files"
# Two models at once would take twice the memory and the same time.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Target:
    """Where imports lie and what scores them."""

    home: Path
    ledger: str | None
    bundle: Path


@dataclass(frozen=True)
class Imported:
    """What became of one import so far.

    Args:
        begun: when it was asked for.
        who: in whose name.
        files: how many files it holds.
        exams: how many exams they are; None before they were looked through.
        entries: the ledger's entries of the exams that are done.
        ended: the exit status of the scoring, None while it waits or runs.
        said: the last line of a scoring that failed.
    """

    begun: datetime
    who: str
    files: int
    exams: int | None
    entries: tuple[int, ...]
    ended: int | None
    said: str


def set_aside(home: Path, uploads: Iterable[tuple[str, BinaryIO]]) -> Path:
    """The folder of a new import with the uploaded files under running numbers: their names may hold a patient's.

    Args:
        home: the room's home.
        uploads: name and content of each; an archive is unpacked, its folders do not matter.

    Raises:
        InputError: an archive cannot be unpacked, or it is more than an import may hold.
    """
    folder = home / "imports" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    (folder / _FILES).mkdir(mode=0o700, parents=True)
    try:
        budget = _Budget(folder / _FILES)
        for name, content in uploads:
            if name.lower().endswith(".zip"):
                _unpack(content, budget)
            else:
                budget.take(content)
        return folder
    except BaseException:
        shutil.rmtree(folder)
        raise


def begin(folder: Path, target: Target, actor: Actor, source: Path | None = None) -> threading.Thread:
    """Score what an import holds, after those that were begun before it.

    Args:
        folder: the import.
        target: where its entries go, and the bundle.
        actor: in whose name.
        source: folder of the inbox to read instead of uploaded files.
    """
    files = folder / _FILES
    told = {"who": actor.name, "files": _count(source or files), "server": os.getpid()}
    (folder / _ORDER).write_text(json.dumps(told), "utf-8")
    command = [sys.executable, "-m", "medproto", "score", str(target.bundle), str(source or files)]
    command += ["--home", str(target.home), "--progress", str(folder / _PROGRESS)]
    command += ["--actor", actor.name, "--role", actor.role]
    command += ["--ledger", target.ledger] if target.ledger else []
    thread = threading.Thread(target=_score, args=(folder, command), daemon=True)
    thread.start()
    return thread


def imports(home: Path, most: int = 8) -> list[Imported]:
    """The newest imports, newest first."""
    folders = sorted((home / "imports").glob("*/" + _ORDER), reverse=True)
    return [_read(path.parent) for path in folders[:most]]


def inbox_folders(inbox: Path) -> list[Path]:
    """Folders that wait in the inbox, by name."""
    return sorted(path for path in inbox.iterdir() if path.is_dir() and not path.name.startswith("."))


class _Budget:
    """Numbers the files of an import and counts their bytes as they are written, whatever an archive claims."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._bytes = folder, 0, 0

    def take(self, content: BinaryIO) -> None:
        """Write one file.

        Raises:
            InputError: it is one too many.
        """
        self._files += 1
        if self._files > MOST_FILES:
            raise InputError(f"import: got more than {MOST_FILES} files, expected fewer; bring them in parts")
        with (self._folder / f"{self._files:06d}.dcm").open("wb") as file:
            while piece := content.read(_PIECE):
                self._bytes += len(piece)
                if self._bytes > MOST_BYTES:
                    raise InputError(f"import: got more than {MOST_BYTES >> 30} GB, expected less; bring it in parts")
                file.write(piece)


def _unpack(content: BinaryIO, budget: _Budget) -> None:
    try:
        with zipfile.ZipFile(content) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    with archive.open(member) as file:
                        budget.take(file)  # type: ignore[arg-type] # an IO[bytes] that can be read
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as err:
        # RuntimeError: it is encrypted; its text would name the member.
        raise InputError("import: got a zip that cannot be unpacked, expected one without a password") from err


def _score(folder: Path, command: Sequence[str]) -> None:
    """Run the scoring and write down how it ended; the uploaded files go whatever happened."""
    status = 1
    try:
        with _ONE_AT_A_TIME, (folder / _LOG).open("wb") as log:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode
    finally:
        shutil.rmtree(folder / _FILES, ignore_errors=True)
        (folder / _ENDED).write_text(str(status), "utf-8")


def _read(folder: Path) -> Imported:
    order = json.loads((folder / _ORDER).read_text("utf-8"))
    steps = [json.loads(line) for line in _lines(folder / _PROGRESS)]
    ended = int((folder / _ENDED).read_text("utf-8")) if (folder / _ENDED).exists() else None
    said = "".join(_lines(folder / _LOG)[-1:]) if ended not in (None, 0, 3) else ""
    exams = next((step["exams"] for step in steps if "exams" in step), None)
    entries = tuple(step["entry"] for step in steps if "entry" in step)
    if ended is None and order["server"] != os.getpid():
        shutil.rmtree(folder / _FILES, ignore_errors=True)
        ended = 0 if len(entries) == exams else 1
        said = "The server was stopped before this import ended: bring what is missing in again." if ended else ""
    return Imported(
        begun=datetime.strptime(folder.name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC),
        who=order["who"],
        files=order["files"],
        exams=exams,
        entries=entries,
        ended=ended,
        said=said,
    )


def _lines(path: Path) -> list[str]:
    """Whole lines of a file that may still be written; none where there is no file yet."""
    return path.read_text("utf-8", "replace").split("\n")[:-1] if path.exists() else []


def _count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))
