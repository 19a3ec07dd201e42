"""One prototype in full: its patch, the training patches closest to it, what it led to, and what readers say of it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import partial
from typing import Final

import streamlit as st

from audit.report_words import side_and_view
from audit.service import (
    Complaint,
    Driven,
    KnownBundle,
    PrototypeUse,
    RegisteredPrototype,
    Room,
    complaints,
    trace_prototype,
    training_patch,
)
from medproto.errors import EvidenceMissing
from medproto.neighbourhood import Neighbour, neighbours_sentence
from medproto.summary import box_words, number, signed, size_words
from ui.opening import EXAM_PAGE, LEDGER_PAGE, shown
from ui.style import data_uri

#: Opens a prototype by `bundle` and `prototype` in its address.
GALLERY_PAGE: Final = "screens/gallery.py"
#: Newest decisions that are listed.
_LED: Final = 6
NOT_RECORDED: Final = "The closest training patches were not recorded with this model."


@dataclass(frozen=True)
class Portrayed:
    """A prototype of a bundle, and what became of it in this room; `use` is None where no decision knows it."""

    bundle: KnownBundle
    told: RegisteredPrototype
    use: PrototypeUse | None

    @property
    def complaints(self) -> int:
        """How many readers say that it misled."""
        return self.use.complaints if self.use else 0


@st.dialog("Prototype", width="large")
def prototype_view(one: Portrayed) -> None:
    """Draws the prototype over the page; it asks the room anew, for it outlives the page's own."""
    shown(partial(_draw, one))
    if st.button("All its entries in the ledger", key="prototype_entries", type="tertiary"):
        asked = {"prototype": one.told.prototype_id, "bundle": one.bundle.bundle_id}
        st.switch_page(LEDGER_PAGE, query_params=asked)


def _draw(one: Portrayed, room: Room) -> None:
    _head(room, one)
    _closest(room, one)
    said = complaints(room, one.told.prototype_id, one.bundle.bundle_id)
    st.markdown("**What readers say of it**")
    st.html("".join(map(_complaint, said)) or '<p class="mp-quiet mp-small">No reader says that it misled.</p>')
    _led(room, one)


def picture(room: Room, patch: str, what: str) -> str:
    """A training patch as a picture, or a word that it is gone."""
    try:
        return f'<img src="{data_uri(training_patch(room, patch))}" alt="{html.escape(what)}">'
    except EvidenceMissing:
        return '<div class="gone">The patch is missing.</div>'


def share_words(use: PrototypeUse | None) -> str:
    """In how many decisions it counted most."""
    return f"led {use.led} of {use.decisions} decisions" if use and use.decisions else "took part in no decision here"


def complaint_words(count: int) -> str:
    """How many readers say that it misled, at least one."""
    return f"{count} {'reader says' if count == 1 else 'readers say'} it misled"


def _head(room: Room, one: Portrayed) -> None:
    told, source = one.told, one.told.source
    size = size_words(source.box, source)
    where = f"{side_and_view(source.laterality, source.view)} of {source.image_id}, {box_words(source.box)}"
    facts = [
        ("Class", told.prototype_class),
        ("Training patch", where + (f", {size}" if size else "")),
        ("In this ledger", share_words(one.use)),
        ("Model", f"{one.bundle.name}, licence of its pictures: {one.bundle.data_licence}"),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts)
    warned = f"<b>{complaint_words(one.complaints)}</b>" if one.complaints else ""
    st.html(
        f'<div class="mp-prototype"><div class="mp-tile">{picture(room, source.patch, "Training patch")}</div><div>'
        f'<h3>{html.escape(told.prototype_id)}</h3><div class="mp-tile">{warned}</div><dl>{rows}</dl></div></div>'
    )


def _closest(room: Room, one: Portrayed) -> None:
    around = one.told.neighbours
    st.markdown("**Closest training patches**")
    if around is None:
        st.caption(NOT_RECORDED)
        return
    st.caption(neighbours_sentence(around, one.told.prototype_class))
    tiles = "".join(_neighbour(room, near, one.told.prototype_class) for near in around.nearest)
    st.html(f'<div class="mp-closest">{tiles}</div>')


def _neighbour(room: Room, near: Neighbour, own_class: str) -> str:
    other = near.image_class != own_class
    told = f"{html.escape(near.image_class)}{' (other class)' if other else ''}"
    where = side_and_view(near.laterality, near.view)
    return (
        f'<div class="mp-tile{" other" if other else ""}">{picture(room, near.patch, "Closest training patch")}'
        f'<div class="name">{told}</div><div>similarity {number(near.similarity)}</div>'
        f'<div class="mp-quiet">{html.escape(where)} of {html.escape(near.image_id)}</div></div>'
    )


def _complaint(said: Complaint) -> str:
    review, signed_by = said.signed.review, said.signed
    words = ". ".join(text.strip().rstrip(".") for text in (review.reason, review.comment) if text.strip())
    quoted = f"“{html.escape(words)}.”" if words else '<span class="mp-quiet">without words</span>'
    return (
        f'<p class="mp-small">{quoted}<br><span class="mp-quiet">{html.escape(signed_by.actor)}, '
        f"{html.escape(signed_by.role)}, {signed_by.time:%Y-%m-%d}: {review.verdict}; {html.escape(review.exam_id)}, "
        f"entry {said.prediction}</span></p>"
    )


def _led(room: Room, one: Portrayed) -> None:
    st.markdown("**Newest decisions it led**")
    if not one.use or not one.use.led:
        st.caption("It led no decision here.")
        return
    for driven in trace_prototype(room, one.told.prototype_id, one.bundle.bundle_id, _LED, led=True):
        st.page_link(EXAM_PAGE, label=_driven(driven), query_params={"entry": str(driven.number)})


def _driven(driven: Driven) -> str:
    counted = "" if driven.decision == "no decision" else f", counted {signed(driven.contribution)}"
    said = ", ".join(driven.verdicts) or "no reading yet"
    return f"{driven.exam_id}: {driven.decision}{counted}; {said}"
