"""stub"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: which guarantee it breaks, in which entry, in one sentence that names the entry."""

    guarantee: int
    entry: int | None
    sentence: str


@dataclass(frozen=True)
class Guarantee:
    """One numbered guarantee and whether it holds."""

    number: int
    sentence: str
    status: Literal["holds", "broken", "not checked"]


@dataclass(frozen=True)
class Verification:
    """Result of a verification: what holds, what does not, what is to be noticed, and what it cannot see."""

    size: int
    root: str
    checkpoints: int
    guarantees: tuple[Guarantee, ...]
    faults: tuple[Fault, ...]
    notices: tuple[str, ...]
    blind_spots: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Whether no fault was found."""
        return not self.faults
