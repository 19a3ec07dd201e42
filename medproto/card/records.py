"""A model card as plain sections, from which both of its renderings are made."""

from __future__ import annotations

from dataclasses import dataclass

#: In place of what neither bundle nor evaluation holds.
NOT_RECORDED = "not recorded"
NOT_MEASURED = "not measured"
NOT_DEFINED = "not defined"


@dataclass(frozen=True)
class Words:
    """One paragraph; a `strong` one must not be overlooked."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of text, each as long as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """One prototype: a name for its file, the PNG, what it shows, and the facts beside it."""

    name: str
    png: bytes
    shows: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Gallery:
    """Pictures whose facts are all of the same names."""

    pictures: tuple[Picture, ...]


Part = Words | Items | Table | Gallery


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Card:
    """The whole card; banners stand above everything."""

    title: str
    banners: tuple[str, ...]
    sections: tuple[Section, ...]

    def pictures(self) -> tuple[Picture, ...]:
        """Every picture, in order."""
        parts = [part for section in self.sections for part in section.parts]
        return tuple(picture for part in parts if isinstance(part, Gallery) for picture in part.pictures)
