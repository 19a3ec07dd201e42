"""Which pages there are and what each is for; a page that a role is not for is neither listed nor drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from audit.access import Action, permitted, require
from medproto.errors import AccessRefused, MedprotoError
from ui.drafts import unsigned
from ui.lead_back import lead_back
from ui.opening import banners, current_actor, entered, sentence
from ui.sign_in_page import SIGN_IN

if TYPE_CHECKING:
    from streamlit.navigation.page import Page as StreamlitPage

_HOLDER: Final = "holder"
_LOOKED_AFTER_S: Final = 30


@dataclass(frozen=True)
class Page:
    """A page of the reading room: its script, its name, its icon, and the action without which it is not drawn."""

    script: str
    title: str
    icon: str
    action: Action

    def streamlit_page(self) -> StreamlitPage:
        """The page, listed where whoever is signed in may see it; by its address it is found all the same."""
        who, default = current_actor(), self is PAGES[0]
        listed = default or (who is not None and permitted(who.role, self.action))
        return st.Page(
            f"screens/{self.script}.py",
            title=self.title,
            icon=f":material/{self.icon}:",
            default=default,
            visibility="visible" if listed else "hidden",
        )


PAGES: Final = (
    Page("worklist", "Worklist", "list", "worklist"),
    Page("exam", "Exam", "radiology", "exam"),
    Page("bring_in", "Import", "upload_file", "score"),
    Page("ledger", "Ledger", "receipt_long", "ledger"),
    Page("gallery", "Prototypes", "grid_view", "trace"),
    Page("operations", "Operations", "monitor_heart", "operations"),
    Page("about", "Intended use", "info", "about"),
)


def admitted(page: Page) -> bool:
    """Whether this page is drawn for whoever is signed in; if not, why is said, and written into the ledger."""
    who = current_actor()
    if who is None:
        _signed_out()
        return False
    if st.session_state.setdefault(_HOLDER, who) != who:
        # Somebody else signed in at this browser, and the page came back to what was left of the one before.
        st.session_state.clear()
        st.rerun()
    _watch()
    lead_back()
    if permitted(who.role, page.action):
        return True
    try:
        with entered() as room:
            require(room, page.action)
    except AccessRefused:
        banners(synthetic=False)
        st.error(f"“{page.title}” is not for the role {who.role}. That you asked was written into the ledger.")
    except MedprotoError as err:
        banners(synthetic=False)
        st.error(sentence(err))
    return False


@st.fragment(run_every=_LOOKED_AFTER_S)
def _watch() -> None:
    """Take the page off the screen once its session is over, though nobody touches it."""
    if current_actor(touch=False) is None:
        st.rerun()


def _signed_out() -> None:
    st.subheader("You are signed out", anchor=False)
    st.write("Nothing was asked for a while, you signed out elsewhere, or your user was changed.")
    if begun := unsigned():
        entries = " and ".join(f"entry {number}" for number in begun)
        st.warning(f"What you entered about {entries} was not signed, and is not kept.")
    st.html(f'<a class="mp-again" href="{SIGN_IN}" target="_self">Sign in again</a>')
