"""An evaluation as a Markdown table."""

from __future__ import annotations

from medproto.evaluation.run import Evaluation


def table(result: Evaluation) -> str:
    """What was measured, one row each, with 95 % intervals."""
    rows = [(f"AUROC, {name}", str(interval)) for name, interval in result.auroc.items()]
    rows += [
        ("sensitivity at the operating point", str(result.sensitivity)),
        ("specificity at the operating point", str(result.specificity)),
        ("prototypes / distinct training patches", f"{result.prototypes} / {result.distinct_prototypes}"),
        ("exams marked unlike the training data", str(result.unlike_training)),
    ]
    if result.top1_in_lesion is not None and result.random_in_lesion is not None:
        rows += [
            ("top-1 patch of a positive exam has its centre in the lesion", str(result.top1_in_lesion)),
            ("the same for a random in-breast patch", f"{result.random_in_lesion:.3f}"),
        ]
    head = (
        f"{result.exams} exams of {result.patients} patients ({result.positives} positive, {result.images} images), "
        f"split {result.split!r}"
    )
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join([head, "", "| measure | value (95 % interval) |", "|---|---|", *lines])
