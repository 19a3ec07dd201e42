"""The reader's review of one exam: a verdict, a reason where it disagrees, and what misled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from audit.service import Actor, Opinion, ReviewRecord, Room, review
from medproto.records import Prediction
from medproto.summary import opposing, supporting
from ui.opening import actor

_VERDICTS: Final = {"agree": "Agree", "disagree": "Disagree", "refer": "Refer to another reader"}
NO_VERDICT: Final = "Choose agree, disagree or refer before you sign."
NO_REASON: Final = "Please give a reason: a review that disagrees needs one."


def review_form(room: Room, number: int, record: Prediction, earlier: Sequence[ReviewRecord]) -> None:
    """Earlier reviews, then the form; signing writes one ledger entry."""
    _so_far(number, earlier)
    labels = {item.match.prototype_id: item.label for item in (*supporting(record), *opposing(record))}
    reader = actor()
    with st.form(f"review_{number}", border=False):
        verdict = st.radio(
            "Do you agree with the outcome?",
            list(_VERDICTS),
            index=None,
            format_func=lambda v: _VERDICTS[v],
            horizontal=True,
            key=f"verdict_{number}",
        )
        reason = st.text_input("Reason (needed when you disagree)", key=f"reason_{number}", max_chars=500)
        misleading = st.multiselect(
            "These prototypes mislead",
            list(labels),
            format_func=lambda p: f"{labels[p]}: {p}",
            key=f"misleading_{number}",
            placeholder="None",
        )
        comment = st.text_area("Comment", key=f"comment_{number}", max_chars=2000, height=80)
        st.caption(
            f"Signed as {reader.name}, {reader.role}. A review cannot be changed; a later one stands beside it."
            " Change your name in the side bar."
        )
        pressed = st.form_submit_button("Sign and save review", type="primary")
    if not pressed:
        return
    if verdict is None:
        st.error(NO_VERDICT)
    elif verdict == "disagree" and not reason.strip():
        st.error(NO_REASON)
    else:
        opinion = Opinion(verdict=verdict, reason=reason, misleading=tuple(misleading), comment=comment)
        _sign(room, number, opinion, reader)


def _so_far(number: int, earlier: Sequence[ReviewRecord]) -> None:
    saved = st.session_state.pop(f"signed_{number}", None)
    if saved:
        st.success(saved, icon=":material/check:")
    for signed in earlier:
        _earlier(signed)


def _sign(room: Room, number: int, opinion: Opinion, reader: Actor) -> None:
    entry = review(room, number, opinion, reader)
    st.session_state[f"signed_{number}"] = f"Review signed and written as ledger entry {entry.number}."
    st.rerun()


def _earlier(signed: ReviewRecord) -> None:
    said = signed.review
    parts = [f"**{_VERDICTS[said.verdict]}**, {signed.actor} ({signed.role}), {signed.time:%Y-%m-%d %H:%M} UTC"]
    parts += [f"entry {signed.number}"]
    with st.container(border=True):
        st.markdown(", ".join(parts))
        for name, text in (
            ("Reason", said.reason),
            ("Misleading", ", ".join(said.misleading)),
            ("Comment", said.comment),
        ):
            if text:
                st.text(f"{name}: {text}")
