"""What became of each file of a folder: kept while the folder is read, so that an interrupted run goes on."""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from medproto.datasets.manifest import ManifestRow
from medproto.records import Record


class LeftOut(Record):
    """A file that is not in the manifest.

    Args:
        number: its place among the files of the folder, from 1; None for a file that the table names and is absent.
        sha256: digest of its bytes.
        codes: reason codes.
        sentence: the reason, without the file's name.
    """

    number: int | None = None
    sha256: str = ""
    codes: str
    sentence: str


class Entry(Record):
    """What became of one file.

    Args:
        mark: digest under the pseudonyms' key of the settings and of the file's name, size and time of change.
        sha256: digest of its bytes.
        row: its row, None where it is left out.
        left_out: why, None where it has a row.
    """

    mark: str
    sha256: str
    row: ManifestRow | None = None
    left_out: LeftOut | None = None


class Journal:
    """Entries by mark, one line of JSON each, written as they come; `done` removes the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries = {entry.mark: entry for entry in _read(path)}
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        # a line that a killed run cut must not swallow the next one
        self._file.write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def get(self, mark: str) -> Entry | None:
        """What is known of a file."""
        return self._entries.get(mark)

    def add(self, entry: Entry) -> Entry:
        """Keep what became of a file; any thread may call it."""
        with self._lock:
            self._file.write(entry.model_dump_json().encode() + b"\n")
            self._file.flush()
        return entry

    def done(self) -> None:
        """The run is complete: nothing is left to go on with."""
        self._path.unlink()


def write_left_out(path: Path, left_out: Iterable[LeftOut]) -> None:
    """Write the list of what is not in the manifest."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["number", "sha256", "codes", "sentence"])
    writer.writerows([one.number, one.sha256, one.codes, one.sentence] for one in left_out)
    path.write_bytes(buffer.getvalue().encode())


def _read(path: Path) -> Iterable[Entry]:
    """Whole entries of a journal; the last one of a killed run may be cut."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield Entry.model_validate_json(line)
        except ValidationError:
            continue
