"""The viewer on a page: one Streamlit component, made of the scripts beside this file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import streamlit as st

from medproto.records import Prediction
from ui.viewing.wall import labels_of, wall_of

#: What the segmented control says for all evidence that speaks for the class.
ALL: Final = "All"
#: In the order in which they name one another.
_SCRIPTS: Final = ("greys", "tiles", "geometry", "marks", "pane", "pointer", "commands", "viewer")
_KEY: Final = "viewer"


def viewer(exam: tuple[int, Prediction], choice: str, asked: int, choose: Callable[[str], None]) -> None:
    """All views of an exam.

    Args:
        exam: number of its entry, and its record.
        choice: label of the evidence to show, or `ALL`; when it changes, every view moves to it.
        asked: any other number moves the views there again.
        choose: called with a label when somebody chooses evidence inside the viewer.
    """
    number, prediction = exam
    data = wall_of(number, prediction) | {
        "key": f"{number} {prediction.exam_id}",
        "labels": labels_of(prediction),
        "choice": choice,
        "asked": asked,
        "prior": None,
    }
    _component()(data=data, key=_KEY, on_clicked_change=partial(_clicked, choose))


def _clicked(choose: Callable[[str], None]) -> None:
    label = st.session_state[_KEY].clicked
    if label:
        choose(str(label))


@cache
def _component() -> Callable[..., Any]:
    """The component, registered once in a process; Streamlit takes scripts of one line for a path."""
    here = Path(__file__).parent
    script = "\n".join(here.joinpath(f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    style = here.joinpath("viewer.css").read_text("utf-8")
    html = '<div class="viewer" role="region" aria-label="Views"></div>'
    component: Callable[..., Any] = st.components.v2.component("medproto_viewer", html=html, css=style, js=script)
    return component
