"""The reader's words for a prediction: the sentences and numbers that report and screen share.

Pure functions of the record. Screen and PDF take their words from here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from medproto.records import Box, BoxKind, ImageRecord, Prediction, PrototypeMatch, PrototypeSource, RefusedRecord
from medproto.summary import Evidence, box_words, has_score, number, opposing, percent, share, shown_box, size_words

RESEARCH_USE: Final = "Research use only, not for primary diagnosis"
SYNTHETIC: Final = "SYNTHETIC DATA: no patient"
#: Of pictures that do not say that they are synthetic, or of which that is not known.
SYNTHETIC_MODEL: Final = "SYNTHETIC MODEL: it learnt from no patient"
IDENTIFIED: Final = "Names the patient: for this hospital's own use"
STANDARD_VIEWS: Final = ("R CC", "L CC", "R MLO", "L MLO")
SEVERITY_WORDS: Final = {"refuse": "Refused", "warn": "Warning", "note": "Note"}
_KINDS: Final[dict[BoxKind, str]] = {
    "attribution": "box by gradient x input",
    "patch": "box of the cell",
    "threshold": "box of the map's peak",
}
UNCHECKED: Final = "Not checked by blanking."
WITHOUT_BREAST: Final = (
    "Without the breast this similarity is as high, at its cell or elsewhere in the exam: no share can be told."
)
NOT_THE_REASON: Final = "A blanked breast gives as high a similarity: do not read the patch as the reason."
NO_BETTER: Final = "This box does no better than a random one: do not read the patch as the reason."


def synthetic_words(prediction: Prediction) -> str:
    """What of an exam is synthetic, pictures or model alone; empty where nothing is."""
    if not prediction.synthetic:
        return ""
    pictures = any(image.synthetic is not False for image in prediction.images)
    return SYNTHETIC if pictures else SYNTHETIC_MODEL


def box_numbers(box: Box) -> str:
    """A box as `top–bottom; left–right` for a table whose head names rows and columns."""
    return f"{box.top:.0f}–{box.bottom:.0f}; {box.left:.0f}–{box.right:.0f}"


def side_and_view(laterality: str | None, view: str | None) -> str:
    """Side and view of an image that is known only by name, such as a prototype's source."""
    return f"{laterality or 'side unknown'} {view or 'view unknown'}"


def sized_box(box: Box, image: ImageRecord | PrototypeSource) -> str:
    """A box of an image as rows and columns, with its size in mm where spacing is known."""
    size = size_words(box, image)
    return f"{box_words(box)} ({size})" if size else box_words(box)


def seen_words(match: PrototypeMatch, image: ImageRecord) -> str:
    """What of the image the matched cell can see at all: its receptive field, as far as it lies in the image."""
    field = match.receptive_field
    top, left = max(0.0, field.top), max(0.0, field.left)
    bottom, right = min(float(image.rows), field.bottom), min(float(image.columns), field.right)
    if bottom <= top or right <= left:
        return f"nothing of image; cell {match.cell[0]}, {match.cell[1]}"
    seen = Box(top=top, left=left, bottom=bottom, right=right)
    share_of = share((bottom - top) * (right - left) / (image.rows * image.columns))
    return f"{box_words(seen)}, {share_of} of image; cell {match.cell[0]}, {match.cell[1]}"


def box_kind_words(match: PrototypeMatch) -> str:
    """How the box that is shown for a match was found, such as `box by gradient x input`."""
    return _KINDS[match.blanking[0].kind if match.blanking else "patch"]


def blanking_words(match: PrototypeMatch, checked: bool) -> str:
    """What blanking the shown box did to the similarity, beside random boxes; or that there is nothing to tell.

    Args:
        checked: whether the exam's matches were checked by blanking.
    """
    if not match.blanking:
        return WITHOUT_BREAST if checked else UNCHECKED
    shown = match.blanking[0]
    return (
        f"Blanking this box removes {_removed(shown.at_cell)} of what the breast gives to the similarity (a random box "
        f"of this size: {_removed(shown.random_at_cell)}). With the match free to move within the exam: "
        f"{_removed(shown.anywhere)} (random: {_removed(shown.random_anywhere)})."
    )


def warning_words(match: PrototypeMatch, checked: bool) -> str | None:
    """The warning on the face of a card whose box does no better than a random one, or whose breast counts nothing."""
    if not match.blanking:
        return NOT_THE_REASON if checked else None
    return NO_BETTER if match.blanking[0].no_better_than_random else None


def other_boxes_words(match: PrototypeMatch) -> str | None:
    """What blanking the boxes of the other kinds did, so that the shown one can be judged."""
    said = [f"{_KINDS[b.kind]} {_removed(b.at_cell)} (random {_removed(b.random_at_cell)})" for b in match.blanking[1:]]
    return ", ".join(said) or None


def legend_words(evidence: Sequence[Evidence]) -> str:
    """What solid and dashed boxes on the views are."""
    if all(shown_box(item.match) == item.match.box for item in evidence):
        return "Solid boxes: the patch that was compared."
    return "Solid boxes: the box named on the card; dashed: the patch that was compared."


def counter_words(prediction: Prediction) -> str:
    """Whose prototypes the counter-evidence is, by class."""
    classes = dict.fromkeys(item.match.prototype_class for item in opposing(prediction))
    if not classes:
        return f"No pictured prototype speaks against “{prediction.positive_class}”."
    said = f"Prototypes of {', '.join(f'“{name}”' for name in classes)}, the strongest first."
    if any(item.match.similarity < 0 for item in opposing(prediction)):
        said += " A negative similarity: nothing in the exam is like that patch, which counts against it."
    return said


def margin_words(prediction: Prediction) -> str:
    """What the margin compares, where there are more than two classes; empty where there is nothing to explain."""
    others = [f"“{name}”" for name in prediction.classes if name != prediction.positive_class]
    if len(others) < 2:
        return ""
    return (
        f"With {len(prediction.classes)} classes the score weighs “{prediction.positive_class}” against the mean of "
        f"{', '.join(others[:-1])} and {others[-1]}: a prototype of any class may speak for it or against it."
    )


def missing_views(prediction: Prediction) -> tuple[str, ...]:
    """The standard views that the exam lacks, in hanging order."""
    present = {image.title for image in prediction.images}
    return tuple(view for view in STANDARD_VIEWS if view not in present)


def conclusion(prediction: Prediction) -> str:
    """What stands below the sentence of the case: score and operating point where they may be shown, missing views."""
    return " ".join(sentence for sentence in (_outcome(prediction), _views(prediction)) if sentence)


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


def _removed(drop: float) -> str:
    """A drop as a share; blanking that raises the similarity removes nothing of it.

    A box may take more than the whole breast does: a blanked breast can be more alike than one with a hole.
    """
    if drop > 1:
        return f"more than all ({share(drop)})"
    return share(drop) if drop > 0 else "nothing"


def _outcome(prediction: Prediction) -> str:
    if not has_score(prediction):
        return "What the model found similar can still be looked at."
    reached = "reaches" if prediction.decision == "flagged" else "stays below"
    return (
        f"The score for “{prediction.positive_class}”, {number(prediction.margin)}, {reached} the operating point, "
        f"{number(prediction.operating_point.margin)}."
    )


def _views(prediction: Prediction) -> str:
    missing = missing_views(prediction)
    refused = len(prediction.refused)
    parts = []
    if missing:
        parts.append(f"{'View' if len(missing) == 1 else 'Views'} not in this exam: {', '.join(missing)}.")
    if refused:
        parts.append(f"{refused} {'image was' if refused == 1 else 'images were'} refused and not scored.")
    return " ".join(parts)
