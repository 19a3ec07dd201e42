"""What counted: the waterfall of the score, and for models of more than two classes what speaks for each class."""

from __future__ import annotations

import html
from typing import Final

import streamlit as st

from audit.report_words import margin_words
from medproto.class_evidence import class_evidence, counted_for
from medproto.records import Prediction
from medproto.summary import has_score, number, signed
from ui.waterfall_html import class_waterfall_html, waterfall_html

_SCORE: Final = "Score"
NO_SCORE: Final = "Contributions would add up to a score, and none is shown for this exam."
NOT_RECORDED: Final = "What each prototype counted for one class alone was not recorded with this exam."


def contributions(record: Prediction, number_of_entry: int) -> None:
    """Draws what counted; for an exam without a score the most alike of each class, and nothing that would add up."""
    if not has_score(record):
        st.info(NO_SCORE)
    said = margin_words(record)
    if said:
        st.caption(said)
        st.html(_classes(record))
    if not has_score(record):
        return
    chosen = _chosen(record, number_of_entry) if said else _SCORE
    st.html(waterfall_html(record) if chosen == _SCORE else class_waterfall_html(record, chosen))


def _chosen(record: Prediction, number_of_entry: int) -> str:
    """The class whose waterfall is asked for, or the score."""
    known = [name for name in record.classes if counted_for(record, name)]
    if not known:
        st.caption(NOT_RECORDED)
        return _SCORE
    key = f"counted_{number_of_entry}"
    return st.segmented_control("What counted for", [_SCORE, *known], default=_SCORE, key=key) or _SCORE


def _classes(record: Prediction) -> str:
    """One line a class: its logit, what its prototypes counted in the score, and the most alike of them."""
    scored = has_score(record)
    counted = "<th class='n'>Logit</th><th class='n'>Counted in the score</th>" if scored else ""
    rows = []
    for one in class_evidence(record):
        logit = "not recorded" if one.logit is None else number(one.logit)
        cells = f"<td class='n'>{logit}</td><td class='n'>{signed(one.contribution)}</td>" if scored else ""
        best = one.most_alike
        alike = f"{best.prototype_id} in {record.image(best.image_id).title}" if best else "no prototype"
        value = number(best.similarity) if best else ""
        rows.append(
            f"<tr><td>{html.escape(one.name)}</td><td class='n'>{one.prototypes}</td>{cells}"
            f"<td>{html.escape(alike)}</td><td class='n'>{value}</td></tr>"
        )
    head = (
        f"<tr><th>Class</th><th class='n'>Prototypes</th>{counted}<th>Most alike</th><th class='n'>Similarity</th></tr>"
    )
    return f'<table class="mp-fall mp-classes">{head}{"".join(rows)}</table>'
