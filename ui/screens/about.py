"""Intended use: what this is for, what it is not for, what may go wrong, and whose pictures the models learnt from."""

from __future__ import annotations

import html
from typing import Final

import streamlit as st

from audit.service import KnownBundle, Room, WorklistFilter, bundles, worklist_counts
from medproto.errors import BundleError
from medproto.intended_use import HAZARDS, INTENDED, LIMITS, NOT_INTENDED
from ui.loaded import loaded_bundle
from ui.model_view import card_buttons
from ui.opening import banners, home, sentence, shown

_PURPOSE: Final = (
    "medproto is a research instrument. It reads digital mammograms, compares patches of them with patches of training "
    "images, and shows for each exam which patch looks like which training patch and how much that counted."
)
#: Splits in the order of their use.
_SPLITS: Final = {"train": "trained on", "val": "choices made on", "test": "kept for evaluation"}


def draw(room: Room) -> None:
    """Draws purpose, hazards, limits, and every model that is loaded or has scored exams here."""
    counts = worklist_counts(room, WorklistFilter())
    banners(bool(counts.synthetic))
    left, right = st.columns([0.58, 0.42], gap="large")
    with left:
        st.subheader("What this is for", anchor=False)
        st.write(f"{_PURPOSE} {INTENDED}")
        st.markdown(f"**It is not a medical device.** {NOT_INTENDED}")
        st.subheader("What may go wrong", anchor=False)
        st.html(_hazards())
        st.subheader("Limits a reader should know", anchor=False)
        st.markdown("\n".join(f"- {limit}" for limit in LIMITS))
    with right:
        st.subheader("Models in this room", anchor=False)
        _models(room)
        st.subheader("This room", anchor=False)
        st.write(f"Home directory: `{home()}`")
        st.write(f"Exams scored: {counts.scored}.")


def _hazards() -> str:
    rows = "".join(f"<tr><td>{html.escape(what)}</td><td>{html.escape(kept)}</td></tr>" for what, kept in HAZARDS)
    head = "<tr><th>What may go wrong</th><th>What keeps that small</th></tr>"
    return f'<table class="mp-fall mp-classes">{head}{rows}</table>'


def _models(room: Room) -> None:
    """The loaded model, then those that were registered or scored exams here."""
    known = {bundle.bundle_id: bundle for bundle in bundles(room)}
    loaded = _loaded()
    first = [loaded] if loaded else []
    for bundle in (*first, *(one for one in known.values() if loaded is None or one.bundle_id != loaded.bundle_id)):
        with st.container(border=True):
            _model(room, bundle, _standing(bundle, bundle is loaded, bundle.bundle_id in known))
    if not known and not first:
        st.info("No model is loaded, and none has scored an exam here yet.")


def _loaded() -> KnownBundle | None:
    try:
        return loaded_bundle()
    except BundleError as err:
        st.warning(sentence(err), icon=":material/error:")
        return None


def _standing(bundle: KnownBundle, loaded: bool, known: bool) -> str:
    """What this model is to this room."""
    if loaded:
        return "loaded: it scores what is imported" + ("" if known else "; it has scored nothing here yet")
    return "registered here" if bundle.registered else "not registered here"


def _model(room: Room, bundle: KnownBundle, standing: str) -> None:
    st.text(bundle.name)
    facts = [
        ("In this room", standing),
        ("Bundle", bundle.bundle_id),
        ("Learnt from", _data(bundle)),
        *((_SPLITS.get(name, name).capitalize(), _counted(bundle, name)) for name in _in_order(bundle)),
        ("Licence of its training pictures", bundle.data_licence),
    ]
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in facts)
    st.html(f'<div class="mp-prototype one"><dl>{rows}</dl></div>')
    card_buttons(room, bundle)


def _data(bundle: KnownBundle) -> str:
    """The data set, and whether its pictures are of patients."""
    if bundle.data_name is None:
        return "not recorded with this model"
    return f"{bundle.data_name}, SYNTHETIC: no patient" if bundle.synthetic else bundle.data_name


def _in_order(bundle: KnownBundle) -> list[str]:
    splits = bundle.splits or {}
    return [*(name for name in _SPLITS if name in splits), *(name for name in splits if name not in _SPLITS)]


def _counted(bundle: KnownBundle, split: str) -> str:
    counts = (bundle.splits or {})[split]
    return ", ".join(f"{counts[what]} {what}" for what in ("patients", "exams", "images") if what in counts)


if __name__ == "__main__":
    shown(draw)
