"""Rows on a grid with a button at the end of each: the list that worklist and ledger share."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st


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


def head(cells: Sequence[str], widths: str) -> None:
    """The head of a list: quiet column names above the columns of `row`."""
    left, _ = st.columns([0.9, 0.1], gap="small")
    left.html(_grid(cells, widths, "mp-row mp-head"))


def row(cells: Sequence[str], widths: str, label: str, key: str) -> bool:
    """One line; cells are HTML. True when its button was pressed."""
    left, right = st.columns([0.9, 0.1], gap="small", vertical_alignment="center")
    left.html(_grid(cells, widths, "mp-row"))
    return right.button(label, key=key, width="stretch")


def text(value: str) -> str:
    """Plain text as a cell; its whole length shows when the pointer rests on it."""
    safe = html.escape(value, quote=True)
    return f'<span title="{safe}">{safe}</span>'


def _grid(cells: Sequence[str], widths: str, kind: str) -> str:
    return f'<div class="{kind}" style="grid-template-columns:{widths}">{"".join(cells)}</div>'
