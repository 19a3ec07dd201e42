"""Worklist: which exams wait, in the order that the reader chose, and the way into each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import streamlit as st

from audit.access import permitted
from audit.report_words import refusal_reasons
from audit.service import (
    LedgerFilter,
    Room,
    WorklistCounts,
    WorklistFilter,
    WorklistItem,
    WorklistPage,
    ledger_page,
    refusals,
    worklist_counts,
    worklist_page,
)
from medproto.records import Decision, RefusedRecord
from medproto.summary import number, percent
from ui import listing
from ui.blind import blind_first
from ui.drafts import unsigned
from ui.export import at_the_click, report_bytes
from ui.opening import EXAM_PAGE, actor, banners, shown
from ui.waiting import bring_back, by_age, order_choice, remember

_IMPORT_PAGE: Final = "screens/bring_in.py"
_PAGE_SIZE: Final = 14
_COLUMNS: Final = listing.Columns(
    ("Exam", "Outcome", "Score against operating point", "Probability", "Input checks", "Reading", "Scored (UTC)"),
    "2fr 1.2fr 2.1fr 1.1fr 2fr .9fr 1.5fr",
    0.09,
)
_BLIND_COLUMNS: Final = listing.Columns(
    ("Exam", "Score and input checks", "Reading", "Scored (UTC)"), "2fr 3fr 1.5fr 1.5fr", _COLUMNS.button
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
    "Read, not closed": WorklistFilter(status="reviewed"),
    "Closed": WorklistFilter(status="final"),
    "Any": WorklistFilter(),
}
#: Place of the marked line in the list, and which list that is.
_AT: Final = "worklist_at"
_LIST: Final = "worklist_list"


def draw(room: Room) -> None:
    """Draws filters with counts, search, and one page of the exams that match."""
    every = worklist_counts(room, WorklistFilter())
    banners(bool(every.synthetic))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Worklist", anchor=False, width="content")
        _summary(every)
    if not every.scored and not every.refused:
        _nothing_scored()
        return
    bring_back()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        reading = st.selectbox("Reading", list(_READINGS), key="worklist_reading", width=165)
        search = st.text_input("Search", placeholder="Exam or patient pseudonym", key="worklist_search", width=200)
        order_choice()
        which = replace(_READINGS[reading], search=search.strip(), by_age=by_age())
        kind = _kind(worklist_counts(room, which))
    remember("worklist_reading", "worklist_search", "worklist_kind")
    if kind == _REFUSED:
        _refused(room, search)
    else:
        _exams(replace(which, decision=_DECISIONS[kind]), kind)


def _summary(counts: WorklistCounts) -> None:
    """How much waits, in one line."""
    waits = "1 exam waits" if counts.open == 1 else f"{counts.open} exams wait"
    st.caption(f"{waits} for a reading, of {counts.scored} scored; {counts.refused} could not be scored.")


def _nothing_scored() -> None:
    """What a new room says, and the way to its first exam."""
    st.info("No exam has been scored yet. What is imported here, or scored with `medproto score`, is listed.")
    if permitted(actor().role, "score"):
        st.page_link(_IMPORT_PAGE, label="Import exams", icon=":material/upload_file:")


def _kind(counts: WorklistCounts) -> str:
    """Which outcome is listed; each choice says how many exams it holds under the other filters."""
    # How many are flagged under a search for one exam would tell its outcome.
    told = {} if blind_first() else {name: kind for name, kind in _DECISIONS.items() if kind}
    numbers = {name: counts.decisions[decision] for name, decision in told.items()}
    numbers |= {"All": counts.scored, _REFUSED: counts.refused}
    if st.session_state.setdefault("worklist_kind", next(iter(numbers))) not in (None, *numbers):
        st.session_state["worklist_kind"] = "All"
    kind = st.segmented_control(
        "Outcome" if told else "Exams",
        list(numbers),
        format_func=lambda name: f"{name} {numbers[name]}",
        key="worklist_kind",
    )
    return kind or "All"


@st.fragment
def _exams(which: WorklistFilter, kind: str) -> None:
    """The lines, which the keys move in without the counts being asked for anew."""
    shown(partial(_lines, which, kind))


def _lines(which: WorklistFilter, kind: str, room: Room) -> None:
    """The page of lines with the one that the keyboard is on; only this page is read from the database."""
    if st.session_state.get(_LIST) != which:  # the place in one list says nothing of another
        st.session_state[_LIST] = which
        _mark(0)
    at = int(st.session_state[_AT])
    found = worklist_page(room, which, _page_of(at), _PAGE_SIZE)
    if not found.items and found.total:  # the list grew shorter than the place that was marked
        at = found.total - 1
        found = worklist_page(room, which, _page_of(at), _PAGE_SIZE)
    if not found.total:
        st.info(_none_listed(which, kind))
        return
    at = min(at, found.total - 1)
    columns = _BLIND_COLUMNS if blind_first() else _COLUMNS
    with st.container(gap=None):
        listing.head(columns)
        for place, item in enumerate(found.items, _page_of(at)):
            if listing.row(columns, _cells(item), "Open", f"open_{item.number}", marked=place == at):
                _open(item, place)
    _keyboard(at, found)


def _none_listed(which: WorklistFilter, kind: str) -> str:
    """What an empty list says: that the work is done, or how to find what is looked for."""
    if which.status != "open" or which.search:
        return f"No exam matches “{kind}” with these filters. Choose “All” and “Any”, or clear the search."
    if which.decision is None:
        return "Every exam has been read. Choose “Any” to see them."
    return f"No exam under “{kind}” waits for a reading. Choose “All” to see whether another does."


def _keyboard(at: int, found: WorklistPage) -> None:
    """Buttons that the keyboard presses: they move the mark, over the page's edges too, and open the marked line."""
    page, last = _page_of(at), found.total - 1
    moves = (
        ("Down", "j", at + 1),
        ("Up", "k", at - 1),
        ("First", "Home", 0 if at else -1),
        ("Last", "End", last if at < last else last + 1),
        ("Page on", "PageDown", page + _PAGE_SIZE),
        ("Page back", "PageUp", page - _PAGE_SIZE),
    )
    with st.container(horizontal=True, vertical_alignment="center", key="keyboard"):
        if st.button("Open the marked exam", key="open_marked", shortcut="o", type="tertiary"):
            _open(found.items[at - page], at)
        for words, keys, to in moves:
            name, out = words.lower().replace(" ", "_"), not 0 <= to <= last
            st.button(words, key=name, shortcut=keys, type="tertiary", disabled=out, on_click=_mark, args=(to,))
        st.caption(f"{page + 1} to {page + len(found.items)} of {found.total}", width="content")


