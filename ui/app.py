"""The reading room's pages: which there are, and for whom. `medproto ui` serves them."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st


def main() -> None:
    """Sets up page and navigation for whoever is signed in, then runs the page that was asked for."""
    # Streamlit puts this file's folder first on the path: the package's own root has to come before it.
    root = str(Path(__file__).resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    from medproto.errors import MedprotoError
    from ui.opening import sentence
    from ui.pages import PAGES, admitted
    from ui.style import ICON, STYLE
    from ui.warming import settle

    # Without an icon of its own the browser would be sent to fetch one from elsewhere.
    st.set_page_config("medproto reading room", ICON, layout="wide", initial_sidebar_state="collapsed")
    try:
        pages = {page: page.streamlit_page() for page in PAGES}
    except MedprotoError as err:
        # Who asks cannot be told, as where the file of users is damaged.
        st.error(sentence(err))
        return
    chosen = st.navigation(list(pages.values()), position="top")
    st.html(STYLE)
    asked = next(page for page, drawn in pages.items() if drawn == chosen)
    if admitted(asked):
        chosen.run()
        settle(asked.script)


if __name__ == "__main__":
    main()
