"""Back to the sign-in once the server does not know the browser any more: after its restart, or a computer's sleep."""

from __future__ import annotations

from typing import Final

import streamlit as st

# Streamlit says “Connection failed with status 401.” in a window of its own, and nothing of what to do. Loaded anew,
# the page's address asks for name and password, and leads to the page again.
_SCRIPT: Final = """
let led = false;
const look = () => {
  const said = document.querySelector("[role=dialog]")?.textContent ?? "";
  if (led || !said.includes("status 401")) return;
  led = true;
  location.reload();
};
export default function () {
  const looking = setInterval(look, 500);
  return () => clearInterval(looking);
}
"""


def lead_back() -> None:
    """Have the browser load the page anew when it is told that nobody is signed in."""
    st.components.v2.component("medproto_lead_back", js=_SCRIPT)(key="lead_back", height=0)
