"""The model card in short: what scored the exam, from which data it was made, how well it did, and what it is for.

All of it stands in entries of the same ledger, each named by its number; what was not registered by then is said to be
missing. The whole card is what `medproto card` writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError
from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from audit.payloads import BundleRegistered, DatasetRegistered, EvaluationRun, TrainingRun
from audit.report_layout import SMALL, WIDTH, Cell, section, table, words
from audit.report_words import likeness_words, operating_words, probability_words
from medproto.errors import ReportError
from medproto.intended_use import INTENDED, LIMITS, NOT_INTENDED
from medproto.records import Prediction, Record
from medproto.summary import has_score, number

if TYPE_CHECKING:
    from audit.report_standing import Origin, Proved, Standing

_Payload = TypeVar("_Payload", bound=Record)
_LABELS: Final = 48 * mm
#: Figures of an evaluation in the order printed, by their path in its results.
_FIGURES: Final = (
    (("auroc", "exam"), "AUROC of exams"),
    (("auroc", "image"), "AUROC of single images"),
    (("sensitivity",), "sensitivity at the operating point"),
    (("specificity",), "specificity at the operating point"),
    (("top1_in_lesion",), "strongest patch of a positive exam lies in the marked finding"),
    (("random_in_lesion",), "the same of a random patch of the breast"),
    (("unlike_training",), "exams marked unlike the training data"),
)


def model(standing: Standing, prediction: Prediction) -> list[Flowable]:
    """How this exam was scored, then the model's card in short."""
    rows: list[list[Cell]] = [["Likeness to the training data", likeness_words(prediction)]]
    rows.append(["Operating point", operating_words(prediction)])
    if has_score(prediction):
        rows.append(["Calibrated probability", probability_words(prediction)])
        logits = ", ".join(f"{name} {number(value)}" for name, value in prediction.logits.items())
        rows.append(["Logits", logits])
    rows.append(["Software", ", ".join(f"{name} {version}" for name, version in sorted(prediction.software.items()))])
    return [
        *section("How this exam was scored", "", [table(rows, [_LABELS, WIDTH - _LABELS], header=False)]),
        *_card(standing.origin, prediction),
    ]


def _card(origin: Origin, prediction: Prediction) -> list[Flowable]:
    bundle = _read(origin.bundle, BundleRegistered)
    rows: list[list[Cell]] = [
        ["Intended use", f"{INTENDED} {NOT_INTENDED}"],
        ["Model", f"{prediction.bundle_name}; classes {_classes(prediction)}"],
        ["Bundle", prediction.bundle_id],
        ["Prototypes", _prototypes(prediction)],
        ["Trained on", _data(origin)],
        ["Licence of the training pictures", prediction.data_licence],
        ["Training run", _training(origin)],
        ["Measured while training", _metrics(bundle, origin)],
        ["Measured on patients it never saw", _evaluation(origin)],
        ["Limits", [words(limit, SMALL) for limit in LIMITS]],
    ]
    listed = table(rows, [_LABELS, WIDTH - _LABELS], header=False)
    return section("Model card, in short", "As registered in this ledger by then; numbers name entries.", [listed])


def _classes(prediction: Prediction) -> str:
    named = [f"“{name}”" + (" (positive)" if name == prediction.positive_class else "") for name in prediction.classes]
    return ", ".join(named)


def _prototypes(prediction: Prediction) -> str:
    counts = Counter(match.prototype_class for match in prediction.matches)
    return ", ".join(f"{count} of “{name}”" for name, count in sorted(counts.items()))


def _data(origin: Origin) -> str:
    dataset = _read(origin.dataset, DatasetRegistered)
    if dataset is None:
        return "Not registered in this ledger."
    return (
        f"{dataset.name}: {dataset.images} images of {dataset.patients} patients, {dataset.licence}; manifest "
        f"{dataset.manifest_digest[:16]}… ({_named(origin.dataset)})"
    )


def _training(origin: Origin) -> str:
    run = _read(origin.training, TrainingRun)
    if run is None:
        return "Not registered in this ledger."
    seeds = ", ".join(f"{name} {seed}" for name, seed in sorted(run.seeds.items()))
    return f"code {run.code_version}; seeds: {seeds or 'none'} ({_named(origin.training)})"


def _metrics(bundle: BundleRegistered | None, origin: Origin) -> str:
    if bundle is None:
        return "The bundle was not registered in this ledger."
    said = [f"{name.replace('_', ' ')} {_figure(value)}" for name, value in sorted(bundle.metrics.items())]
    return f"{', '.join(said) or 'nothing'} ({_named(origin.bundle)})"


def _evaluation(origin: Origin) -> Cell:
    run = _read(origin.evaluation, EvaluationRun)
    if run is None:
        return "No evaluation of this bundle was registered in this ledger."
    counts = [f"{run.results[key]} {key}" for key in ("patients", "exams", "images") if key in run.results]
    positives = f", {run.results['positives']} exams positive" if "positives" in run.results else ""
    head = f"{', '.join(counts)}{positives}; manifest {run.manifest_digest[:16]}… ({_named(origin.evaluation)})"
    figures = [f"{label}: {said}" for path, label in _FIGURES if (said := _measured(_at(run.results, path)))]
    return [words(line, SMALL) for line in (head, *figures)]


def _at(results: Mapping[str, Any], path: tuple[str, ...]) -> object:
    found: object = results
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _measured(value: object) -> str:
    """A figure with its 95 % interval where it has one; empty where there is none."""
    if isinstance(value, Mapping):
        low, middle, high = (_measured(value.get(key)) for key in ("low", "value", "high"))
        return f"{middle} (95 % interval {low} to {high})" if low and middle and high else middle
    return _figure(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _figure(value: float) -> str:
    return number(value, 0) if value > 1 and float(value).is_integer() else number(value)


def _read(proved: Proved | None, record: type[_Payload]) -> _Payload | None:
    if proved is None:
        return None
    try:
        return record.model_validate(proved.entry.payload)
    except ValidationError as err:
        raise ReportError(f"entry {proved.entry.number}: got another payload, expected a {record.__name__}") from err


def _named(proved: Proved | None) -> str:
    return f"entry\N{NO-BREAK SPACE}{proved.entry.number}" if proved else ""
