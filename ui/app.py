"""The reading room: `medproto ui`, or `streamlit run ui/app.py` from any directory."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st


def main() -> None:
    """Sets up page, navigation and the reader's name, then runs the page that was asked for."""
    # `streamlit run` puts this file's folder first on the path: the package's own root has to come before it.
    root = str(Path(__file__).resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    from ui.opening import ask_for_name
    from ui.style import STYLE

    st.set_page_config(
        "medproto reading room", page_icon=":material/radiology:", layout="wide", initial_sidebar_state="collapsed"
    )
    pages = [
        st.Page("screens/worklist.py", title="Worklist", icon=":material/list:", default=True),
        st.Page("screens/exam.py", title="Exam", icon=":material/radiology:"),
        st.Page("screens/ledger.py", title="Ledger", icon=":material/receipt_long:"),
        st.Page("screens/about.py", title="Intended use", icon=":material/info:"),
    ]
    chosen = st.navigation(pages, position="top")
    st.html(STYLE)
    ask_for_name()
    chosen.run()


if __name__ == "__main__":
    main()
