"""The reader's words for a prediction: the sentences and numbers that report and screen share.

Pure functions of the record. Screen and PDF take their words from here, so that they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from medproto.records import Box, ImageRecord, Laterality, Prediction, PrototypeMatch, RefusedRecord

RESEARCH_USE: Final = "Research use only, not for primary diagnosis"
SYNTHETIC: Final = "SYNTHETIC DATA: no patient"
SIDES: Final[dict[Laterality, str]] = {"R": "right", "L": "left"}
STANDARD_VIEWS: Final = ("R CC", "L CC", "R MLO", "L MLO")
SEVERITY_WORDS: Final = {"refuse": "Refused", "warn": "Warning", "note": "Note"}
_MINUS: Final = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Evidence:
    """One pictured match under the label that report and screen print beside its box.

    Args:
        label: `1`, `2` ... for what speaks for the positive class, `A`, `B` ... for what speaks against it.
        match: the match itself.
    """

    label: str
    match: PrototypeMatch


def number(value: float, digits: int = 3) -> str:
    """A number with a true minus sign, such as `−0.412`."""
    text = f"{value:.{digits}f}"
    return text.replace("-", _MINUS) if float(text) else text.lstrip("-")


def signed(value: float, digits: int = 3) -> str:
    """A number that always shows its sign, such as `+0.412`; zero has none."""
    text = number(value, digits)
    return f"+{text}" if float(text.replace(_MINUS, "-")) > 0 else text


def percent(value: float) -> str:
    """A share in percent with one decimal, such as `83.2 %`."""
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def box_words(box: Box) -> str:
    """A box as rows and columns of the original image."""
    top, bottom, left, right = (number(edge, 0) for edge in (box.top, box.bottom, box.left, box.right))
    return f"rows {top} to {bottom}, columns {left} to {right}"


def box_numbers(box: Box) -> str:
    """A box as `top–bottom; left–right` for a table whose head names rows and columns."""
    return f"{box.top:.0f}–{box.bottom:.0f}; {box.left:.0f}–{box.right:.0f}"


def side_and_view(laterality: str | None, view: str | None) -> str:
    """Side and view of an image that is known only by name, such as a prototype's source."""
    return f"{laterality or 'side unknown'} {view or 'view unknown'}"


def has_score(prediction: Prediction) -> bool:
    """Whether a score may be shown: never for an exam without a decision."""
    return prediction.decision != "no decision"


def supporting(prediction: Prediction) -> tuple[Evidence, ...]:
    """The pictured matches that raise the margin, strongest first, labelled 1, 2, 3 ..."""
    chosen = [m for m in prediction.matches if m.patch and m.contribution > 0]
    chosen.sort(key=lambda m: -m.contribution)
    return tuple(Evidence(str(i), match) for i, match in enumerate(chosen, start=1))


def opposing(prediction: Prediction) -> tuple[Evidence, ...]:
    """The pictured matches that lower the margin or belong to the other classes, strongest first, labelled A, B ..."""
    chosen = [
        m
        for m in prediction.matches
        if m.patch and (m.contribution < 0 or (m.contribution == 0 and m.prototype_class != prediction.positive_class))
    ]
    chosen.sort(key=lambda m: m.contribution)
    return tuple(Evidence(_letter(i), match) for i, match in enumerate(chosen))


def missing_views(prediction: Prediction) -> tuple[str, ...]:
    """The standard views that the exam lacks, in hanging order."""
    present = {image.title for image in prediction.images}
    return tuple(view for view in STANDARD_VIEWS if view not in present)


def conclusion(prediction: Prediction) -> str:
    """The outcome in plain sentences, built from the record alone."""
    return " ".join(sentence for sentence in (_outcome(prediction), _where(prediction), _views(prediction)) if sentence)


def probability_words(prediction: Prediction) -> str:
    """The calibrated probability with the prevalence it holds at, or why there is none."""
    if prediction.probability is None or not has_score(prediction):
        return "not shown"
    return f"{percent(prediction.probability)} at a prevalence of {percent(prediction.prevalence)}"


