"""Rows on a grid with a button at the end of each: the list that worklist and ledger share."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

#: More than any entry has; Python reads no number of thousands of digits.
_DIGITS: Final = 40


def rows_page(key: str, total: int, size: int) -> int:
    """Which page of a list is shown, from 0; its arrows appear where there is more than one."""
    pages = max(1, -(-total // size))
    page = min(int(st.session_state.get(key, 0)), pages - 1)
    if pages == 1:
        return page
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Previous", key=f"{key}_back", disabled=page == 0, icon=":material/chevron_left:"):
            st.session_state[key] = page - 1
            st.rerun()
        st.caption(f"Page {page + 1} of {pages}, {total} in all")
        if st.button("Next", key=f"{key}_on", disabled=page == pages - 1, icon=":material/chevron_right:"):
            st.session_state[key] = page + 1
            st.rerun()
    return page


def entry_number(asked: str) -> int | None:
    """The number of an entry that an address names; None where it names none."""
    return int(asked) if asked.isdecimal() and len(asked) <= _DIGITS else None


@dataclass(frozen=True)
class Columns:
    """The grid of a list.

    Args:
        names: what stands above the columns.
        widths: their widths, as in CSS.
        button: share of the width that the button at a line's end takes.
    """

    names: tuple[str, ...]
    widths: str
    button: float

    @property
    def shares(self) -> list[float]:
        """Shares of text and button."""
        return [1 - self.button, self.button]


def head(columns: Columns) -> None:
    """The head of a list: quiet names above the columns of `row`."""
    with st.container(key=f"list_head_{columns.names[-1]}"):
        left, _ = st.columns(columns.shares, gap="small")
    left.html(_grid([text(name) for name in columns.names], columns.widths, "mp-row mp-head"))


def row(columns: Columns, cells: Sequence[str], label: str, key: str, marked: bool = False) -> bool:
    """One line; cells are HTML. True when its button was pressed, which takes a click anywhere on the line.

    Args:
        marked: whether the keyboard is on this line.
    """
    with st.container(key=f"line_{key}"):
        left, right = st.columns(columns.shares, gap="small", vertical_alignment="center")
    left.html(_grid(cells, columns.widths, "mp-row mp-marked" if marked else "mp-row"))
    return right.button(label, key=key, width="stretch", type="tertiary")


def text(value: str) -> str:
    """Plain text as a cell; its whole length shows when the pointer rests on it."""
    safe = html.escape(value, quote=True)
    return f'<span title="{safe}">{safe}</span>'


def _grid(cells: Sequence[str], widths: str, kind: str) -> str:
    return f'<div class="{kind}" style="grid-template-columns:{widths}">{"".join(cells)}</div>'
