"""Score, evidence cards and findings as quiet HTML, in the report's words."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from audit.report_words import (
    blanking_words,
    box_kind_words,
    conclusion,
    finding_rows,
    likeness_words,
    other_boxes_words,
    probability_words,
    refusal_reasons,
    side_and_view,
    sized_box,
    warning_words,
)
from medproto.records import Box, Prediction, PrototypeMatch
from medproto.summary import (
    SIDES,
    Evidence,
    box_words,
    case_sentence,
    has_score,
    number,
    percent,
    shown_box,
    signed,
)
from ui.style import data_uri

#: A patch picture shows its box with this many box lengths around its centre, as `medproto.pictures` cuts it.
PATCH_CONTEXT: Final = 3.0


@dataclass(frozen=True)
class AsItIs:
    """HTML that is sent as it is: Streamlit would look through every letter of its pictures for white space."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def conclusion_html(prediction: Prediction) -> str:
    """The case in one sentence, beside a bar; below it the score and what is missing."""
    kind = "flagged" if prediction.decision == "flagged" else ""
    said, below = html.escape(case_sentence(prediction)), html.escape(conclusion(prediction))
    return f'<div class="mp-conclusion {kind}">{said}<p>{below}</p></div>'


def score_html(prediction: Prediction) -> str:
    """The margin on its axis against the operating point; nothing for an exam without a decision."""
    if not has_score(prediction):
        return _facts([("Likeness to the training data", likeness_words(prediction))])
    margin, point = prediction.margin, prediction.operating_point.margin
    low, high = min(margin, point, 0.0), max(margin, point, 0.0)
    room = 0.3 * (high - low) or 1.0
    here, there = (100 * (value - low + room) / (high - low + 2 * room) for value in (margin, point))
    axis = (
        f'<div class="zone low" style="width:{there:.2f}%"></div>'
        f'<div class="zone high" style="width:{100 - there:.2f}%"></div>'
        f'<div class="point" style="left:{there:.2f}%"></div><div class="mark" style="left:{here:.2f}%"></div>'
        f'<div class="label" style="top:-.2rem;left:{_clear(here)}%"><b>score (margin) {number(margin)}</b></div>'
        f'<div class="label" style="top:2.5rem;left:{_clear(there)}%">operating point {number(point)}</div>'
    )
    facts = [("Calibrated probability", probability_words(prediction))]
    for breast in prediction.breasts:
        chance = "" if breast.probability is None else f", {percent(breast.probability)}"
        facts.append(
            (f"{SIDES[breast.laterality].capitalize()} breast alone", f"margin {number(breast.margin)}{chance}")
        )
    return f'<div class="mp-scale">{axis}</div>{_facts(facts)}'


def findings_html(prediction: Prediction) -> str:
    """Gate findings in the reader's words, then refused images with their reasons."""
    rows = [
        f"<div class='mp-finding'><b>{severity}</b><span>{html.escape(about)}</span>"
        f"<span>{html.escape(sentence)} <span class='mp-quiet'>{html.escape(code)}</span></span></div>"
        for severity, about, sentence, code in finding_rows(prediction)
    ]
    for refused in prediction.refused:
        why = html.escape(" ".join(refusal_reasons(refused)))
        name = html.escape(refused.image_id)
        rows.append(f"<div class='mp-finding'><b>Refused</b><span>{name}</span><span>{why}</span></div>")
    return "".join(rows) or '<p class="mp-quiet mp-small">The input checks found nothing to report.</p>'


def card_html(item: Evidence, prediction: Prediction, picture: Callable[[str], bytes]) -> str:
    """One pair 'this looks like that' with what it counted, how blanking judged it, and where both patches lie."""
    kind = "" if item.label.isdigit() else " against"
    match, source = item.match, item.match.source
    image = prediction.image(match.image_id)
    here = html.escape(image.title)
    there = html.escape(side_and_view(source.laterality, source.view))
    extents = (_extent_mm(match.box, image.spacing_mm), _extent_mm(source.box, source.spacing_mm))
    counted = f"similarity {number(match.similarity)}"
    if has_score(prediction):
        counted += f" × weight {signed(match.weight)} = <b>{signed(match.contribution)}</b>"
    return (
        f'<div class="mp-card"><div class="no{kind}">{item.label}</div>'
        f"{_figure(picture(match.patch or ''), f'This exam: {here}', extents)}"
        f"{_figure(picture(source.patch), f'Training: {there}', extents[::-1])}"
        f'<div><div class="name">{html.escape(match.prototype_id)}: {html.escape(match.prototype_class)}</div>'
        f'<div class="sum">{counted}</div>{_checked(match, prediction.blanked)}'
        f'<div class="mp-quiet mp-small">Box in {here}: {html.escape(box_kind_words(match))}, '
        f"{sized_box(shown_box(match), image)}<br>Patch compared: {sized_box(match.box, image)}<br>Source: "
        f"{html.escape(source.image_id)}, {box_words(source.box)}</div></div></div>"
    )


def _checked(match: PrototypeMatch, checked: bool) -> str:
    """What blanking the box did, on the face of the card; the warning first where there is one."""
    warning, others = warning_words(match, checked), other_boxes_words(match)
    first = f'<div class="warn">{warning}</div>' if warning else ""
    rest = f'<div class="mp-quiet mp-small">Other boxes: {html.escape(others)}</div>' if others else ""
    return f'{first}<div class="mp-small">{html.escape(blanking_words(match, checked))}</div>{rest}'


def _extent_mm(box: Box, spacing_mm: tuple[float, float] | None) -> float | None:
    """How much of the image a patch picture shows, along its side."""
    if spacing_mm is None:
        return None
    return PATCH_CONTEXT * max(box.bottom - box.top, box.right - box.left) * spacing_mm[1]


def _figure(png: bytes, caption: str, extents: tuple[float | None, float | None]) -> str:
    """One patch; the wider of a pair fills its square and the other is drawn at the same scale, with a ruler.

    Args:
        png: the picture.
        caption: what stands below it.
        extents: how many mm this picture and the other of its pair show; None where that is not known.
    """
    own, other = extents
    size, ruler = 100.0, "scale unknown"
    if own and other:
        size = 100 * own / max(own, other)
    if own:
        length = 5 if own < 30 else 10
        ruler = f'<i style="width:{size * length / own:.1f}%"></i>{length} mm'
    picture = f'<div class="square"><img src="{data_uri(png)}" style="width:{size:.1f}%" alt="{caption}"></div>'
    return f'<figure>{picture}<div class="ruler">{ruler}</div><figcaption>{caption}</figcaption></figure>'


def _facts(facts: list[tuple[str, str]]) -> str:
    return f'<div class="mp-facts">{"".join(f"<div><span>{name}</span>{text}</div>" for name, text in facts)}</div>'


def _clear(share: float) -> str:
    """Keeps a centred label inside the axis."""
    return f"{min(max(share, 16.0), 84.0):.2f}"
