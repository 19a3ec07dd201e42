"""Ledger: every entry, what it holds, whether the whole still verifies, and what stood behind a decision."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

import streamlit as st

from audit.service import Entry, LedgerFilter, Room, Verification, checkpoint_of, entry_of, ledger_page, verify_room
from ui import listing
from ui.comparison import comparison, rivals
from ui.ledger_export import ledger_bytes
from ui.ledger_search import asked_filter, of_model
from ui.opening import actor, banners, shown
from ui.trace_view import trace_view

_PAGE_SIZE: Final = 14
_COLUMNS: Final = listing.Columns(
    ("Entry", "Time (UTC)", "Kind", "Actor", "Exam or leaf"), "2.8rem 9.5rem 1.3fr 1fr 1.5fr", 0.14
)
_STATUS_WORDS: Final = {"holds": "holds", "broken": "BROKEN", "not checked": "not checked"}
_RESULT: Final = "verification"


def draw(room: Room) -> None:
    """Draws filters, the list of entries, and beside it the entry that was chosen."""
    top = st.container()
    which = asked_filter()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = of_model(room, which)
        pressed = _actions()
    if pressed:
        with st.spinner("Verifying every entry, signature and picture ..."):
            st.session_state[_RESULT] = verify_room(room)
    if _RESULT in st.session_state:
        _verified(st.session_state[_RESULT])
    chosen = _chosen(room)
    left, right = st.columns([0.52, 0.48], gap="medium")
    with left:
        listed = _list(room, which)
    with right:
        if chosen is None:
            st.info("Choose an entry on the left to see what it holds, its proof, and what stood behind it.")
        else:
            _entry(room, chosen)
    with top:
        banners(any(_is_synthetic(entry) for entry in [*listed, *([chosen] if chosen else [])]))
        st.subheader("Ledger", anchor=False)


def _actions() -> bool:
    """Verification and export of the whole ledger; True when it is to be verified."""
    pressed = st.button("Verify the ledger", type="primary", icon=":material/verified:", key="verify")
    st.download_button(
        "Export with proofs",
        data=partial(ledger_bytes, actor()),
        file_name="ledger.jsonl",
        mime="application/jsonl",
        on_click="ignore",
        icon=":material/download:",
        key="export",
    )
    return pressed


def _list(room: Room, which: LedgerFilter) -> tuple[Entry, ...]:
    total = ledger_page(room, which, 0, 1).total
    if not total:
        st.info("No entry matches. Choose “every kind”, or clear what is searched for.")
        return ()
    page = listing.rows_page("ledger_page", total, _PAGE_SIZE)
    entries = ledger_page(room, which, page * _PAGE_SIZE, _PAGE_SIZE).entries
    with st.container(gap=None):
        listing.head(_COLUMNS)
        for entry in entries:
            if listing.row(_COLUMNS, _cells(entry), "Show", f"show_{entry.number}"):
                st.query_params["entry"] = str(entry.number)
                st.rerun()
    return entries


def _cells(entry: Entry) -> list[str]:
    about = entry.exam_id or f"leaf {entry.leaf[:12]}…"
    cells = (str(entry.number), f"{entry.time:%Y-%m-%d %H:%M:%S}", entry.kind, entry.actor, about)
    return [listing.text(cell) for cell in cells]


def _chosen(room: Room) -> Entry | None:
    asked = st.query_params.get("entry")
    return entry_of(room, int(asked)) if asked and asked.isdecimal() else None


def _entry(room: Room, entry: Entry) -> None:
    st.markdown(f"**Entry {entry.number}: {entry.kind}**")
    st.caption(f"{entry.time:%Y-%m-%d %H:%M:%S} UTC by {entry.actor}, role {entry.role}")
    scored = entry.kind == "prediction"
    others = rivals(room, entry) if scored else []
    names = ["What it holds", "Proof"] + ["Trace"] * scored + ["Compare models"] * bool(others)
    tabs = st.tabs(names, default="Trace" if scored else None)
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
            comparison(entry, others)


def _verified(result: Verification) -> None:
    """The numbered result of a verification, with what it cannot see."""
    if result.verified:
        st.success(
            f"Verified: {result.size} entries, {result.checkpoints} signed checkpoints.", icon=":material/check:"
        )
    else:
        st.error(f"NOT verified: {len(result.faults)} faults in {result.size} entries.", icon=":material/error:")
    for fault in result.faults[:50]:
        st.error(f"({fault.guarantee}) {fault.sentence}")
    for notice in result.notices:
        st.warning(notice)
    with st.expander("What was checked, point by point", expanded=not result.verified):
        for guarantee in result.guarantees:
            st.write(f"{guarantee.number}. **{_STATUS_WORDS[guarantee.status]}**: {guarantee.sentence}")
        st.caption("What this verification cannot see")
        for spot in result.blind_spots:
            st.write(f"- {spot}")


def _is_synthetic(entry: Entry) -> bool:
    recorded = entry.payload.get("prediction")
    return isinstance(recorded, dict) and bool(recorded.get("synthetic"))


if __name__ == "__main__":
    shown(draw)
