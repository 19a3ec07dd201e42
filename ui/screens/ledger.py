"""Ledger: every entry, what it holds, whether the whole still verifies, and what stood behind a decision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import streamlit as st

from audit.service import Entry, LedgerFilter, Room, checkpoint_of, entry_of, ledger_page, reviews, synthetic_among
from medproto.errors import EntryNotFound, LedgerUnavailable, MedprotoError
from ui import listing
from ui.comparison import comparison, rivals
from ui.ledger_export import ADDRESS
from ui.ledger_search import asked_filter
from ui.opening import banners, sentence, shown
from ui.review_form import signed_reading
from ui.trace_view import trace_view
from ui.verification_view import verification_view, verify_button

_PAGE_SIZE: Final = 14
_MOST_NAMING: Final = 6
_COLUMNS: Final = listing.Columns(
    ("Entry", "Time (UTC)", "Kind", "Actor", "Exam or leaf"), "2.4rem 8.9rem 1.35fr .7fr 9.7rem", 0.1
)


def draw(room: Room) -> None:
    """Draws filters, the list of entries, and beside it the entry that was chosen."""
    # First, and without a look at any entry: whatever is wrong with them, it can be verified.
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Ledger", anchor=False)
        verify_button(room)
        _export()
    verification_view(room)
    which = asked_filter(room)
    chosen = _chosen(room)
    left, right = st.columns([0.56, 0.44], gap="medium")
    with left:
        listed = _list(room, which, chosen)
    with right:
        if chosen is None and "entry" in st.query_params:
            st.error("There is no such entry in this ledger. Choose one on the left.")
        elif chosen is None:
            st.info("Choose an entry on the left to see what it holds, its proof, and what stood behind it.")
        else:
            _entry(room, chosen)
    banners(_any_synthetic(room, [*listed, *([chosen] if chosen else [])]))


def _export() -> None:
    """A link to what is made outside this page: a long ledger takes its time, and more memory than a page has."""
    button = (
        '<button type="submit" style="min-height:2.45rem;padding:.2rem .75rem;border-radius:.5rem;font-size:.89rem" '
        'title="Every entry with its proof, as JSON lines. A long ledger takes a while.">Export with proofs</button>'
    )
    st.html(f'<form class="mp-form" method="get" action="{ADDRESS}">{button}</form>', width="content")


def _list(room: Room, which: LedgerFilter, chosen: Entry | None) -> tuple[Entry, ...]:
    total = ledger_page(room, which, 0, 1).total
    if not total:
        st.info("No entry matches. Choose “every kind”, or clear what is searched for.")
        return ()
    page = listing.rows_page("ledger_page", total, _PAGE_SIZE)
    entries = ledger_page(room, which, page * _PAGE_SIZE, _PAGE_SIZE).entries
    with st.container(gap=None):
        listing.head(_COLUMNS)
        for entry in entries:
            marked = chosen is not None and chosen.number == entry.number
            if listing.row(_COLUMNS, _cells(entry), "Show", f"show_{entry.number}", marked):
                st.query_params["entry"] = str(entry.number)
                st.rerun()
    return entries


def _cells(entry: Entry) -> list[str]:
    about = entry.exam_id or f"leaf {entry.leaf[:12]}…"
    cells = (str(entry.number), f"{entry.time:%Y-%m-%d %H:%M:%S}", entry.kind, entry.actor, about)
    return [listing.text(cell) for cell in cells]


def _chosen(room: Room) -> Entry | None:
    """The entry that the address names; None where it names none, or one that is not there."""
    number = listing.entry_number(st.query_params.get("entry", ""))
    try:
        return None if number is None else entry_of(room, number)
    except EntryNotFound:
        return None


def _entry(room: Room, entry: Entry) -> None:
    st.markdown(f"**Entry {entry.number}: {entry.kind}**")
    st.caption(f"{entry.time:%Y-%m-%d %H:%M:%S} UTC by {entry.actor}, role {entry.role}")
    _related(room, entry)
    scored = entry.kind == "prediction"
    others = rivals(room, entry) if scored else []
    if entry.kind == "review":
        _reading(room, entry)
    names = ["What it holds", "Proof"] + ["Trace"] * scored + ["Compare models"] * bool(others)
    # By a key of its own: the browser would keep the tab that was open on the entry before.
    tabs = st.tabs(names, default="Trace" if scored else None, key=f"entry_tabs_{entry.number}")
    with tabs[0]:
        st.json(json.loads(entry.body), expanded=2)
    with tabs[1]:
        checkpoint = checkpoint_of(room, entry.number)
        st.caption("Leaf hash of this entry, and of the entry before it")
        st.code(f"{entry.leaf}\n{entry.previous}", language=None, wrap_lines=True)
        st.caption(f"Signed checkpoint over the first {checkpoint.size} entries")
        st.code(checkpoint.note, language=None, wrap_lines=True)
    if scored:
        with tabs[2]:
            trace_view(room, entry.number)
    if others:
        with tabs[3]:
            comparison(room, entry, others)


def _reading(room: Room, entry: Entry) -> None:
    """The reading in words: the body holds only their digest."""
    try:
        for signed in reviews(room, entry.refers_to) if entry.refers_to is not None else ():
            if signed.number == entry.number:
                signed_reading(signed)
    except LedgerUnavailable:
        raise
    except MedprotoError as err:
        st.error(sentence(err))


def _related(room: Room, entry: Entry) -> None:
    """The way to the entry that this one names, and to those that name it: intent, result, reviews."""
    naming = ledger_page(room, LedgerFilter(refers_to=entry.number), 0, _MOST_NAMING)
    ways = {}
    if entry.refers_to is not None:
        ways[entry.refers_to] = (f"Names entry {entry.refers_to}", ":material/arrow_back:")
    for one in reversed(naming.entries):
        ways[one.number] = (f"Named by entry {one.number}: {one.kind}", ":material/arrow_forward:")
    if not ways:
        return
    with st.container(horizontal=True):
        for number, (words, icon) in ways.items():
            if st.button(words, key=f"related_{number}", type="tertiary", icon=icon):
                st.query_params["entry"] = str(number)
                st.rerun()
    if naming.total > len(naming.entries):
        st.caption(f"{naming.total} entries name it; these are the newest.")


def _any_synthetic(room: Room, named: Sequence[Entry]) -> bool:
    """Whether any of these entries, or an exam that one of them names, is of synthetic data."""
    exams = {entry.exam_id for entry in named if entry.exam_id}
    return any(entry.payload.get("synthetic") for entry in named) or synthetic_among(room, exams)


if __name__ == "__main__":
    shown(draw)
