"""A case in one plain sentence, and the words for numbers, places and labels that it shares with screen and report.

Pure functions of the record. Guarantees of `case_sentence`:

1. It is one sentence, and every part of it can be read off the record: no free text, nobody's name or identifier.
2. For an exam without a decision it holds no score, no weight and no share of a score.
3. Where the sentence rests on a box that does no better under blanking than a random one, or on a similarity that the
   breast does not cause, it says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from medproto.records import Box, ImageRecord, Laterality, Prediction, PrototypeMatch, PrototypeSource

SIDES: Final[dict[Laterality, str]] = {"R": "right", "L": "left"}
_MINUS: Final = "\N{MINUS SIGN}"
_BLANK: Final = "\N{NO-BREAK SPACE}"


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
    """A share in percent with one decimal, such as `83.2 %`; what is not quite all is `over 99.9 %`."""
    if 0 < value < 0.0005:
        return f"under 0.1{_BLANK}%"
    if 0.9995 <= value < 1:
        return f"over 99.9{_BLANK}%"
    return f"{100 * value:.1f}{_BLANK}%"


def share(value: float) -> str:
    """A share in whole percent; what is not quite nothing or not quite all is not rounded to it: `under 1 %`."""
    if 0 < value < 0.005:
        return f"under 1{_BLANK}%"
    if 0.995 <= value < 1:
        return f"over 99{_BLANK}%"
    return f"{number(100 * value, 0)}{_BLANK}%"


def box_words(box: Box) -> str:
    """A box as rows and columns of the original image."""
    top, bottom, left, right = (number(edge, 0) for edge in (box.top, box.bottom, box.left, box.right))
    return f"rows {top} to {bottom}, columns {left} to {right}"


def size_words(box: Box, image: ImageRecord | PrototypeSource) -> str | None:
    """Height and width of a box, such as `8.0 x 9.6 mm`; None where the image's spacing is unknown.

    Args:
        image: what the box lies in, an exam's image or a prototype's source.
    """
    if image.spacing_mm is None:
        return None
    row_mm, column_mm = image.spacing_mm
    high, wide = (box.bottom - box.top) * row_mm, (box.right - box.left) * column_mm
    return f"{number(high, 1)}{_BLANK}x{_BLANK}{number(wide, 1)}{_BLANK}mm"


def shown_box(match: PrototypeMatch) -> Box:
    """The box that is drawn and shown for a match: the first that was blanked, or else the patch of its cell."""
    return match.blanking[0].box if match.blanking else match.box


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


def case_sentence(prediction: Prediction) -> str:
    """The case in one sentence: outcome, what spoke most for it with its place and share, and what spoke against."""
    if not has_score(prediction):
        return f"{_undecided(prediction)}; {_most_alike(prediction)}."
    name = f"“{prediction.positive_class}”"
    outcome = "Flagged" if prediction.decision == "flagged" else "Not flagged"
    strongest = max(prediction.matches, key=lambda m: m.contribution)
    if strongest.contribution <= 0:
        although = ", although" if prediction.decision == "flagged" else ":"
        return f"{outcome}{although} no prototype speaks for {name}; {_against(prediction)}."
    total = sum(m.contribution for m in prediction.matches if m.contribution > 0)
    joined = ":" if prediction.decision == "flagged" else ", although"
    doubt = _doubt(prediction, strongest)
    return (
        f"{outcome}{joined} {_place(prediction, strongest)} resembles {_training_patch(strongest)}, which gives "
        f"{share(strongest.contribution / total)} of what speaks for {name}{doubt}; {_against(prediction)}."
    )


def view_words(prediction: Prediction, image_id: str) -> str:
    """The view an image shows, such as `the left CC view`; where several show the same, that it is one of them."""
    image = prediction.image(image_id)
    side = SIDES[image.laterality] if image.laterality else "side-unknown"
    view = f"{side} {image.view} view" if image.view else f"{side} view of unknown kind"
    alike = sum(each.title == image.title for each in prediction.images)
    return f"the {view}" if alike == 1 else f"one of {alike} pictures of the {view}"


def _undecided(prediction: Prediction) -> str:
    if prediction.likeness.unlike:
        return (
            "No decision: this exam is unlike the data the model was trained on, so neither a score nor a "
            "probability is shown"
        )
    return "No decision was made for this exam, so neither a score nor a probability is shown"


def _most_alike(prediction: Prediction) -> str:
    match = max(prediction.matches, key=lambda m: m.similarity)
    doubt = _doubt(prediction, match)
    return f"the greatest likeness found is of {_place(prediction, match)} to {_training_patch(match)}{doubt}"


def _against(prediction: Prediction) -> str:
    match = min(prediction.matches, key=lambda m: m.contribution)
    if match.contribution >= 0:
        return "nothing speaks against it"
    label = _label(prediction, match)
    tag = f" (box {label})" if label else ""
    where, doubt = view_words(prediction, match.image_id), _doubt(prediction, match)
    return f"strongest against it: {match.prototype_id} of “{match.prototype_class}” in {where}{tag}{doubt}"


def _training_patch(match: PrototypeMatch) -> str:
    similarity = number(match.similarity, 2)
    return f"a training patch of “{match.prototype_class}” ({match.prototype_id}, similarity {similarity})"


def _place(prediction: Prediction, match: PrototypeMatch) -> str:
    """View, label, half of the scored region and size of the box of a match, as far as the record knows them."""
    image, box, label = prediction.image(match.image_id), shown_box(match), _label(prediction, match)
    known = [f"box {label}"] if label else []
    known += _part(image, box)
    known.append(size_words(box, image) or box_words(box))
    return f"{view_words(prediction, match.image_id)} ({', '.join(known)})"


def _part(image: ImageRecord, box: Box) -> list[str]:
    """Half and side of the scored region that hold the box's centre; nothing where they would mislead.

    A picture that is stored upside down is shown as it is stored: 'upper' would name two places.
    """
    crop, (row, column) = image.rendering.crop, box.centre
    if not crop.contains(row, column) or image.rendering.upturned:
        return []
    middle_row, middle_column = crop.centre
    half = "upper" if row < middle_row else "lower"
    at_wall = (column >= middle_column) == image.rendering.flipped  # flipped: the chest wall is stored on the right
    return [f"{half} half", "on the chest wall side" if at_wall else "away from the chest wall"]


def _doubt(prediction: Prediction, match: PrototypeMatch) -> str:
    if prediction.blanked and match.patch and not match.blanking:
        return ", yet a blanked breast gives as high a similarity"
    if match.blanking and match.blanking[0].no_better_than_random:
        return ", yet blanking its box does no better than blanking a random one"
    return ""


def _label(prediction: Prediction, match: PrototypeMatch) -> str | None:
    pictured = (*supporting(prediction), *opposing(prediction))
    return next((item.label for item in pictured if item.match is match), None)


def _letter(index: int) -> str:
    """Spreadsheet letters: A ... Z, AA, AB ..."""
    head, last = divmod(index, 26)
    return (_letter(head - 1) if head else "") + chr(ord("A") + last)
