"""Blind first: what is kept from a reader until their own opinion is signed, where the room is set up so."""

from __future__ import annotations

import os
from typing import Final

import streamlit as st

from audit.access import permitted
from audit.blind import OPINIONS, give_first_opinion
from audit.blind import kept_back as kept_back_from_holder
from audit.service import Room
from ui.opening import actor

BLIND_VARIABLE: Final = "MEDPROTO_BLIND_FIRST"
_CHOICES: Final = {False: "Nothing suspicious", True: "Suspicious"}


def read_blind() -> bool:
    """Whether this room is set up to be read blind first."""
    return bool(os.environ.get(BLIND_VARIABLE))


def blind_first() -> bool:
    """Whether scores are kept back from whoever acts on this page until they said what they think."""
    return read_blind() and permitted(actor().role, "review")


def kept_back(room: Room, number: int) -> bool:
    """Whether the model's result for this prediction is still kept from whoever holds the room."""
    return read_blind() and kept_back_from_holder(room, number)


def opinion_panel(room: Room, number: int) -> None:
    """The question that comes before the score."""
    st.subheader("Your opinion first", anchor=False)
    st.write("This room is read blind first: score, evidence and report are shown once your own opinion is signed.")
    chosen = st.segmented_control(
        "What do you think of this exam?", list(_CHOICES), format_func=lambda c: _CHOICES[c], key=f"blind_{number}"
    )
    if chosen is not None:
        st.caption(f"“{OPINIONS[chosen]}” Signed as {actor().name}, {actor().role}; it cannot be changed.")
    if st.button("Sign and show the score", type="primary", disabled=chosen is None, key=f"unblind_{number}"):
        give_first_opinion(room, number, bool(chosen), actor())
        st.rerun()
