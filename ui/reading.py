"""The right side of the exam page: the case in words, its evidence, and the decision that stays in sight."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from audit.access import permitted
from audit.report_words import counter_words
from audit.service import Entry, Room, pictures, prediction, reviews
from medproto.records import Prediction
from medproto.summary import Evidence, opposing, supporting
from ui.blind import kept_back, opinion_panel
from ui.contributions import contributions
from ui.drafts import guard
from ui.evidence_html import AsItIs, card_html, conclusion_html, findings_html, score_html
from ui.opening import actor, shown
from ui.review_form import earlier_readings, misleads_key, restore_draft, review_panel

CHOICE = "choice"
#: How often evidence was asked to be shown: the views move to it again, also where it is the same.
ASKED = "asked"


@st.fragment
def reading(number: int) -> None:
    """Draws evidence and decision of one exam; what is pressed in here leaves the views alone."""
    shown(partial(_draw, number))


def _draw(number: int, room: Room) -> None:
    if kept_back(room, number):
        opinion_panel(room, number)
        return
    entry, record = prediction(room, number)
    signed = reviews(room, number)
    restore_draft(number, record)
    st.html(conclusion_html(record) + score_html(record))
    evidence, counted, checks, readings = st.tabs(["Evidence", "Contributions", _checks_name(record), "Readings"])
    with evidence:
        _evidence(room, entry, record)
    with counted:
        contributions(record, number)
    with checks:
        st.html(findings_html(record))
    with readings:
        earlier_readings(number, signed)
    with st.container(key="decision"):
        review_panel(room, number, record, signed)
    guard(number)


def _evidence(room: Room, entry: Entry, record: Prediction) -> None:
    """Each pair 'this looks like that', then the counter-evidence under a head of its own."""
    name = record.positive_class
    st.markdown(f"**This looks like that: what speaks for “{name}”**")
    _cards(room, entry, record, supporting(record))
    st.markdown(f"**Counter-evidence: what speaks against “{name}”**")
    st.caption(counter_words(record))
    _cards(room, entry, record, opposing(record))


def _cards(room: Room, entry: Entry, record: Prediction, items: Sequence[Evidence]) -> None:
    if not items:
        st.caption("No pictured prototype.")
    signs, opened = permitted(actor().role, "review"), pictures(room, entry)
    for item in items:
        with st.container(key=f"card_{item.label}", gap=None):
            st.html(AsItIs(card_html(item, record, opened)))
            if st.button(
                f"Show {item.label} in the views", key=f"focus_{item.label}", on_click=_choose, args=(item.label,)
            ):
                st.rerun()
            if signs:
                st.checkbox(
                    "Misleads",
                    key=misleads_key(entry.number, item.match.prototype_id),
                    help="Signed with your reading: this prototype is no evidence here.",
                )


def _choose(label: str) -> None:
    st.session_state[CHOICE] = label
    st.session_state[ASKED] = st.session_state.get(ASKED, 0) + 1


def _checks_name(record: Prediction) -> str:
    warnings = sum(f.severity == "warn" for image in record.images for f in image.findings)
    warnings += sum(f.severity == "warn" for f in record.findings) + len(record.refused)
    return f"Input checks ({warnings})" if warnings else "Input checks"
