"""A global analysis on disk: `index.html`, `sheet.png` and `prototypes.json` in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from medproto import pictures
from medproto.atlas.page import page
from medproto.atlas.records import Atlas
from medproto.atlas.sheet import sheet
from medproto.whole_folder import check_replaceable, drafted, unwritable

PAGE, SHEET, RECORD = "index.html", "sheet.png", "prototypes.json"


def check_folder(folder: Path) -> None:
    """That nothing would be lost if this folder were written anew.

    Raises:
        InputError: it is a file, holds anything but what an earlier analysis wrote, or cannot be looked into.
    """
    check_replaceable(folder, frozenset((PAGE, SHEET, RECORD)), "html")


def write_folder(folder: Path, atlas: Atlas, shown: Mapping[str, bytes]) -> None:
    """Write the folder whole or not at all; one written before is replaced.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    check_folder(folder)
    try:
        with drafted(folder) as draft:
            (draft / PAGE).write_text(page(atlas, shown), encoding="utf-8")
            (draft / SHEET).write_bytes(pictures.png(sheet(atlas, shown)))
            (draft / RECORD).write_text(atlas.model_dump_json(indent=1), encoding="utf-8")
    except OSError as err:
        raise unwritable("html", err) from err
