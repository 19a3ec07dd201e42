"""What is most like a prototype among the images of a split: plain frozen records, without torch or numpy."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from medproto.records import Box, Digest, Laterality, Record
from medproto.summary import share

SPLIT_WORDS: Final = {"train": "training", "val": "validation", "test": "test"}


class Share(Record):
    """So many hits of so many cases."""

    hits: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]

    @property
    def value(self) -> float | None:
        """The share; None of no case."""
        return self.hits / self.total if self.total else None


class Neighbour(Record):
    """The patch of one image that is most like a prototype, with the class of that image."""

    image_id: str
    image_class: str
    laterality: Laterality | None
    view: str | None
    similarity: float
    box: Box
    patch: Digest


class Neighbourhood(Record):
    """The images of one split that are most like a prototype, the most alike first, one patch an image.

    The patient whose patch the prototype is does not count: it would praise every prototype for finding itself.

    Args:
        split: `train` or `val`.
        nearest: at least one.
        purity: how many of them show the prototype's class.
        expected: share of that class among all images that could have been neighbours; purity by chance.
    """

    split: str
    nearest: Annotated[tuple[Neighbour, ...], Field(min_length=1)]
    purity: Share
    expected: Annotated[float, Field(ge=0, le=1)]


def purity_words(around: Neighbourhood) -> str:
    """How many of the neighbours are of the prototype's class, such as `4 of 5 of its class, by chance 25 %`."""
    return f"{around.purity.hits} of {around.purity.total} of its class, by chance {share(around.expected)}"


def neighbours_sentence(around: Neighbourhood, prototype_class: str) -> str:
    """The same in full, and whether that makes the prototype a mark of its class."""
    verdict = "" if (around.purity.value or 0.0) > around.expected else ", so it is no mark of its class there"
    return (
        f"Of the {around.purity.total} {SPLIT_WORDS[around.split]} images of other patients that are most like it "
        f"{around.purity.hits} are {prototype_class} ({share(around.expected)} by chance{verdict})."
    )
