"""Exam: the views as they hang, what the model found alike, what that counted, and the reader's review."""

from __future__ import annotations

import html
from functools import partial

import streamlit as st

from audit.access import permitted
from audit.report_words import legend_words, synthetic_words
from audit.service import PriorExam, Room, exam_opened, prediction, prior_exam
from medproto.errors import EntryNotFound
from medproto.records import Prediction
from medproto.summary import opposing, supporting
from ui.blind import kept_back
from ui.drafts import ask_before_leaving, draft_of, leave, leaving, moved_on
from ui.export import at_the_click, report_bytes
from ui.listing import entry_number
from ui.opening import EXAM_PAGE, WORKLIST_PAGE, actor, banners, shown
from ui.reading import ASKED, CHOICE, reading
from ui.review_form import was_signed
from ui.viewing.component import ALL, Asked, Told, viewer
from ui.viewing.wall import Exam, labels_of
from ui.waiting import first, following

_ENTRY = "exam_entry"
#: Whether the patient's earlier exam hangs beside.
_PRIOR = "exam_prior"


def draw(room: Room) -> None:
    """Draws the exam that the address names, or the one that was open last."""
    number = _asked_for()
    if number is None:
        banners(synthetic=False)
        _nothing_open(room)
        return
    _, record = prediction(room, number)
    _write_opened(room, number)
    banners(record.synthetic, synthetic_words(record))
    _title(room, number, record)
    _leaving(room, number)
    wide = bool(st.session_state.get("exam_large"))
    left, right = (st.container(), st.container()) if wide else st.columns([0.54, 0.46], gap="medium")
    with left, st.container(key="exam_views"):
        _views(room, number, record)
    with right:
        reading(number)


def _asked_for() -> int | None:
    """Entry number from the address, remembered while the tab is open."""
    asked = st.query_params.get("entry") or st.session_state.get(_ENTRY)
    if asked is None:
        return None
    number = entry_number(str(asked))
    if number is None:
        raise EntryNotFound(f"exam: got entry {str(asked)[:20]!r}, expected a number; open one from the worklist")
    st.session_state[_ENTRY] = str(asked)
    st.query_params["entry"] = str(asked)
    return number


def _write_opened(room: Room, number: int) -> None:
    """Writes the opening down once a tab and exam, before anything of the exam is shown."""
    seen = st.session_state.setdefault("exams_opened", set())
    if number not in seen:
        exam_opened(room, number, actor())
        seen.add(number)


def _nothing_open(room: Room) -> None:
    st.subheader("No exam is open", anchor=False)
    number, waiting = first(room)
    if number is None:
        st.info("No exam waits for a reading. The worklist shows all that were scored.")
        st.page_link(WORKLIST_PAGE, label="Go to the worklist", icon=":material/list:")
        return
    st.write(f"{waiting} {'exam waits' if waiting == 1 else 'exams wait'} for a reading.")
    if st.button("Open the first", type="primary", shortcut="n"):
        _open(number)


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
            _leave(room, number, record)


def _leave(room: Room, number: int, record: Prediction) -> None:
    """The two ways on: the report, and the next exam without a review."""
    if permitted(actor().role, "report") and not kept_back(room, number):
        st.download_button(
            "Report as PDF",
            data=at_the_click(partial(report_bytes, number)),
            file_name=f"{record.exam_id}-entry-{number}.pdf",
            mime="application/pdf",
            on_click="ignore",
            icon=":material/picture_as_pdf:",
            key="pdf",
            shortcut="Ctrl+S",
        )
    if (after := following(room, number)) is None:
        st.button("Next exam", icon=":material/skip_next:", disabled=True, key="next")
    elif st.button(
        "Next exam",
        type="primary" if was_signed(number) else "secondary",
        icon=":material/skip_next:",
        key="next",
        shortcut="n",
    ):
        if draft_of(number).empty:
            _open(after)
        leave()
        st.rerun()


def _leaving(room: Room, number: int) -> None:
    """The question about an unsigned reading, above everything else of the exam; once answered, the next exam."""
    after = following(room, number) if leaving() else None
    if after is not None and leaving() == "go":
        moved_on()
        _open(after)
    elif after is not None:
        ask_before_leaving(number)


def _open(number: int) -> None:
    st.switch_page(EXAM_PAGE, query_params={"entry": str(number)})


def _views(room: Room, number: int, record: Prediction) -> None:
    blind = kept_back(room, number)
    labels = [] if blind else labels_of(record)
    # The choice outlives the exam it was made on: the next one may not have that label.
    if st.session_state.setdefault(CHOICE, ALL) not in (ALL, *labels):
        st.session_state[CHOICE] = ALL
    choice = None
    if not blind:
        choice = st.segmented_control("Show the evidence of", [ALL, *labels], key=CHOICE, label_visibility="collapsed")
    before = prior_exam(room, number, record)
    prior = _beside(room, before) if before and st.session_state.get(_PRIOR) else None
    told = Told(_choose, _toggle_prior if before else None)
    asked = Asked(None if blind else choice or ALL, st.session_state.get(ASKED, 0))
    viewer(Exam(number, record), prior, asked, told)
    if blind:
        return
    st.caption(
        "Numbered boxes speak for the class, lettered ones against it; “All” shows the numbered ones. "
        f"{legend_words((*supporting(record), *opposing(record)))} "
        "Pictures are shown as stored, not mirrored; the region shown is the one that was scored."
    )


def _choose(label: str) -> None:
    st.session_state[CHOICE] = label


def _toggle_prior() -> None:
    st.session_state[_PRIOR] = not st.session_state.get(_PRIOR)


def _beside(room: Room, prior: PriorExam) -> Exam:
    """The prior as it hangs; looking at it is written down like any other opening."""
    _write_opened(room, prior.number)
    return Exam(prior.number, prior.record, prior.words)


if __name__ == "__main__":
    shown(draw)
