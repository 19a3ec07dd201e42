"""A model card on disk: `card.md`, `card.html` and the pictures of the Markdown in one folder."""

from __future__ import annotations

from pathlib import Path

from medproto.card.html import html
from medproto.card.markdown import PICTURES, markdown, picture_path
from medproto.card.records import Card
from medproto.whole_folder import check_replaceable, drafted, unwritable

MARKDOWN, PAGE = "card.md", "card.html"


def check_folder(folder: Path) -> None:
    """That nothing would be lost if this folder were written anew.

    Raises:
        InputError: it is a file, holds anything but what an earlier card wrote, or cannot be looked into.
    """
    check_replaceable(folder, frozenset((MARKDOWN, PAGE, PICTURES)), "out")


def write_card(folder: Path, card: Card) -> None:
    """Write the folder whole or not at all; one written before is replaced.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    check_folder(folder)
    try:
        with drafted(folder) as draft:
            (draft / PICTURES).mkdir()
            for picture in card.pictures():
                (draft / picture_path(picture.name)).write_bytes(picture.png)
            (draft / MARKDOWN).write_text(markdown(card), encoding="utf-8")
            (draft / PAGE).write_text(html(card), encoding="utf-8")
    except OSError as err:
        raise unwritable("out", err) from err
