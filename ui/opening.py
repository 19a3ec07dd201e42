"""What every page opens with: the room, the reader's name, the banners, and one sentence where something fails."""

from __future__ import annotations

import getpass
import html
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st

from audit.report_words import RESEARCH_USE, SYNTHETIC
from audit.service import Actor, Room, open_room
from medproto.errors import LedgerUnavailable, MedprotoError

HOME_VARIABLE: Final = "MEDPROTO_HOME"
URL_VARIABLE: Final = "MEDPROTO_LEDGER_URL"
#: Set to anything by who starts the server on loopback for a demonstration: nobody signs in.
DEMO_VARIABLE: Final = "MEDPROTO_DEMO"
DEFAULT_HOME: Final = "medproto-home"
WORKLIST_PAGE: Final = "screens/worklist.py"
EXAM_PAGE: Final = "screens/exam.py"
LEDGER_PAGE: Final = "screens/ledger.py"
_NAME: Final = "reader_name"


def home() -> Path:
    """The directory that holds ledger, keys and evidence."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)


def opened() -> Room:
    """The room, freshly opened: a database that went away and came back is found again by the next click.

    Raises:
        LedgerUnavailable: there is none.
    """
    return open_room(home(), os.environ.get(URL_VARIABLE) or None)


def ask_for_name() -> None:
    """The sidebar's field for the reader's name, kept while the browser tab is open."""
    if _NAME not in st.session_state:
        st.session_state[_NAME] = os.environ.get("USER") or _login_name()
    with st.sidebar:
        st.text_input("Your name", key=_NAME, max_chars=80, help="Written into the ledger with all that you sign here.")
        st.caption("Nobody signs in on this machine: the name is taken on trust, and every entry says role ‘reader’.")


def actor() -> Actor:
    """Who acts: the name from the sidebar, as a local reader."""
    return Actor(str(st.session_state.get(_NAME, "")).strip() or "unnamed", "reader")


def shown(draw: Callable[[Room], None]) -> None:
    """Runs one page over an open room; whatever fails is said in one sentence, never as a traceback."""
    try:
        with opened() as room:
            draw(room)
    except LedgerUnavailable as err:
        banners(synthetic=False)
        _no_ledger(err)
    except MedprotoError as err:
        banners(synthetic=False)
        st.error(_sentence(err), icon=":material/error:")
        st.page_link(WORKLIST_PAGE, label="Back to the worklist", icon=":material/list:")


def banners(synthetic: bool) -> None:
    """The line that stays at the top of every page: what the data are, what the use is, and who is reading."""
    tags = [f'<span class="mp-banner mp-synthetic">{SYNTHETIC}</span>'] if synthetic else []
    tags.append(f'<span class="mp-banner">{RESEARCH_USE}</span>')
    who = html.escape(actor().name)
    hint = "Change the name in the side bar, top left"
    reader = f'<span class="mp-who" title="{hint}">Not signed in: local reader <b>{who}</b></span>'
    st.html(f'<div class="mp-banners">{"".join(tags)}{reader}</div>')


def _sentence(err: MedprotoError) -> str:
    """An error's words as a sentence: a capital at its head, one full stop at its end."""
    text = str(err).rstrip(". ")
    return f"{text[:1].upper()}{text[1:]}."


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return "reader"


def _no_ledger(err: LedgerUnavailable) -> None:
    st.subheader("There is no ledger here yet")
    st.write(f"This reading room looks for its ledger in `{home()}` and found none that it can read.")
    st.write(f"What it met: {_sentence(err)}")
    st.markdown(
        "- To try it with synthetic exams, run `make demo`, then open this page again.\n"
        "- To read your own exams, score them first: `medproto score` writes the ledger.\n"
        f"- If the ledger lies elsewhere, start with the environment variable `{HOME_VARIABLE}` set to its directory."
    )
    st.button("Look again", icon=":material/refresh:")
