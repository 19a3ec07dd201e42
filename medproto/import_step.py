"""How far the import at hand is: one small file, replaced after every image that was read, and looked at by pages."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError

from medproto.records import Record

#: Its name, in the folder of the import.
STEP_FILE: Final = "step.json"


class ImportStep(Record):
    """Where an import stands.

    Args:
        exam: number of the exam at hand, from 1.
        read: how many of its images were read, refused ones too; it is being scored once that is `of`.
        of: how many images it has.
        images: how many images of the import were read.
        total: how many images the import has.
    """

    exam: int
    read: int
    of: int
    images: int
    total: int

    @classmethod
    def from_file(cls, file: Path) -> Self | None:
        """The step that was written last; None where there is none."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


class ImportSteps:
    """Writes the steps of one import after the other."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._sizes: Sequence[int] = ()
        self._before: Sequence[int] = ()
        self._exam = self._read = 0

    def begin(self, file: Path, sizes: Sequence[int], done: int) -> None:
        """An import begins, or goes on.

        Args:
            file: where its steps are written.
            sizes: how many images each of its exams has.
            done: how many of its exams were scored before.
        """
        self._file, self._sizes, self._before = file, sizes, [0, *accumulate(sizes)]
        self._exam, self._read = done, 0

    def next_exam(self) -> None:
        """The next exam is at hand, and none of its images was read."""
        self._exam, self._read = self._exam + 1, 0
        self._write()

    def image_read(self) -> None:
        """One more image of the exam at hand was read, or refused."""
        self._read += 1
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        step = ImportStep(
            exam=self._exam,
            read=self._read,
            of=self._sizes[self._exam - 1],
            images=self._before[self._exam - 1] + self._read,
            total=self._before[-1],
        )
        fresh = self._file.with_name(f".{self._file.name}")
        try:
            fresh.write_text(step.model_dump_json(), "utf-8")
            os.replace(fresh, self._file)
        except OSError as err:
            # No exam is lost for want of a bar that moves; a full disk is told of by what must be kept.
            logging.getLogger(__name__).warning("import: how far it is cannot be written (%s)", err.strerror)