def operating_words(prediction: Prediction) -> str:
    """The operating point with its rule and what it gave where it was chosen."""
    point = prediction.operating_point
    return (
        f"margin {number(point.margin)} ({point.rule}; sensitivity {percent(point.sensitivity)}, "
        f"specificity {percent(point.specificity)} where it was chosen)"
    )


def likeness_words(prediction: Prediction) -> str:
    """How far the exam lies from the training data, beside the limit."""
    likeness = prediction.likeness
    verdict = "beyond the limit" if likeness.unlike else "within the limit"
    return f"distance {number(likeness.distance)}, limit {number(likeness.threshold)}: {verdict}"


def finding_rows(prediction: Prediction) -> tuple[tuple[str, str, str, str], ...]:
    """Every gate finding as (severity word, what it is about, sentence, code), the severest first."""
    rows = [(SEVERITY_WORDS[f.severity], "Whole exam", f.sentence, f.code) for f in prediction.findings]
    for image in prediction.images:
        rows += [(SEVERITY_WORDS[f.severity], image.title, f.sentence, f.code) for f in image.findings]
    order = list(SEVERITY_WORDS.values())
    return tuple(sorted(rows, key=lambda row: order.index(row[0])))


def input_words(image: ImageRecord) -> tuple[str, str, str]:
    """Size and spacing, how stored values became pixels, and the size that was scored."""
    spacing = "spacing unknown" if image.spacing_mm is None else f"{image.spacing_mm[0]:g} x {image.spacing_mm[1]:g} mm"
    how = image.rendering
    turns = (("inverted", how.inverted), ("flipped for scoring", how.flipped), ("turned upright", how.upturned))
    turned = [word for word, done in turns if done]
    rendered = "; ".join([f"decoder {how.decoder}", f"VOI {how.voi}", *turned])
    size = f" of {how.input_spacing_mm:.3g} mm" if how.input_spacing_mm else ""
    scored = f"{how.input_rows} x {how.input_columns} pixels{size} from {box_words(how.crop)}"
    return f"{image.rows} x {image.columns}, {spacing}", rendered, scored


def refusal_reasons(refused: RefusedRecord) -> tuple[str, ...]:
    """The sentences for which one image was refused; the notes beside them are left out."""
    reasons = tuple(f.sentence for f in refused.findings if f.severity == "refuse")
    return reasons or tuple(f.sentence for f in refused.findings)


def _letter(index: int) -> str:
    """Spreadsheet letters: A ... Z, AA, AB ..."""
    head, last = divmod(index, 26)
    return (_letter(head - 1) if head else "") + chr(ord("A") + last)


def _outcome(prediction: Prediction) -> str:
    name, margin = prediction.positive_class, number(prediction.margin)
    limit = number(prediction.operating_point.margin)
    if prediction.decision == "flagged":
        return f"Flagged: the score for “{name}”, {margin}, reaches the operating point, {limit}."
    if prediction.decision == "not flagged":
        return f"Not flagged: the score for “{name}”, {margin}, stays below the operating point, {limit}."
    if prediction.likeness.unlike:
        return (
            "No decision: this exam is unlike the data the model was trained on, so neither a score nor a "
            "probability is shown. What the model found similar can still be looked at."
        )
    return "No decision was made for this exam, so neither a score nor a probability is shown."


def _where(prediction: Prediction) -> str:
    if not has_score(prediction):
        return ""
    evidence = supporting(prediction)
    if not evidence:
        return f"No pictured prototype speaks for “{prediction.positive_class}”."
    image = prediction.image(evidence[0].match.image_id)
    return f"The strongest evidence for “{prediction.positive_class}” is in {image.title} (box 1)."


def _views(prediction: Prediction) -> str:
    missing = missing_views(prediction)
    refused = len(prediction.refused)
    parts = []
    if missing:
        parts.append(f"{'View' if len(missing) == 1 else 'Views'} not in this exam: {', '.join(missing)}.")
    if refused:
        parts.append(f"{refused} {'image was' if refused == 1 else 'images were'} refused and not scored.")
    return " ".join(parts)
