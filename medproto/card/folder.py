"""A model card on disk: `card.md`, `card.html` and the pictures of the Markdown in one folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from medproto.card.html import html
from medproto.card.markdown import PICTURES, markdown, picture_path
from medproto.card.records import Card
from medproto.errors import InputError

MARKDOWN, PAGE = "card.md", "card.html"


def check_folder(folder: Path) -> None:
    """That nothing would be lost if this folder were written anew.

    Raises:
        InputError: it is a file, holds anything but what an earlier card wrote, or cannot be looked into.
    """
    try:
        foreign = folder.exists() and (
            not folder.is_dir() or bool({path.name for path in folder.iterdir()} - {MARKDOWN, PAGE, PICTURES})
        )
    except OSError as err:
        raise _unwritable(err) from err
    if foreign:
        raise InputError("out: got a place that holds something else, expected a new folder or one written before")


def write_card(folder: Path, card: Card) -> None:
    """Write the folder whole or not at all; one written before is replaced.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    check_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".card-", dir=folder.parent))
        try:
            (draft / PICTURES).mkdir()
            for picture in card.pictures():
                (draft / picture_path(picture.name)).write_bytes(picture.png)
            (draft / MARKDOWN).write_text(markdown(card), encoding="utf-8")
            (draft / PAGE).write_text(html(card), encoding="utf-8")
            os.chmod(draft, 0o755)
            if folder.exists():
                shutil.rmtree(folder)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as err:
        raise _unwritable(err) from err


def _unwritable(err: OSError) -> InputError:
    """One sentence without the path."""
    return InputError(f"out: the folder cannot be written ({(err.strerror or 'input/output error').lower()})")
