"""Worklist: which exams wait, the farthest over the operating point first, and the way into each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import streamlit as st

from audit.service import (
    LedgerFilter,
    Room,
    WorklistCounts,
    WorklistFilter,
    WorklistItem,
    ledger_page,
    refusals,
    worklist_counts,
    worklist_page,
)
from medproto.records import Decision, RefusedRecord
from medproto.summary import number, percent
from ui import listing
from ui.blind import blind_first
from ui.export import report_bytes
from ui.opening import EXAM_PAGE, actor, banners, shown

_PAGE_SIZE: Final = 14
_COLUMNS: Final = listing.Columns(
    ("Exam", "Outcome", "Score against operating point", "Probability", "Input checks", "Reading", "Scored (UTC)"),
    "2fr 1.2fr 2.1fr 1.1fr 2fr .9fr 1.5fr",
    0.09,
)
_DECISIONS: Final[dict[str, Decision | None]] = {
    "Flagged": "flagged",
    "No decision": "no decision",
    "Not flagged": "not flagged",
    "All": None,
}
_REFUSED: Final = "Refused"
_READINGS: Final[dict[str, WorklistFilter]] = {
    "Waiting": WorklistFilter(status="open"),
    "Agreed": WorklistFilter(verdict="agree"),
    "Disagreed": WorklistFilter(verdict="disagree"),
    "Referred": WorklistFilter(verdict="refer"),
    "Any": WorklistFilter(),
}
_AT: Final = "worklist_at"


def draw(room: Room) -> None:
    """Draws filters with counts, search, and one page of the exams that match."""
    every = worklist_counts(room, WorklistFilter())
    banners(bool(every.synthetic))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Worklist", anchor=False, width="content")
        _summary(every)
    if not every.scored and not every.refused:
        st.info("No exam has been scored yet. Run `make demo`, or score your own exams with `medproto score`.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        reading = st.selectbox("Reading", list(_READINGS), key="worklist_reading", width=130)
        search = st.text_input("Search", placeholder="Exam or patient pseudonym", key="worklist_search", width=270)
        which = replace(_READINGS[reading], search=search.strip(), by_age=blind_first())
        # How many are flagged under a search for one exam would tell its outcome.
        kind = "All" if which.by_age else _kind(worklist_counts(room, which))
    if kind == _REFUSED:
        _refused(room, search)
    else:
        _exams(room, replace(which, decision=_DECISIONS[kind]), kind)


def _summary(counts: WorklistCounts) -> None:
    """How much waits, in one line."""
    waits = "1 exam waits" if counts.open == 1 else f"{counts.open} exams wait"
    st.caption(f"{waits} for a reading, of {counts.scored} scored; {counts.refused} could not be scored.")


def _kind(counts: WorklistCounts) -> str:
    """Which outcome is listed; each choice says how many exams it holds under the other filters."""
    numbers = {name: counts.decisions[decision] for name, decision in _DECISIONS.items() if decision}
    numbers |= {"All": counts.scored, _REFUSED: counts.refused}
    kind = st.segmented_control(
        "Outcome",
        list(numbers),
        default="Flagged",
        format_func=lambda name: f"{name} {numbers[name]}",
        key="worklist_kind",
    )
    return kind or "All"


def _exams(room: Room, which: WorklistFilter, kind: str) -> None:
    """One page of lines, the one that the keyboard is on marked; only this page is read from the database."""
    asked = int(st.session_state.get(f"worklist_page_{kind}", 0))
    found = worklist_page(room, which, asked * _PAGE_SIZE, _PAGE_SIZE)
    page = listing.rows_page(f"worklist_page_{kind}", found.total, _PAGE_SIZE)
    if page != asked:  # the list grew shorter than the page that was open
        found = worklist_page(room, which, page * _PAGE_SIZE, _PAGE_SIZE)
    if not found.total:
        st.info(f"No exam matches “{kind}” with these filters. Choose “All” and “Any”, or clear the search.")
        return
    at = min(int(st.session_state.get(_AT, 0)), len(found.items) - 1)
    with st.container(gap=None):
        listing.head(_COLUMNS)
        for place, item in enumerate(found.items):
            if listing.row(_COLUMNS, _cells(item), "Open", f"open_{item.number}", marked=place == at):
                _open(item)
    _keyboard(at, found.items)


def _keyboard(at: int, items: Sequence[WorklistItem]) -> None:
    """Buttons that the keyboard presses: up, down, and open the marked line."""
    with st.container(horizontal=True, key="keyboard"):
        st.button("Up", key="up", shortcut="k", type="tertiary", disabled=not at, on_click=_mark, args=(at - 1,))
        last = at == len(items) - 1
        st.button("Down", key="down", shortcut="j", type="tertiary", disabled=last, on_click=_mark, args=(at + 1,))
        if st.button("Open the marked exam", key="open_marked", shortcut="o", type="tertiary"):
            _open(items[at])


def _mark(place: int) -> None:
    st.session_state[_AT] = place


def _open(item: WorklistItem) -> None:
    st.switch_page(EXAM_PAGE, query_params={"entry": str(item.number)})


def _cells(item: WorklistItem) -> list[str]:
    if blind_first():
        return _blind_cells(item)
    scored = item.decision != "no decision"
    kind = {"flagged": "flagged", "no decision": "none"}.get(item.decision, "")
    against = f"{number(item.margin)} against {number(item.operating_margin)}" if scored else "not shown"
    chance = percent(item.probability) if scored and item.probability is not None else "not shown"
    counts = ((item.warnings, "warning"), (item.notes, "note"), (item.refused_images, "refused"))
    checks = ", ".join(f"{n} {word}{'s' if n > 1 and word != 'refused' else ''}" for n, word in counts if n)
    return [
        listing.text(item.exam_id),
        f'<span><span class="mp-chip {kind}">{item.decision}</span></span>',
        listing.text(against),
        listing.text(chance),
        listing.text(checks or "nothing to report"),
        listing.text(item.verdict or "open"),
        listing.text(f"{item.time:%Y-%m-%d %H:%M}"),
    ]


def _blind_cells(item: WorklistItem) -> list[str]:
    """A line that says nothing of the model's result."""
    kept = listing.text("after your opinion")
    reading, scored = listing.text(item.verdict or "open"), listing.text(f"{item.time:%Y-%m-%d %H:%M}")
    return [listing.text(item.exam_id), kept, kept, kept, kept, reading, scored]


