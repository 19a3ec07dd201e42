"""Intended use: what this is for, what it is not for, which model and whose pictures are loaded."""

from __future__ import annotations

import streamlit as st

from audit.service import KnownBundle, Room, WorklistFilter, bundles, worklist_counts
from ui.opening import banners, home, shown

_PURPOSE = """
medproto is a research instrument. It reads digital mammograms, compares patches of them with patches of training
images, and shows for each exam which patch looks like which training patch and how much that counted. It is meant for
studies with retrospective or synthetic exams, for teaching, and for auditing such a model.

**It is not a medical device.** It is not for primary diagnosis, not for triage of patients, and not for use without a
reader who has looked at the images first.
"""
_LIMITS = """
- A score is a sum of likenesses. A likeness to a training patch is no diagnosis, and a lesion unlike every training
  patch gets a low score.
- The probability holds at the prevalence written beside it, and at no other.
- An exam that lies too far from the training data gets no score and no probability; how far is too far was measured
  on one data set.
- Missing views lower the chance of a high score: a score is the strongest likeness over the views that are there.
- Magnification views, implants, cut breasts and unknown spacing are scored with a warning. Prior exams, symptoms and
  history are not known to the model.
- Heatmaps show where the likeness was found, not where a lesion ends.
"""


def draw(room: Room) -> None:
    """Draws purpose, limits, and every model whose scores are in this ledger."""
    counts = worklist_counts(room, WorklistFilter())
    banners(bool(counts.synthetic))
    left, right = st.columns([0.58, 0.42], gap="large")
    with left:
        st.subheader("What this is for", anchor=False)
        st.markdown(_PURPOSE)
        st.subheader("Limits a reader should know", anchor=False)
        st.markdown(_LIMITS)
    with right:
        st.subheader("Models in this ledger", anchor=False)
        _models(room)
        st.subheader("This room", anchor=False)
        st.write(f"Home directory: `{home()}`")
        st.write(f"Exams scored: {counts.scored}.")


def _models(room: Room) -> None:
    """Registered bundles, then bundles that scored exams without having been registered."""
    known = bundles(room)
    for bundle in known:
        _model(bundle.name if bundle.registered else f"{bundle.name} (not registered here)", bundle)
    if not known:
        st.info("No model has scored an exam here yet.")


def _model(name: str, bundle: KnownBundle) -> None:
    with st.container(border=True):
        st.text(name)
        st.caption("Bundle")
        st.code(bundle.bundle_id, language=None, wrap_lines=True)
        st.caption(f"Licence of its training pictures: {bundle.data_licence}")


if __name__ == "__main__":
    shown(draw)
