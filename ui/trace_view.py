"""Trace on screen: decision, prototype, training patch with its picture, and every decision a prototype drove."""

from __future__ import annotations

import html
from typing import Final

import streamlit as st

from audit.prototypes import Driven
from audit.report_words import conclusion, side_and_view
from audit.service import Entry, Room, picture, trace_entry, trace_prototype
from audit.trace import TracedPrototype
from medproto.summary import box_words, case_sentence, has_score, number, signed
from ui import listing
from ui.opening import EXAM_PAGE, sentence_of
from ui.prototype_view import GALLERY_PAGE
from ui.style import data_uri

_AT_ONCE: Final = 15
_COLUMNS: Final = listing.Columns(
    ("Entry", "Exam", "Outcome", "Counted", "Reviews (entry)"), "2.4rem .8fr 5.2rem 6.6rem 1.2fr", 0.12
)
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
    st.html(
        f'<div style="display:grid;grid-template-columns:9.5rem 1fr;gap:.8rem" class="mp-small">{image}<div>'
        f"{html.escape(side_and_view(source.laterality, source.view))} of {html.escape(source.image_id)}<br>"
        f"{box_words(source.box)}<br>Patch SHA-256 {source.patch[:16]}…<br>"
        f"Registered: {_REGISTERED[traced.registered]}<br>{html.escape(source_words(traced))}</div></div>"
    )
    _behind(trace.bundle_entry, trace.training_entry, trace.dataset_entry)
    if st.button("Its closest training patches", key=f"trace_closest_{entry}"):
        st.switch_page(GALLERY_PAGE, query_params={"bundle": record.bundle_id, "prototype": str(chosen)})
    # Not drawn before it is asked for: a prototype takes part in every decision of its model.
    if st.toggle("Every decision that this prototype took part in", key=f"trace_back_{entry}"):
        _driven(room, str(chosen), record.bundle_id)


def source_words(traced: TracedPrototype) -> str:
    """Where the training image lies, which the manifest says and nobody compared; or why that cannot be said."""
    return f"Training image, by its manifest: {traced.film}" if traced.film else sentence_of(traced.film_note)


def _behind(*entries: Entry | None) -> None:
    """Numbers of the entries that registered bundle, training run and data set."""
    names = ("bundle", "training run", "data set")
    said = [f"{name}: entry {entry.number}" for name, entry in zip(names, entries, strict=True) if entry]
    if said:
        st.caption("Behind the model: " + ", ".join(said))


def _driven(room: Room, prototype_id: str, bundle_id: str) -> None:
    """From the training patch back to decisions and the reviews of them, newest first."""
    key = f"trace_most_{bundle_id}_{prototype_id}"
    most = int(st.session_state.get(key, _AT_ONCE))
    found = trace_prototype(room, prototype_id, bundle_id, limit=most + 1)
    with st.container(gap=None):
        listing.head(_COLUMNS)
        for driven in found[:most]:
            if listing.row(_COLUMNS, _cells(driven), "Show", f"trace_show_{driven.number}"):
                st.query_params["entry"] = str(driven.number)
                st.rerun()
    if len(found) > most and st.button(f"{_AT_ONCE} more", key=f"{key}_on"):
        st.session_state[key] = most + _AT_ONCE
        st.rerun()


def _cells(driven: Driven) -> list[str]:
    signs = zip(driven.verdicts, driven.reviews, strict=True)
    said = ", ".join(f"{verdict} ({number})" for verdict, number in signs) or "none"
    misled = "; a reader says it misled" if driven.misled else ""
    counted = (
        "not counted" if driven.decision == "no decision" else f"{signed(driven.contribution)}, rank {driven.rank}"
    )
    cells = (str(driven.number), driven.exam_id, driven.decision, counted, f"{said}{misled}")
    return [listing.text(cell) for cell in cells]
