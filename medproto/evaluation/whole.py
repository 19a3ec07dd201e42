"""All that one evaluation measures, as it is written into its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from medproto.errors import TrainingError
from medproto.evaluation.beside import Beside
from medproto.evaluation.blanking import BlankingGain, measure_blanking
from medproto.evaluation.detail import Details, details
from medproto.evaluation.held_out import HeldOut
from medproto.evaluation.kept import Kept, Working
from medproto.evaluation.quality import Quality, measure_quality
from medproto.evaluation.run import Evaluation
from medproto.evaluation.shortcut import Checked, check_shortcut
from medproto.evaluation.strangers import Strangers
from medproto.training.inputs import Progress

BLANKING: TypeAdapter[BlankingGain | None] = TypeAdapter(BlankingGain | None)
SHORTCUT: TypeAdapter[Checked] = TypeAdapter(Checked)


@dataclass(frozen=True)
class Others:
    """What was asked for beside the split itself: exams of other manifests, and scores of other models."""

    strangers: tuple[Strangers, ...] = ()
    beside: tuple[Beside, ...] = ()

    def plain(self) -> dict[str, object]:
        """The same as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Whole:
    """The whole evaluation; `blanking` is None where blanking the breast lowers no exam's similarity."""

    result: Evaluation
    others: Others
    details: Details
    quality: Quality
    blanking: BlankingGain | None
    shortcut: Checked

    def plain(self) -> dict[str, object]:
        """The same as plain values, for JSON; the parts of `result` and `details` stand side by side."""
        rest = {"quality": asdict(self.quality), "blanking": asdict(self.blanking) if self.blanking else None}
        rest["shortcut"] = asdict(self.shortcut.result)
        return self.result.plain() | self.details.plain() | rest | self.others.plain()


def measure_whole(
    held: HeldOut, measured: tuple[Evaluation, Others], kept: Kept, report: Callable[[str], Progress]
) -> Whole:
    """Measure what is not yet; minutes.

    Args:
        report: gives a progress callback for a title.
    """
    result, others = measured
    found = details(held, result.auroc, report("intervals by patient"))
    quality = measure_quality(held.bundle, held.data, held.scored, Working(kept, report("prototype quality")))
    blanking = kept.once("blanking", BLANKING, lambda: _blanking(held, report("blanking boxes")))
    shortcut = kept.once("shortcut", SHORTCUT, lambda: check_shortcut(held, report("shortcut check")))
    return Whole(result, others, found, quality, blanking, shortcut)


def _blanking(held: HeldOut, progress: Progress) -> BlankingGain | None:
    try:
        return measure_blanking(held.bundle, held.data, progress=progress)
    except TrainingError:
        # Every scored split has positive exams: in none of them does blanking the breast lower the similarity.
        return None