def _page_of(place: int) -> int:
    """Place of the first line of the page that this place is on."""
    return place - place % _PAGE_SIZE


def _mark(place: int) -> None:
    st.session_state[_AT] = place


def _open(item: WorklistItem, place: int) -> None:
    _mark(place)
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
        listing.text(_reading(item)),
        listing.text(f"{item.time:%Y-%m-%d %H:%M}"),
    ]


def _blind_cells(item: WorklistItem) -> list[str]:
    """A line that says nothing of the model's result."""
    parts = (item.exam_id, "shown after your opinion", _reading(item), f"{item.time:%Y-%m-%d %H:%M}")
    return [listing.text(part) for part in parts]


def _reading(item: WorklistItem) -> str:
    """What was signed last, or that something was entered here and not signed."""
    if item.number in unsigned():
        return "not signed"
    return f"{item.verdict}, closed" if item.status == "final" else item.verdict or "open"


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
        images = [RefusedRecord.model_validate(dict(r)) for r in entry.payload.get("refused", ())]
        said = " ".join(refusal_reasons(images[0])) if len(images) == 1 else _sentence(entry.payload)
        with st.expander(f"Entry {entry.number}, {entry.time:%Y-%m-%d %H:%M} UTC: {said}"):
            for image in images:
                st.text(f"{image.image_id}: {' '.join(finding.sentence for finding in image.findings)}")
            if not images:
                st.write("No image of this exam is named in the entry.")
            if entry.kind == "refusal" and permitted(actor().role, "report"):
                st.download_button(
                    "Report as PDF",
                    data=at_the_click(partial(report_bytes, entry.number)),
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
