"""What a global analysis of a bundle holds: one portrait of every prototype, plain frozen records."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medproto.neighbourhood import Neighbourhood, Share
from medproto.records import Digest, PrototypeSource, Record


class Relative(Record):
    """Another prototype and how near it is.

    Args:
        distance: squared L2 between the two latent vectors.
        similarity: what the model would give a patch that is the other prototype.
        twin: whether it is more alike than the last of the neighbouring patches of other patients.
    """

    prototype_id: str
    prototype_class: str
    distance: Annotated[float, Field(ge=0)]
    similarity: float
    twin: bool


class Tilt(Record):
    """How much more alike the images of one group are to a prototype than the other images of the same class.

    Args:
        attribute: manifest column, such as `vendor`.
        group: its value.
        images, patients: of the group.
        difference: of mean similarity; `low` and `high` are its 95 % interval, bootstrap by patient.
        spread: the difference in standard deviations of the similarity over all images.
    """

    attribute: str
    group: str
    images: int
    patients: int
    difference: float
    low: float
    high: float
    spread: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


class Portrait(Record):
    """One prototype: what it is, what is like it, and what it does.

    Args:
        weight: of its similarity on the margin.
        fired_own, fired_others: exams of its own class, and of the others, in which it was among the strongest.
        decided: its share of all contributions, each taken without its sign.
        moved: its share of the margin's variance over exams; the shares of all prototypes add up to 1, and one whose
            contribution is the same in every exam has 0. None where all exams have the same margin.
        same_class, other_classes: the nearest other prototypes.
    """

    prototype_id: str
    prototype_class: str
    weight: float
    source: PrototypeSource
    neighbourhoods: tuple[Neighbourhood, ...]
    fired_own: Share
    fired_others: Share
    decided: Annotated[float, Field(ge=0, le=1)]
    moved: float | None
    same_class: tuple[Relative, ...]
    other_classes: tuple[Relative, ...]
    tilts: tuple[Tilt, ...]

    @property
    def twins(self) -> tuple[Relative, ...]:
        """The prototypes that are hardly another one."""
        return tuple(each for each in (*self.same_class, *self.other_classes) if each.twin)


class Atlas(Record):
    """A bundle's prototypes by class, those that decided most first.

    Args:
        split: where firing, deciding and tilt were measured.
        top: an exam's so many strongest contributions count as firing.
        seen: whether patients whose patches are prototypes are in that split, so that its figures flatter.
        licences: of the images used, as the manifest gives them.
        tilts_tested, tilts_clear: intervals that were computed, and those that leave zero out.
        left_out: rows that could not be used, and why.
    """

    bundle_id: str
    name: str
    manifest_digest: Digest
    data_name: str
    licences: tuple[str, ...]
    synthetic: bool
    classes: tuple[str, ...]
    split: str
    images: int
    exams: int
    patients: int
    top: int
    seen: bool
    tilts_tested: int
    tilts_clear: int
    portraits: Annotated[tuple[Portrait, ...], Field(min_length=1)]
    left_out: tuple[str, ...]

    def of(self, name: str) -> tuple[Portrait, ...]:
        """The portraits of one class."""
        return tuple(portrait for portrait in self.portraits if portrait.prototype_class == name)
