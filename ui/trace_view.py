"""Trace on screen: decision, prototype, training patch with its picture, and every decision a prototype drove."""

from __future__ import annotations

import html
from typing import Final

import streamlit as st

from audit.report_words import conclusion, side_and_view
from audit.service import Entry, Room, picture, trace_entry, trace_prototype
from medproto.summary import box_words, case_sentence, has_score, number, signed
from ui.opening import EXAM_PAGE
from ui.style import data_uri

_REGISTERED: Final = {
    True: "the bundle's own entry names the same training patch",
    False: "THE BUNDLE'S ENTRY NAMES ANOTHER TRAINING PATCH",
    None: "the bundle was never registered here",
}


def trace_view(room: Room, entry: int) -> None:
    """The steps from one decision to one training patch; a prototype is chosen by name."""
    trace = trace_entry(room, entry)
    record = trace.prediction
    st.markdown("**1. Decision**")
    st.html(f'<div class="mp-small">{html.escape(f"{case_sentence(record)} {conclusion(record)}")}</div>')
    if st.button("Open this exam", key=f"trace_open_{entry}"):
        st.switch_page(EXAM_PAGE, query_params={"entry": str(entry)})
    st.markdown("**2. Prototype**")
    chosen = st.selectbox(
        "Prototype",
        [traced.match.prototype_id for traced in trace.prototypes],
        key=f"trace_prototype_{entry}",
        label_visibility="collapsed",
    )
    traced = next(t for t in trace.prototypes if t.match.prototype_id == chosen)
    match, source = traced.match, traced.match.source
    counted = f"similarity {number(match.similarity)}"
    if has_score(record):
        counted += f", weight {signed(match.weight)}, contribution {signed(match.contribution)}"
    st.html(
        f'<div class="mp-small">{html.escape(match.prototype_class)}: {counted}, in {html.escape(traced.image_title)}, '
        f"{box_words(match.box)}</div>"
    )
    st.markdown("**3. Training patch**")
    shown = data_uri(picture(room, trace.entry, source.patch)) if traced.patch_present else ""
    image = f'<img src="{shown}" alt="Training patch" style="width:9rem">' if shown else "<b>The patch is missing.</b>"
    film = str(traced.film) if traced.film else traced.film_note
    st.html(
        f'<div style="display:grid;grid-template-columns:9.5rem 1fr;gap:.8rem" class="mp-small">{image}<div>'
        f"{html.escape(side_and_view(source.laterality, source.view))} of {html.escape(source.image_id)}<br>"
        f"{box_words(source.box)}<br>Patch SHA-256 {source.patch[:16]}…<br>"
        f"Registered: {_REGISTERED[traced.registered]}<br>Film: {html.escape(film)}</div></div>"
    )
    _behind(trace.bundle_entry, trace.training_entry, trace.dataset_entry)
    with st.expander("Every decision this prototype took part in"):
        _driven(room, str(chosen), record.bundle_id)


def _behind(*entries: Entry | None) -> None:
    """Numbers of the entries that registered bundle, training run and data set."""
    names = ("bundle", "training run", "data set")
    said = [f"{name}: entry {entry.number}" for name, entry in zip(names, entries, strict=True) if entry]
    if said:
        st.caption("Behind the model: " + ", ".join(said))


def _driven(room: Room, prototype_id: str, bundle_id: str) -> None:
    for driven in trace_prototype(room, prototype_id, bundle_id, limit=30):
        verdicts = ", ".join(driven.verdicts) or "no review"
        misled = "; a reader says it misled" if driven.misled else ""
        counted = "" if driven.decision == "no decision" else f", contribution {signed(driven.contribution)}"
        where = f"Entry {driven.number}, {driven.exam_id}"
        st.write(f"{where}: {driven.decision}{counted}, rank {driven.rank}, {verdicts}{misled}")
