"""Exam: the views as they hang, what the model found alike, what that counted, and the reader's review."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial

import streamlit as st

from audit.report_words import legend_words
from audit.service import Entry, Room, exam_opened, picture, prediction, reviews, worklist
from medproto.errors import EntryNotFound
from medproto.records import Prediction
from medproto.summary import has_score, opposing, supporting
from ui.evidence_html import cards_html, conclusion_html, findings_html, score_html, waterfall_html
from ui.export import report_bytes
from ui.opening import EXAM_PAGE, WORKLIST_PAGE, actor, banners, shown
from ui.review_form import review_form
from ui.viewer import ALL, layers_css, wall_html

_ENTRY = "exam_entry"


def draw(room: Room) -> None:
    """Draws the exam that the address names, or the one that was open last."""
    number = _asked_for()
    if number is None:
        banners(synthetic=False)
        _nothing_open(room)
        return
    entry, record = prediction(room, number)
    _write_opened(room, number)
    banners(record.synthetic)
    _title(room, number, record)
    wide = bool(st.session_state.get("exam_large"))
    left, right = (st.container(), st.container()) if wide else st.columns([0.54, 0.46], gap="medium")
    with left:
        _views(partial(picture, room, entry), record, wide)
    with right:
        st.html(conclusion_html(record) + score_html(record))
        _details(room, entry, record)


def _asked_for() -> int | None:
    """Entry number from the address, remembered while the tab is open."""
    asked = st.query_params.get("entry") or st.session_state.get(_ENTRY)
    if asked is None:
        return None
    if not str(asked).isdecimal():
        raise EntryNotFound(f"exam: got entry {str(asked)[:20]!r}, expected a number; open one from the worklist")
    st.session_state[_ENTRY] = str(asked)
    st.query_params["entry"] = str(asked)
    return int(str(asked))


def _write_opened(room: Room, number: int) -> None:
    """Writes the opening down once a tab and exam, before anything of the exam is shown."""
    seen = st.session_state.setdefault("exams_opened", set())
    if number not in seen:
        exam_opened(room, number, actor())
        seen.add(number)


def _nothing_open(room: Room) -> None:
    st.subheader("No exam is open", anchor=False)
    waiting = worklist(room, "open")
    if not waiting:
        st.info("No exam waits for a review. The worklist shows all that were scored.")
        st.page_link(WORKLIST_PAGE, label="Go to the worklist", icon=":material/list:")
        return
    st.write(f"{len(waiting)} {'exam waits' if len(waiting) == 1 else 'exams wait'} for a review.")
    if st.button("Open the first", type="primary"):
        st.switch_page(EXAM_PAGE, query_params={"entry": str(waiting[0].number)})


def _title(room: Room, number: int, record: Prediction) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.html(
            f'<div><b style="font-size:1.15rem">{html.escape(record.exam_id)}</b><br>'
            f'<span class="mp-quiet mp-small">{html.escape(record.patient_id)}, ledger entry {number}, '
            f"model {html.escape(record.bundle_name)}</span></div>",
            width="content",
        )
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            st.toggle("Large views", key="exam_large")
            st.toggle("Heatmap", value=True, key="heat")
            _opacity()
            _leave(room, number, record)


def _opacity() -> None:
    st.slider(
        "Opacity of the heatmap",
        *(10, 100, 100, 10),
        format="opacity %d %%",
        key="opacity",
        disabled=not st.session_state.get("heat", True),
        width=130,
        label_visibility="collapsed",
    )


def _leave(room: Room, number: int, record: Prediction) -> None:
    """The two ways on: the report, and the next exam without a review."""
    st.download_button(
        "Report as PDF",
        data=partial(report_bytes, number, actor()),
        file_name=f"{record.exam_id}-entry-{number}.pdf",
        mime="application/pdf",
        on_click="ignore",
        icon=":material/picture_as_pdf:",
        key="pdf",
    )
    following = [item for item in worklist(room, "open") if item.number != number]
    if st.button("Next exam", icon=":material/skip_next:", disabled=not following, key="next", shortcut="n"):
        st.switch_page(EXAM_PAGE, query_params={"entry": str(following[0].number)})


def _views(pictures: Callable[[str], bytes], record: Prediction, large: bool) -> None:
    labels = [item.label for item in (*supporting(record), *opposing(record))]
    choice = st.segmented_control(
        "Show the evidence of", [ALL, *labels], default=ALL, key="choice", label_visibility="collapsed"
    )
    st.html(wall_html(record, pictures, large))
    heat, opacity = bool(st.session_state["heat"]), int(st.session_state["opacity"])
    st.html(layers_css(record, choice if choice in labels else ALL, heat, opacity / 100))
    st.caption(
        "Numbered boxes speak for the class, lettered ones against it; “All” shows the numbered ones. "
        f"{legend_words((*supporting(record), *opposing(record)))} "
        "Pictures are shown as stored, not mirrored; the region shown is the one that was scored."
    )


def _details(room: Room, entry: Entry, record: Prediction) -> None:
    warnings = sum(f.severity == "warn" for image in record.images for f in image.findings)
    warnings += sum(f.severity == "warn" for f in record.findings) + len(record.refused)
    checks_name = f"Input checks ({warnings})" if warnings else "Input checks"
    evidence, counted, checks, review = st.tabs(["Evidence", "Contributions", checks_name, "Your review"])
    with evidence:
        st.html(cards_html(record, partial(picture, room, entry)))
    with counted:
        if has_score(record):
            st.html(waterfall_html(record))
        else:
            st.info("Contributions would add up to a score, and none is shown for this exam.")
    with checks:
        st.html(findings_html(record))
    with review:
        review_form(room, entry.number, record, reviews(room, entry.number))


if __name__ == "__main__":
    shown(draw)
