"""The stages of a run in the order they are gone through, cycle after cycle (Chen et al. 2019, section 2.2).

The first cycle goes through all stages of the descent. The published code goes on, after each projection, without its
warm-up: so every later cycle leaves out the first stage, or has it alone where there is no other. Each begins with the
last layer at +1 / -0.5, as the paper's first stage does: weights that stage 3 set to zero would leave their prototypes
without a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

from medproto.training.settings import Stage, TrainSettings


@dataclass(frozen=True)
class Leg:
    """One stage of the descent in one cycle; both are counted from 1, the number throughout a run."""

    number: int
    cycle: int
    stage: Stage
    ends_cycle: bool

    @property
    def title(self) -> str:
        """Name of the stage, with its cycle where it is not the first."""
        return self.stage.name if self.cycle == 1 else f"{self.stage.name}, cycle {self.cycle}"


def legs(settings: TrainSettings) -> tuple[Leg, ...]:
    """Every leg of a run, in order."""
    repeated = settings.stages[1:] or settings.stages
    planned: list[tuple[int, Stage, bool]] = []
    for cycle in range(1, settings.cycles + 1):
        stages = settings.stages if cycle == 1 else repeated
        planned += [(cycle, stage, stage is stages[-1]) for stage in stages]
    return tuple(Leg(number, *leg) for number, leg in enumerate(planned, start=1))
