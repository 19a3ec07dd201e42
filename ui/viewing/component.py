"""The viewer on a page: one Streamlit component, made of the scripts beside this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import streamlit as st

from ui.viewing.wall import Exam, labels_of, wall_of

#: What the segmented control says for all evidence that speaks for the class.
ALL: Final = "All"
#: In the order in which they name one another.
_SCRIPTS: Final = ("greys", "tiles", "geometry", "truesize", "marks", "pane", "pointer", "commands", "viewer")
_KEY: Final = "viewer"


@dataclass(frozen=True)
class Asked:
    """What the page wants shown.

    Args:
        choice: label of the evidence to show, or `ALL`; when it changes, every view moves to it. None: no evidence.
        times: any other number moves the views there again.
    """

    choice: str | None
    times: int = 0


@dataclass(frozen=True)
class Told:
    """What is called when somebody asks the page for something inside the viewer.

    Args:
        choose: for the evidence of a label.
        prior: for the earlier exam, or to take it away; None where there is none.
    """

    choose: Callable[[str], None]
    prior: Callable[[], None] | None = None


def viewer(exam: Exam, prior: Exam | None, asked: Asked, told: Told) -> None:
    """All views of an exam; beside them those of an earlier one, where it is given."""
    blind = asked.choice is None
    data = wall_of(exam, evidence=not blind) | {
        "key": f"{exam.number} {exam.record.exam_id}{' blind' if blind else ''}",
        "labels": [] if blind else labels_of(exam.record),
        "choice": asked.choice or ALL,
        "asked": asked.times,
        "prior": wall_of(prior, evidence=False) if prior else None,
        "offersPrior": told.prior is not None,
    }
    _component()(
        data=data, key=_KEY, on_clicked_change=partial(_clicked, told), on_prior_change=told.prior or (lambda: None)
    )


def _clicked(told: Told) -> None:
    label = st.session_state[_KEY].clicked
    if label:
        told.choose(str(label))


@cache
def _component() -> Callable[..., Any]:
    """The component, registered once in a process; Streamlit takes scripts of one line for a path."""
    here = Path(__file__).parent
    script = "\n".join(here.joinpath(f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    style = here.joinpath("viewer.css").read_text("utf-8")
    html = '<div class="viewer" role="region" aria-label="Views"></div>'
    component: Callable[..., Any] = st.components.v2.component("medproto_viewer", html=html, css=style, js=script)
    return component
