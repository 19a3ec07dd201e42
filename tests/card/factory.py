"""Cards of the tiny bundle, and readers of what was written."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from medproto.card.evaluation import Evaluated, Measured
from medproto.card.make import make_card
from medproto.card.records import Card, Items, Section, Table, Words
from medproto.cli import app
from tests.factories import Trained


class Page(HTMLParser):
    """Headings, tables as cells, paragraphs and pictures of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.images: list[bytes] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "img":
            self.images.append(b64decode(str(dict(attrs)["src"]).removeprefix("data:image/png;base64,")))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags and self.tags[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data.removesuffix("\n")


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Tables of Markdown as their cells, markup taken back."""
    found = re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    tables = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in found]
    return [[[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in table] for table in tables]


@dataclass(frozen=True)
class Written:
    """A bundle, the JSON of its evaluation, and the folder of the card."""

    trained: Trained
    evaluation: Path
    folder: Path

    def content(self) -> dict[str, Any]:
        """The evaluation's JSON."""
        found: dict[str, Any] = json.loads(self.evaluation.read_text(encoding="utf-8"))
        return found

    def card(self, **changed: object) -> Card:
        """The card with some keys of the evaluation set to other values; those set to `...` are taken away."""
        content = {key: value for key, value in (self.content() | changed).items() if value is not ...}
        return make_card(self.trained.bundle(), Evaluated(Measured(content), "0" * 64))


def run(*arguments: str) -> str:
    """What a command says."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.output.strip()


def edited(trained: Trained, folder: Path, **changed: object) -> Path:
    """A copy of the bundle whose manifest has other values; those set to `...` are taken away."""
    shutil.copytree(trained.bundle_path, folder)
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8")) | changed
    content = {key: value for key, value in content.items() if value is not ...}
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def section(card: Card, title: str) -> Section:
    """The card's section of that title."""
    return next(one for one in card.sections if one.title == title)


def words_of(one: Section) -> str:
    """All that stands in a section but in its pictures, a line each."""
    return "\n".join(lines_of(one))


def lines_of(one: Section) -> Iterator[str]:
    for part in one.parts:
        match part:
            case Words(text, _):
                yield text
            case Items(lines):
                yield from lines
            case Table(head, rows):
                yield from (" | ".join(row) for row in (head, *rows))
