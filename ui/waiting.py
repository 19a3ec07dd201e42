"""Which exams wait for whoever reads, in the order that was chosen on the worklist."""

from __future__ import annotations

from typing import Final

import streamlit as st

from audit.service import Room, WorklistFilter, worklist_next, worklist_page
from ui.blind import blind_first

_FARTHEST: Final = "Farthest over the operating point first"
_LONGEST: Final = "Longest waiting first"
_ORDER: Final = "worklist_order"
#: What was chosen on the worklist: Streamlit forgets a field that is not on the page.
_KEPT: Final = "worklist_kept"


def order_choice() -> None:
    """The choice of an order; where scores are kept back it is not the reader's, for priority would tell them."""
    if blind_first():
        st.caption(f"{_LONGEST}.", width="content")
    else:
        st.selectbox("Order", [_FARTHEST, _LONGEST], key=_ORDER, width=290)


def by_age() -> bool:
    """Whether the exam that waits longest comes first, whatever its outcome."""
    chosen = st.session_state.get(_ORDER) or st.session_state.get(_KEPT, {}).get(_ORDER)
    return blind_first() or chosen == _LONGEST


def bring_back() -> None:
    """Give the worklist's fields what was chosen in them before another page was looked at."""
    for key, value in st.session_state.get(_KEPT, {}).items():
        st.session_state.setdefault(key, value)


def remember(*keys: str) -> None:
    """Keep what is chosen in these fields and in that of the order while the tab is open."""
    st.session_state[_KEPT] = {key: st.session_state[key] for key in (*keys, _ORDER) if key in st.session_state}


def first(room: Room) -> tuple[int | None, int]:
    """The exam to be read first, None where none waits, and how many wait."""
    waiting = worklist_page(room, _waiting(), 0, 1)
    return (waiting.items[0].number if waiting.items else None), waiting.total


def following(room: Room, number: int) -> int | None:
    """The exam to be read after this one; after the last the first again, None where no other waits."""
    return worklist_next(room, _waiting(), number)


def _waiting() -> WorklistFilter:
    return WorklistFilter(status="open", by_age=by_age())
