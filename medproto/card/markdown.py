"""A model card as Markdown, with its pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medproto.card.records import Card, Gallery, Items, Part, Section, Table, Words

#: Folder of the pictures, beside the Markdown.
PICTURES = "prototypes"
#: What Markdown or HTML would read as markup; an underscore within a word is none.
_MARKUP = re.compile(r"([\\`*\[\]<>|~#&]|(?<!\w)_|_(?!\w))")


def markdown(card: Card) -> str:
    """The whole card as GitHub-flavoured Markdown; text of the bundle cannot become markup."""
    head = [f"# {escaped(card.title)}", *(f"**{escaped(banner)}**" for banner in card.banners)]
    return "\n\n".join([*head, *(_section(section) for section in card.sections)]) + "\n"


def picture_path(name: str) -> str:
    """Where the Markdown looks for a picture."""
    return f"{PICTURES}/{name}.png"


def escaped(text: str) -> str:
    """Text on one line that is shown as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _section(section: Section) -> str:
    return "\n\n".join([f"## {escaped(section.title)}", *map(_part, section.parts)])


def _part(part: Part) -> str:
    match part:
        case Words(text, strong):
            return f"**{escaped(text)}**" if strong else escaped(text)
        case Items(lines):
            return "\n".join(f"- {escaped(line)}" for line in lines)
        case Table(head, rows):
            return _table(head, [[escaped(cell) for cell in row] for row in rows])
        case Gallery(pictures):
            head = ("patch", *(name for name, _ in pictures[0].facts)) if pictures else ("patch",)
            shown = [f"![{escaped(one.shows)}]({picture_path(one.name)})" for one in pictures]
            facts = [[escaped(value) for _, value in one.facts] for one in pictures]
            return _table(head, [[image, *cells] for image, cells in zip(shown, facts, strict=True)])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [[escaped(cell) for cell in head], ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
