"""What an auditor searches the ledger by: kind, words, actor, days, bundle and prototype."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import streamlit as st

from audit.service import LedgerFilter, Room, bundles

EVERY: Final = "every kind"
KINDS: Final = (
    EVERY,
    "prediction",
    "refusal",
    "failure",
    "opinion before score",
    "review",
    "exam opened",
    "report exported",
    "intent",
    "bundle registered",
    "training run",
    "dataset registered",
    "evaluation run",
    "sign-in",
    "sign-in refused",
    "access refused",
    "user changed",
    "erasure",
    "key rotated",
    "checkpoint anchored",
    "restored",
    "ledger created",
)


def asked_filter(room: Room) -> LedgerFilter:
    """The search, its fields in one row where the window is wide enough."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("Kind", KINDS, key="ledger_kind", width=160)
        search = st.text_input("Search", placeholder="Actor, kind or exam", key="ledger_search", width=190)
        actor = st.text_input("Actor", placeholder="Whole name", key="ledger_actor", width=120)
        since = st.date_input("From (UTC)", value=None, key="ledger_since", width=130)
        until = st.date_input("To (UTC)", value=None, key="ledger_until", width=130)
        bundle, prototype = _model(room)
    return LedgerFilter(
        kind=None if kind == EVERY else kind,
        search=search.strip(),
        actor=actor.strip() or None,
        since=_midnight(since),
        until=_midnight(until, days=1),
        bundle_id=bundle,
        prototype_id=prototype,
    )


def _model(room: Room) -> tuple[str | None, str | None]:
    """Bundle and prototype to narrow the search to; a link from the prototypes' page fills both in."""
    known = {bundle.bundle_id: f"{bundle.name}, {bundle.bundle_id[:12]}" for bundle in bundles(room)}
    for name in ("bundle", "prototype"):
        if name in st.query_params:
            st.session_state[f"ledger_{name}"] = st.query_params.pop(name)
    if st.session_state.get("ledger_bundle") not in (None, *known):
        del st.session_state["ledger_bundle"]
    bundle = st.selectbox(
        "Model", list(known), index=None, format_func=lambda b: known[b], key="ledger_bundle", width=200
    )
    prototype = st.text_input("Prototype", placeholder="malignant-03", key="ledger_prototype", width=150)
    return bundle, prototype.strip() or None


def _midnight(day: object, days: int = 0) -> datetime | None:
    """The start of a day, or of the one after it."""
    if not isinstance(day, date):
        return None
    return datetime.combine(day + timedelta(days=days), time(), UTC)