def _refused(room: Room, search: str) -> None:
    """Exams that were not scored at all, each with the reasons in words."""
    st.caption("Exams that could not be scored. They have no score and no evidence; the reasons are in the ledger.")
    if search:
        st.caption("The search does not apply here: an exam that was not scored has no pseudonym.")
    total = ledger_page(room, LedgerFilter(kinds=("refusal", "failure")), 0, 1).total
    if not total:
        st.info("No exam was refused.")
        return
    page = listing.rows_page("refused_page", total, _PAGE_SIZE)
    for entry in refusals(room, page * _PAGE_SIZE, _PAGE_SIZE):
        with st.expander(f"Entry {entry.number}, {entry.time:%Y-%m-%d %H:%M} UTC: {_sentence(entry.payload)}"):
            images = [RefusedRecord.model_validate(dict(r)) for r in entry.payload.get("refused", ())]
            for image in images:
                reasons = " ".join(f.sentence for f in image.findings)
                st.text(f"{image.image_id}: {reasons}")
            if not images:
                st.write("No image of this exam is named in the entry.")
            if entry.kind == "refusal":
                st.download_button(
                    "Report as PDF",
                    data=partial(report_bytes, entry.number, actor()),
                    file_name=f"refused-entry-{entry.number}.pdf",
                    mime="application/pdf",
                    on_click="ignore",
                    icon=":material/picture_as_pdf:",
                    key=f"refused_pdf_{entry.number}",
                )


def _sentence(payload: object) -> str:
    said = payload.get("sentence") if isinstance(payload, dict) else None
    return str(said) if said else "scoring failed; the details are kept out of the ledger"


if __name__ == "__main__":
    shown(draw)
