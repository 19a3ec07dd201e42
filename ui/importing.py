"""Exams brought in through the browser: set aside, scored by a process of its own, one import after the other.

The room's own process neither reads an image nor loads a model: `ui.scoring_line` has it done, in a process whose gate
reads every file in a sandbox with limits. What was uploaded is removed when all of it was looked at; of an import that
ended early it stays, to be scored further or removed. A folder of the inbox is only read.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO, Final

from audit.service import Actor
from medproto.errors import InputError
from medproto.import_step import STEP_FILE, ImportStep
from ui.scoring_line import Job, Target, hold, is_held, line
from ui.unpacking import unpack

BUNDLE_VARIABLE: Final = "MEDPROTO_BUNDLE"
INBOX_VARIABLE: Final = "MEDPROTO_INBOX"
#: What one import may hold: against archives that unpack without end.
MOST_FILES: Final = 5_000
MOST_BYTES: Final = 8 * 2**30
#: What an import leaves free on the disk, where the ledger may be too.
LEFT_FREE_BYTES: Final = 2**30
_PIECE: Final = 2**20
#: Longer than any upload takes to be set aside.
_CUT_OFF_S: Final = 24 * 3600.0
_ORDER, _PROGRESS, _ENDED, _LOG, _FILES = "order.json", "progress.jsonl", "ended", "log.txt", "files"
#: Exit statuses of an import that was looked at to its end: all scored, or something refused.
_WHOLE: Final = (0, 3)
_LEFT: Final = "the server was stopped before this import ended"


@dataclass(frozen=True)
class Imported:
    """What became of one import so far.

    Args:
        folder: the import.
        begun: when it was asked for.
        who: in whose name.
        files: how many files it holds.
        exams: how many exams they are; None before they were looked through.
        passed_over: how many files of a folder are no DICOM images by name and content.
        entries: the ledger's entries of the exams that are done.
        ended: the exit status of the scoring, None while it waits or runs.
        said: why it ended early; empty otherwise.
        kept: whether its uploaded files are still there, though it ended.
        ahead: how many imports come before it.
        step: where it stands with the exam at hand; None before the first, and once it ended.
    """

    folder: Path
    begun: datetime
    who: str
    files: int
    exams: int | None
    passed_over: int
    entries: tuple[int, ...]
    ended: int | None
    said: str
    kept: bool
    ahead: int = 0
    step: ImportStep | None = None


def set_aside(home: Path, uploads: Iterable[tuple[str, BinaryIO]]) -> Path:
    """The folder of a new import with the uploaded files under running numbers: their names may hold a patient's.

    Args:
        home: the room's home.
        uploads: name and content of each; an archive is unpacked, its folders do not matter.

    Raises:
        InputError: an archive cannot be unpacked, it is more than an import may hold, or the disk does not take it.
    """
    _forget_cut_off(home)
    folder = home / "imports" / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}"
    try:
        (folder / _FILES).mkdir(mode=0o700, parents=True)
        budget = _Budget(folder / _FILES)
        for name, content in uploads:
            if name.lower().endswith(".zip"):
                unpack(content, budget.take)
            else:
                budget.take(content)
        return folder
    except BaseException as err:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(err, OSError):
            raise InputError(f"import: the server cannot keep these files ({err.strerror})") from err
        raise


def begin(folder: Path, target: Target, actor: Actor, source: Path | None = None) -> threading.Event:
    """Score what an import holds, after those that were begun before it; the event is set when it ended.

    Args:
        folder: the import.
        target: where its entries go, and the bundle.
        actor: in whose name.
        source: folder of the inbox to read instead of uploaded files.
    """
    told = {"who": actor.name, "files": _count(source or folder / _FILES), "inbox": source is not None}
    fresh = folder / f".{_ORDER}"
    fresh.write_text(json.dumps(told), "utf-8")
    # Held before it is seen: nobody is to take it for one that was left behind.
    held = hold(fresh)
    os.replace(fresh, folder / _ORDER)
    return _put(folder, target, actor, source or folder / _FILES, held)


def go_on(one: Imported, target: Target, actor: Actor) -> threading.Event:
    """Score the exams of an import that ended early and are left.

    Raises:
        InputError: somebody else has it scored already, or its files are gone.
    """
    held = hold(one.folder / _ORDER)
    if held is None or not (one.folder / _FILES).is_dir():
        if held is not None:
            os.close(held)
        raise InputError("import: its files were removed, or it is being scored again already")
    (one.folder / _ENDED).unlink(missing_ok=True)
    return _put(one.folder, target, actor, one.folder / _FILES, held)


def remove_files(one: Imported) -> None:
    """Remove what was uploaded of an import that ended early; its results stay.

    Raises:
        InputError: it is being scored again.
    """
    held = hold(one.folder / _ORDER)
    if held is None:
        raise InputError("import: it is being scored again, and needs its files")
    shutil.rmtree(one.folder / _FILES, ignore_errors=True)
    os.close(held)


def imports(home: Path, most: int = 8) -> list[Imported]:
    """The newest imports, newest first, and after them whatever older ones wait or still keep files."""
    waiting, folders = waits(home), _folders(home)
    older = [folder for folder in folders[:-most] if folder in waiting or (folder / _FILES).is_dir()]
    newest = [_read(folder) for folder in reversed([*older, *folders[-most:]])]
    return [replace(one, ahead=waiting.index(one.folder) if one.folder in waiting else 0) for one in newest]


def waits(home: Path) -> list[Path]:
    """The imports that wait or run, in the order in which they are scored."""
    waiting = [folder for folder in _folders(home) if not (folder / _ENDED).exists() and is_held(folder / _ORDER)]
    return sorted(waiting, key=lambda folder: (folder / _ORDER).stat().st_mtime_ns)


def inbox_folders(inbox: Path) -> list[Path]:
    """Folders that wait in the inbox, by name."""
    return sorted(path for path in inbox.iterdir() if path.is_dir() and not path.name.startswith("."))


class _Budget:
    """Numbers the files of an import and counts their bytes as they are written, whatever an archive claims."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._bytes = folder, 0, 0

    def take(self, content: IO[bytes]) -> None:
        """Write one file.

        Raises:
            InputError: it is one too many, or there is too little room on the disk.
        """
        self._files += 1
        if self._files > MOST_FILES:
            raise InputError(f"import: got more than {MOST_FILES} files, expected fewer; bring them in parts")
        with (self._folder / f"{self._files:06d}.dcm").open("wb") as file:
            while piece := content.read(_PIECE):
                self._bytes += len(piece)
                if self._bytes > MOST_BYTES:
                    raise InputError(f"import: got more than {MOST_BYTES >> 30} GB, expected less; bring it in parts")
                if shutil.disk_usage(self._folder).free < LEFT_FREE_BYTES:
                    raise InputError("import: the server's disk is nearly full; tell who runs this room")
                file.write(piece)


