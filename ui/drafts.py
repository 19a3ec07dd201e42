"""Readings that were begun and not signed: kept while the tab is open, and never lost without a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import streamlit as st

_DRAFTS: Final = "drafts"
_LEAVING: Final = "leaving_exam"
Leaving = Literal["asked", "go"]
#: How often the keyboard was asked to go to the field of the reason.
_WRITE: Final = "write_reason"
# Streamlit takes a string without a line break for the path of a file.
_GUARD: Final = """
let seen = 0;
const focus = (field, tries) => {
  const input = document.querySelector(`.st-key-${field} textarea`);
  if (input) input.focus();
  else if (tries) setTimeout(() => focus(field, tries - 1), 50);
};
export default function ({ data }) {
  window.onbeforeunload = data.unsigned ? (event) => { event.preventDefault(); return ""; } : null;
  if (data.asked > seen) focus(data.field, 20);
  seen = data.asked;
}
"""


@dataclass(frozen=True)
class Draft:
    """What a reader entered about one exam and has not signed."""

    verdict: str | None = None
    reason: str = ""
    misleading: tuple[str, ...] = ()
    comment: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost with it."""
        return self == Draft()


def draft_of(number: int) -> Draft:
    """What was entered about this entry; an empty draft where there is nothing."""
    return _drafts().get(number, Draft())


def keep(number: int, draft: Draft) -> None:
    """Remember a draft through other pages: Streamlit forgets a field that is not on the page."""
    _drafts().pop(number, None)
    if not draft.empty:
        _drafts()[number] = draft


def unsigned() -> tuple[int, ...]:
    """Entries whose drafts are not empty, the one touched last at the end."""
    return tuple(_drafts())


def restore(number: int, fields: Mapping[str, Any]) -> None:
    """Give fields that come back to the page what was entered in them before."""
    for key, value in fields.items():
        if value:  # an empty value given to a field that is not drawn would outlive what is entered later
            st.session_state.setdefault(f"{key}_{number}", value)


def discard(number: int) -> None:
    """Forget a draft and empty its fields."""
    keep(number, Draft())
    for key in [key for key in st.session_state if str(key).endswith(f"_{number}") and str(key).startswith("draft_")]:
        del st.session_state[key]
    st.session_state[f"discarded_{number}"] = True


def was_discarded(number: int) -> bool:
    """Whether its fields have yet to be shown empty; asked once."""
    return bool(st.session_state.pop(f"discarded_{number}", False))


def write_reason() -> None:
    """Have the keyboard go on in the field of the reason."""
    st.session_state[_WRITE] = st.session_state.get(_WRITE, 0) + 1


def guard(number: int) -> None:
    """Have the browser ask before the tab is closed while something is unsigned; bring the keyboard to the reason."""
    component = st.components.v2.component("medproto_unsigned", js=_GUARD)
    asked = {"asked": st.session_state.get(_WRITE, 0), "field": f"draft_reason_{number}"}
    component(data={"unsigned": bool(unsigned())} | asked, key="unsigned_guard", height=0)


def ask_before_leaving(number: int) -> None:
    """Ask what is to become of an unsigned draft before another exam is opened."""
    with st.container(border=True, key="leaving"):
        st.markdown("**This reading is not signed.** What you entered is not in the ledger yet.")
        with st.container(horizontal=True):
            st.button("Go back and sign", type="primary", key="stay", shortcut="g", on_click=_answer, args=(None,))
            st.button("Leave it for later", key="leave", shortcut="Shift+N", on_click=_answer, args=("go",))
            st.button("Discard it", key="discard", on_click=_discard, args=(number,))


def leaving() -> Leaving | None:
    """Whether the reader asked for another exam despite a draft, and whether it is settled what becomes of that."""
    return cast("Leaving | None", st.session_state.get(_LEAVING))


def leave() -> None:
    """Remember that the reader asked for another exam."""
    st.session_state[_LEAVING] = "asked"


def moved_on() -> None:
    """Forget that question: the other exam is being opened."""
    st.session_state.pop(_LEAVING, None)


def _answer(answer: Leaving | None) -> None:
    st.session_state[_LEAVING] = answer


def _discard(number: int) -> None:
    _answer("go")
    discard(number)


def _drafts() -> dict[int, Draft]:
    drafts: dict[int, Draft] = st.session_state.setdefault(_DRAFTS, {})
    return drafts
