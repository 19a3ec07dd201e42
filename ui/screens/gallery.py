"""Prototypes: every training patch that a model compares with, how often it led a decision, and what readers say."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

import streamlit as st

from audit.service import (
    KnownBundle,
    LedgerFilter,
    Room,
    bundles,
    known_prototypes,
    ledger_page,
    prototype_uses,
)
from medproto.neighbourhood import purity_words
from ui import listing
from ui.model_view import card_buttons, evaluations
from ui.opening import banners, shown
from ui.prototype_view import NOT_RECORDED, Portrayed, complaint_words, picture, prototype_view, share_words

_COLUMNS: Final = 6
_PAGE_SIZE: Final = 24
_ALL: Final = "Every class"


def draw(room: Room) -> None:
    """Draws one bundle: its figures and its card, then its prototypes, those that readers complain of first."""
    known = bundles(room)
    newest = ledger_page(room, LedgerFilter(kind="prediction"), 0, 1).entries
    scored = any(entry.payload["prediction"]["synthetic"] for entry in newest)
    banners(scored or any(bundle.synthetic for bundle in known))
    st.subheader("Prototypes", anchor=False)
    if not known:
        st.info("No model was registered here, and none has scored an exam yet.")
        return
    asked = _asked_for(known)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Model", known, format_func=_bundle_name, key="gallery_bundle", width=520)
        card_buttons(room, chosen)
    st.caption(f"Bundle {chosen.bundle_id}. Licence of its training pictures: {chosen.data_licence}.")
    evaluations(room, chosen)
    listed = _in_order(room, chosen)
    _prototypes(room, listed)
    for one in listed:
        if one.told.prototype_id == asked:
            prototype_view(one)


def _asked_for(known: Sequence[KnownBundle]) -> str | None:
    """The prototype that a link names, once; its model is chosen too."""
    bundle, prototype = (st.query_params.pop(name, None) for name in ("bundle", "prototype"))
    for one in known:
        if one.bundle_id == bundle:
            st.session_state["gallery_bundle"] = one
            return prototype
    return None


def _prototypes(room: Room, listed: list[Portrayed]) -> None:
    recorded = any(one.told.neighbours for one in listed)
    if listed and not recorded:
        st.caption(NOT_RECORDED)
    wanted = _filtered(listed, recorded)
    if not wanted:
        st.info("No prototype matches. Choose “Every class”, or switch the filters off.")
    page = listing.rows_page("gallery_page", len(wanted), _PAGE_SIZE)
    wanted = wanted[page * _PAGE_SIZE : (page + 1) * _PAGE_SIZE]
    for start in range(0, len(wanted), _COLUMNS):
        for column, one in zip(st.columns(_COLUMNS), wanted[start : start + _COLUMNS], strict=False):
            with column.container(border=True, height="stretch", key=f"tile_{one.told.prototype_id}"):
                st.html(_tile(one, picture(room, one.told.source.patch, "Training patch")))
                if st.button("Look closer", key=f"gallery_{one.told.prototype_id}", type="tertiary"):
                    prototype_view(one)


def _in_order(room: Room, bundle: KnownBundle) -> list[Portrayed]:
    """Every prototype of the model: those with complaints first, then by decisions led."""
    told = {one.prototype_id: one for one in known_prototypes(room, bundle.bundle_id)}
    uses = {use.prototype_id: use for use in prototype_uses(room, bundle.bundle_id) if use.prototype_id in told}
    return [Portrayed(bundle, told[name], uses.get(name)) for name in dict.fromkeys((*uses, *told))]


def _filtered(listed: list[Portrayed], recorded: bool) -> list[Portrayed]:
    """The prototypes that are asked for."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        classes = list(dict.fromkeys(one.told.prototype_class for one in listed))
        wanted = st.segmented_control("Class", [_ALL, *classes], default=_ALL, key="gallery_class")
        blamed = st.toggle("Only with complaints", key="gallery_complaints")
        foreign = recorded and st.toggle("Only where other classes are closest", key="gallery_foreign")
    return [
        one
        for one in listed
        if wanted in (None, _ALL, one.told.prototype_class)
        and (one.complaints or not blamed)
        and (_foreign(one) or not foreign)
    ]


def _foreign(one: Portrayed) -> bool:
    """Whether fewer than half of the closest training patches are of the prototype's class."""
    return one.told.neighbours is not None and (one.told.neighbours.purity.value or 0.0) < 0.5


def _tile(one: Portrayed, patch: str) -> str:
    warned = f"<b>{complaint_words(one.complaints)}</b>" if one.complaints else ""
    around = one.told.neighbours
    closest = f"<div>Closest patches: {purity_words(around)}</div>" if around else ""
    return (
        f'<div class="mp-tile">{patch}<div class="name">{html.escape(one.told.prototype_id)}</div>{warned}'
        f"<div>{html.escape(one.told.prototype_class)}</div><div>{share_words(one.use)}</div>{closest}</div>"
    )


def _bundle_name(bundle: KnownBundle) -> str:
    return f"{bundle.name}, {bundle.bundle_id[:12]}" + ("" if bundle.registered else " (not registered here)")


if __name__ == "__main__":
    shown(draw)
