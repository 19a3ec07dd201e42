"""A model card after Mitchell et al. 2019, "Model cards for model reporting": what a bundle is and how well it does.

Every figure stems from the bundle or from an evaluation of this bundle; what neither holds is said to be missing.
"""

from __future__ import annotations

from medproto.bundle import Bundle
from medproto.card.evaluation import Evaluated
from medproto.card.limits import limits
from medproto.card.model import (
    exclusions,
    gallery,
    intended_use,
    model_details,
    privacy,
    software,
    training,
    training_data,
)
from medproto.card.records import Card, Section, Words
from medproto.card.results import evaluation_data, results

RESEARCH_ONLY = "For research only. Not a medical device, not for diagnosis."
SYNTHETIC = "SYNTHETIC training images: no patient is shown"


def make_card(bundle: Bundle, evaluated: Evaluated | None) -> Card:
    """The card of a bundle.

    Args:
        evaluated: of this bundle, as `read_evaluation` sees to it.

    Raises:
        BundleError: the bundle does not hold the settings of its training.
        InputError: something in the evaluation is not what its key says.
    """
    manifest = bundle.manifest
    found = evaluated.measured if evaluated else None
    measured = (
        (evaluation_data(evaluated, manifest), *results(evaluated.measured, manifest)) if evaluated else _none(bundle)
    )
    return Card(
        title=f"Model card of {manifest.name}",
        banners=(RESEARCH_ONLY, *((SYNTHETIC,) if manifest.synthetic else ())),
        sections=(
            model_details(bundle),
            intended_use(),
            limits(bundle, found),
            *measured,
            training_data(manifest),
            exclusions(manifest),
            training(manifest),
            privacy(manifest),
            software(manifest),
            gallery(bundle),
        ),
    )


def _none(bundle: Bundle) -> tuple[Section, ...]:
    """What stands in place of results; the figure of validation exams is named as such."""
    parts = [Words("Not measured: no evaluation was given. The command evaluate with --out makes one.", True)]
    figures = bundle.manifest.metrics
    if "validation_auroc" in figures:
        exams = f"{figures['validation_exams']:.0f} " if "validation_exams" in figures else ""
        parts.append(
            Words(
                f"On the {exams}validation exams, on which choices were made, the AUROC is "
                f"{figures['validation_auroc']:.3f}; that is no estimate of how it does on others."
            )
        )
    return (Section("Results", tuple(parts)),)