def _put(folder: Path, target: Target, actor: Actor, source: Path, held: int | None) -> threading.Event:
    if held is None:
        raise InputError("import: it is being scored already")
    order = {
        "source": str(source),
        "progress": str(folder / _PROGRESS),
        "actor": actor.name,
        "role": actor.role,
        "done": len(_entries(folder)),
    }
    (folder / STEP_FILE).unlink(missing_ok=True)
    now = time.time_ns()
    os.utime(folder / _ORDER, ns=(now, now))  # its place in the line, as `waits` sorts it
    job = Job(folder, target, order, held)
    line().put(job)
    return job.done


def _folders(home: Path) -> list[Path]:
    return [path.parent for path in sorted((home / "imports").glob("*/" + _ORDER))]


def _forget_cut_off(home: Path) -> None:
    """Remove what was being set aside when a server died, and was never begun: nobody could ask for it any more."""
    for folder in (home / "imports").glob("*/"):
        if not (folder / _ORDER).exists() and time.time() - folder.stat().st_mtime > _CUT_OFF_S:
            shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> Imported:
    # In this order: what ends lets go of its order only after it has written how it ended.
    held = is_held(folder / _ORDER)
    ended = int((folder / _ENDED).read_text("utf-8")) if (folder / _ENDED).exists() else None
    order = json.loads((folder / _ORDER).read_text("utf-8"))
    found = next((step for step in reversed(_steps(folder)) if "exams" in step), {})
    entries = _entries(folder)
    said = "".join(_lines(folder / _LOG)[-1:]) if ended not in (None, *_WHOLE) else ""
    if ended is None and not held:
        ended = 0 if len(entries) == found.get("exams") else 1
        said = _LEFT if ended else ""
    return Imported(
        folder=folder,
        begun=datetime.strptime(folder.name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC),
        who=order["who"],
        files=order["files"],
        exams=found.get("exams"),
        passed_over=found.get("passed_over", 0),
        entries=entries,
        ended=ended,
        said=said,
        kept=ended is not None and (folder / _FILES).is_dir(),
        step=ImportStep.from_file(folder / STEP_FILE) if ended is None else None,
    )


def _entries(folder: Path) -> tuple[int, ...]:
    return tuple(step["entry"] for step in _steps(folder) if "entry" in step)


def _steps(folder: Path) -> list[dict[str, int]]:
    return [json.loads(said) for said in _lines(folder / _PROGRESS)]


def _lines(path: Path) -> list[str]:
    """Whole lines of a file that may still be written; none where there is no file yet."""
    return path.read_text("utf-8", "replace").split("\n")[:-1] if path.exists() else []


def _count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))
