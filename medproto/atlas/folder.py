"""A global analysis on disk: `index.html`, `sheet.png` and `prototypes.json` in one folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from medproto import pictures
from medproto.atlas.page import page
from medproto.atlas.records import Atlas
from medproto.atlas.sheet import sheet
from medproto.errors import InputError

PAGE, SHEET, RECORD = "index.html", "sheet.png", "prototypes.json"


def check_folder(folder: Path) -> None:
    """That nothing would be lost if this folder were written anew.

    Raises:
        InputError: it is a file, or holds anything but what an earlier analysis wrote.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {PAGE, SHEET, RECORD}:
        raise InputError("html: got a place that holds something else, expected a new folder or one written before")


def write_folder(folder: Path, atlas: Atlas, shown: Mapping[str, bytes]) -> None:
    """Write the folder whole or not at all; one written before is replaced.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    check_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".prototypes-", dir=folder.parent))
        try:
            (draft / PAGE).write_text(page(atlas, shown), encoding="utf-8")
            (draft / SHEET).write_bytes(pictures.png(sheet(atlas, shown)))
            (draft / RECORD).write_text(atlas.model_dump_json(indent=1), encoding="utf-8")
            os.chmod(draft, 0o755)
            if folder.exists():
                shutil.rmtree(folder)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as err:
        raise InputError(f"html: it cannot be written ({(err.strerror or 'input/output error').lower()})") from err
