"""What every page opens with: the room, the reader's name, the banners, and one sentence where something fails."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

import streamlit as st

from audit.report_words import RESEARCH_USE
from audit.room import KEYS
from audit.service import Actor, Room, open_room
from medproto.errors import AccessRefused, LedgerAbsent, LedgerUnavailable, MedprotoError
from ui.sessions import DEMO_AUDITOR, DEMO_READER, DEMO_ROLE, SIGN_OUT, holder

HOME_VARIABLE: Final = "MEDPROTO_HOME"
URL_VARIABLE: Final = "MEDPROTO_LEDGER_URL"
#: Set to anything by who starts the server on loopback for a demonstration: nobody signs in.
DEMO_VARIABLE: Final = "MEDPROTO_DEMO"
DEFAULT_HOME: Final = "medproto-home"
_LOOK_S: Final = 3
_BY_THE_CLOCK: Final = ContextVar("by_the_clock", default=False)
WORKLIST_PAGE: Final = "screens/worklist.py"
EXAM_PAGE: Final = "screens/exam.py"
LEDGER_PAGE: Final = "screens/ledger.py"


def home() -> Path:
    """The directory that holds ledger, keys and evidence."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)


def opened() -> Room:
    """The room on nobody's behalf, freshly opened: a database that was away is found again by the next click.

    Raises:
        LedgerUnavailable: there is none.
    """
    return open_room(home(), os.environ.get(URL_VARIABLE) or None)


def demo() -> bool:
    """Whether nobody signs in, because the server was started for a demonstration."""
    return bool(os.environ.get(DEMO_VARIABLE))


def who_sends(cookies: Mapping[str, str], touch: bool = True) -> Actor | None:
    """Who sends these cookies; in a demonstration the demo reader, unless they chose to be the demo auditor."""
    return holder(home(), cookies, touch) or (DEMO_READER if demo() else None)


def current_actor(touch: bool = True) -> Actor | None:
    """Who acts on this page, None for nobody; `touch` counts as being asked for something."""
    return who_sends(browser_cookies(), touch and not _BY_THE_CLOCK.get())


@contextmanager
def by_the_clock() -> Iterator[None]:
    """What is drawn in here is drawn again by itself: that nobody asks for, and a session ends all the same."""
    before = _BY_THE_CLOCK.set(True)
    try:
        yield
    finally:
        _BY_THE_CLOCK.reset(before)


def actor() -> Actor:
    """Who acts on this page.

    Raises:
        AccessRefused: nobody is signed in, or not any more.
    """
    who = current_actor()
    if who is None:
        raise AccessRefused("sign-in: nobody is signed in here any more")
    return who


def browser_cookies() -> Mapping[str, str]:
    """What the browser sent when this page was opened."""
    return st.context.cookies


def entered() -> Room:
    """The room, opened for whoever acts on this page: it lets nothing pass that their role is not for.

    Raises:
        AccessRefused: nobody is signed in.
        LedgerUnavailable: there is no ledger.
    """
    who = actor()
    return opened().held_by(who)


def shown(draw: Callable[[Room], None]) -> None:
    """Runs one page over an open room; whatever fails is said in one sentence, never as a traceback."""
    try:
        room = entered()
    except MedprotoError as err:
        _not_opened(err)
        return
    try:
        with room:
            draw(room)
    except LedgerUnavailable as err:
        _not_opened(err)
    except MedprotoError as err:
        banners(synthetic=False)
        _refused(err)


def banners(synthetic: bool, words: str = "SYNTHETIC DATA") -> None:
    """The line that stays at the top of every page: what the data are, what the use is, and who is reading.

    Args:
        synthetic: whether anything of the page is synthetic.
        words: how that is said; by default as of a list, in which some may be of patients.
    """
    tags = [f'<span class="mp-banner mp-synthetic">{words}</span>'] if synthetic else []
    tags.append(f'<span class="mp-banner">{RESEARCH_USE}</span>')
    st.html(f'<div class="mp-banners">{"".join(tags)}{_who()}</div>')


def _who() -> str:
    """Who reads, in the line at the top, and the way out."""
    who = current_actor()
    if who is None:
        return ""
    name = f"{html.escape(who.name)}"
    if demo():
        other = (DEMO_READER if who == DEMO_AUDITOR else DEMO_AUDITOR).role
        # Not `role`: the page's sanitiser drops the name of anything that a form has of its own.
        button = f'<button type="submit" name="act_as" value="{other}">be the {other}</button>'
        return f'<span class="mp-who">Nobody signs in: <b>{name}</b></span>{_form(DEMO_ROLE, button)}'
    out = '<button type="submit">Sign out</button>'
    return f'<span class="mp-who"><b title="{name}">{name}</b>, {html.escape(who.role)}</span>{_form(SIGN_OUT, out)}'


def _form(action: str, button: str) -> str:
    return f'<form class="mp-form" method="post" action="{action}">{button}</form>'


def sentence(err: MedprotoError) -> str:
    """An error's words as a sentence."""
    return sentence_of(str(err))


def sentence_of(words: str) -> str:
    """Words with a capital at their head and one full stop at their end."""
    text = words.rstrip(". ")
    return f"{text[:1].upper()}{text[1:]}."


def _refused(err: MedprotoError) -> None:
    st.error(sentence(err), icon=":material/error:")
    st.page_link(WORKLIST_PAGE, label="Back to the worklist", icon=":material/list:")


def _not_opened(err: MedprotoError) -> None:
    """Why there is nothing to draw; the page goes on by itself when there is."""
    banners(synthetic=False)
    if isinstance(err, LedgerUnavailable) and not (home() / KEYS).exists():
        _no_ledger(err)
    elif isinstance(err, LedgerUnavailable):
        _away(err)
    else:
        _refused(err)
    if not isinstance(err, AccessRefused):
        st.fragment(_look, run_every=_LOOK_S)()


def _no_ledger(err: LedgerUnavailable) -> None:
    st.subheader("There is no ledger here yet")
    st.write(f"This reading room looks for its ledger in `{home()}` and found none that it can read.")
    st.write(f"What it met: {sentence(err)}")
    st.markdown(
        "- To try it with synthetic exams, run `make demo`, then open this page again.\n"
        "- To read your own exams, score them first: `medproto score` writes the ledger.\n"
        f"- If the ledger lies elsewhere, start with the environment variable `{HOME_VARIABLE}` set to its directory."
    )


def _away(err: LedgerUnavailable) -> None:
    met = "its database is not where it was" if isinstance(err, LedgerAbsent) else str(err)
    st.subheader("The ledger cannot be reached just now", anchor=False)
    st.write(f"{sentence_of(met)} Until it is back nothing can be opened or signed; what you entered is kept.")
    st.caption("This page looks again every few seconds, and goes on by itself as soon as the ledger is back.")


def _look() -> None:
    """Draw the page again once there is a ledger."""
    try:
        opened().close()
    except MedprotoError:
        return
    st.rerun()
