"""Limits of one model, found in its bundle and its evaluation, beside those that all models share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medproto.bundle import Bundle, BundleManifest
from medproto.card.evaluation import Measured
from medproto.card.evidence import SUSPECTED, UNTOLD
from medproto.card.records import NOT_DEFINED, NOT_MEASURED, Items, Part, Section, Table, Words
from medproto.evaluation.classification import Interval
from medproto.intended_use import LIMITS

#: Cases with and without the finding that an evaluation should have (Collins, Ogundimu and Altman 2016).
ENOUGH = 100
#: An interval of the AUROC that is wider says little.
WIDEST = 0.2
#: A prototype whose weight on the margin is smaller counts for nothing.
IDLE = 1e-6
#: A prototype whose squared distance to its patch is larger is not the patch that is shown.
PROJECTED = 1e-6


@dataclass(frozen=True)
class Level:
    """Where a measure should lie, and by which keys the evaluation has it."""

    name: str
    keys: tuple[str, ...]
    least: float
    most: float = float("inf")

    @property
    def asked(self) -> str:
        """Where it should lie, in words."""
        return f"{self.least:g} or more" if self.most == float("inf") else f"{self.least:g} to {self.most:g}"

    def verdict(self, found: Interval) -> str:
        """Met or not where the whole interval says so; where it holds both, the cases are too few to tell."""
        if self.least <= found.low and found.high <= self.most:
            return _MET
        return _MISSED if found.high < self.least or found.low > self.most else _OPEN


_MET, _MISSED, _OPEN = "met", "not met", "open: the interval holds both"
_MEASURES = {
    "calibration": "calibration",
    "abstention": "abstention",
    "quality": "prototype quality",
    "blanking": "blanking of the boxes",
    "shortcut": "shortcuts",
    "strangers": "exams from elsewhere",
    "beside": "other models on the same exams",
}
_STABILITY = ("quality", "stability")
_LEVELS = (
    Level("strongest patch of a positive exam in the marked finding", ("top1_in_lesion",), 0.95),
    Level("prototypes whose patch is no other's", ("quality", "coherence", "distinct"), 1),
    Level("calibration slope", ("calibration", "slope"), 0.8, 1.25),
)


def limits(bundle: Bundle, found: Measured | None) -> Section:
    """What is known to be wrong or unknown of this model, then what holds for all."""
    manifest = bundle.manifest
    own = [*_of_bundle(bundle), *(_of_evaluation(found, manifest) if found else (_NO_EVALUATION,))]
    parts: list[Part] = [Words("Found in this bundle and its evaluation:"), Items(tuple(own))]
    if found:
        rows = tuple(_judged(level, found) for level in _levels(found))
        parts += [Words("What is asked for:"), Table(("measure", "asked", "measured", "verdict"), rows)]
    parts += [Words("Of every model of medproto:"), Items(LIMITS)]
    return Section("Limits", tuple(parts))


_NO_EVALUATION = "No evaluation was given: how good the model is on patients it never saw is not said here."


def _of_bundle(bundle: Bundle) -> Iterator[str]:
    manifest = bundle.manifest
    if manifest.synthetic:
        yield "Training images are SYNTHETIC: nothing here says how the model does on exams of patients."
    if manifest.data is None:
        yield "How many images of which kind the model was trained on is not recorded."
    exams = manifest.metrics.get("validation_exams")
    if exams is not None and exams < 2 * ENOUGH:
        yield (
            f"Operating point, probabilities and the threshold of unlikeness were chosen on {exams:.0f} validation "
            f"exams, fewer than {2 * ENOUGH}: others would have chosen others."
        )
    for name in manifest.model.classes:
        if not any(entry.prototype_class == name for entry in manifest.prototypes):
            yield f"Class {name!r} has no prototype: nothing in an exam can speak for it."
    idle = int((bundle.margin_weights.abs() < IDLE).sum())
    if idle:
        yield f"{idle} of {len(manifest.prototypes)} prototypes have no weight on the margin: they count for nothing."
    loose = sum(entry.source.distance > PROJECTED for entry in manifest.prototypes)
    if loose:
        yield f"{loose} of {len(manifest.prototypes)} prototypes are not exactly the patch that is shown."


def _of_evaluation(found: Measured, manifest: BundleManifest) -> Iterator[str]:
    yield from _of_size(found, manifest)
    yield from _of_calibration(found)
    groups = found.parts("subgroups")
    fallen = [_name(group) for group in groups if any("WARNING" in note for note in group.lines("notes"))]
    small = [_name(group) for group in groups if any("too small" in note for note in group.lines("notes"))]
    if fallen:
        yield f"WARNING: the AUROC lies below that of all others in {len(fallen)} subgroups: {', '.join(fallen)}."
    if small:
        yield f"{len(small)} of {len(groups)} subgroups are too small to judge: {', '.join(small)}."
    told = {group.text("field") for group in groups if group.text("value") != "not known"}
    untold = [field for field in ("density", "vendor", "age", "view") if field not in told]
    if untold:
        yield f"Not looked at, for the manifest does not tell it: how the results differ by {', '.join(untold)}."
    strange = found.interval("unlike_training")
    if strange and strange.low > 0.05:
        yield f"More than one exam in twenty is unlike the training data and gets no decision: {strange}."
    abstention = found.part("abstention")
    for curve in abstention.parts("curves") if abstention else ():
        gain = curve.interval("gain")
        if gain and gain.low <= 0:
            yield f"Leaving exams undecided by {curve.text('signal')} is not shown to spare wrong decisions."
    yield from _of_evidence(found)
    for verdict, words in (
        (_MISSED, "Not as asked for"),
        (_OPEN, "Too few cases to tell whether it is as asked for"),
    ):
        names = [level.name for level in _levels(found) if _judged(level, found)[-1] == verdict]
        if names:
            yield f"{words}: {'; '.join(names)}."
    missing = [words for name, words in _MEASURES.items() if not found.content.get(name)]
    if missing:
        yield f"Not measured in this evaluation: {', '.join(missing)}."


def _of_evidence(found: Measured) -> Iterator[str]:
    hit, chance = found.interval("top1_in_lesion"), found.interval("random_in_lesion")
    if hit and chance and hit.low <= chance.value:
        yield f"The strongest patch is not shown to lie in the finding more often than a random one: {hit}."
    blanking, shortcut = found.part("blanking"), found.part("shortcut")
    gain = next((box.interval("gain") for box in blanking.parts("boxes")), None) if blanking else None
    if gain and gain.low <= 0:
        yield f"Blanking the box that is shown is not shown to take more than random boxes do: {gain}."
    verdict = shortcut.text("verdict") if shortcut else ""
    if verdict == SUSPECTED:
        yield "WARNING: a SHORTCUT is suspected: what lies outside the findings counts more than they do."
    if verdict == UNTOLD:
        yield "Whether a shortcut decides cannot be told."
    for one in found.parts("strangers"):
        unlike = one.interval("unlike")
        if unlike and unlike.value < 1:
            yield f"Not all exams of {one.text('name')!r} are marked as unlike the training data: {unlike}."
    for one in found.parts("beside"):
        difference = one.interval("difference")
        if difference and difference.high < 0:
            yield f"{one.text('method')} has a higher AUROC on the same exams, by {-difference.value:.3f}."


def _of_size(found: Measured, manifest: BundleManifest) -> Iterator[str]:
    exams, positives = found.count("exams"), found.count("positives")
    if min(positives, exams - positives) < ENOUGH:
        yield (
            f"Evaluated on {positives} positive and {exams - positives} other exams, fewer than {ENOUGH} of each: the "
            "intervals are wide and do not tell a good model from a middling one."
        )
    if found.text("manifest_digest") == manifest.data_digest:
        yield "Evaluated on other patients of the training's own data set alone; no other site or machine was tried."
    aurocs = found.part("auroc")
    exam = aurocs.interval("exam") if aurocs else None
    if exam and exam.high - exam.low > WIDEST:
        yield f"The AUROC of exams is known to within {exam.high - exam.low:.2f} only: {exam}."
    rows = len(found.lines("left_out"))
    if rows:
        yield f"{rows} rows of the evaluated split were left out."


def _of_calibration(found: Measured) -> Iterator[str]:
    part = found.part("calibration")
    if part is None:
        return
    limits_of_perfect = part.content.get("ece_if_perfect")
    error = part.interval("ece")
    match limits_of_perfect:
        case [_, float(high)] if error and error.value > high:
            perfect = f"of a perfect model at most {high:.3f}"
            yield f"Probabilities are off by more than chance: ECE {error.value:.3f}, {perfect}."


def _levels(found: Measured) -> tuple[Level, ...]:
    """All levels; prototypes should keep their place under every shift by a pixel and under JPEG."""
    part: Measured | None = found
    for key in _STABILITY:
        part = part.part(key) if part else None
    names = [name for name in part.content if "pixel" in name or name.startswith("JPEG")] if part else []
    stable = [Level(f"prototypes in the same place, {name}", (*_STABILITY, name, "same_place"), 0.95) for name in names]
    return (*_LEVELS, *stable)


def _judged(level: Level, found: Measured) -> tuple[str, str, str, str]:
    """The level's name, what is asked, what was measured, and the verdict."""
    part: Measured | None = found
    for key in level.keys[:-1]:
        part = part.part(key) if part else None
    last = level.keys[-1]
    if part is None:
        return level.name, level.asked, NOT_MEASURED, NOT_MEASURED
    value = part.interval(last)
    if value is None:
        return level.name, level.asked, part.figure(last), NOT_DEFINED if last in part else NOT_MEASURED
    return level.name, level.asked, part.figure(last), level.verdict(value)


def _name(group: Measured) -> str:
    return f"{group.text('field')} {group.text('value')}"
