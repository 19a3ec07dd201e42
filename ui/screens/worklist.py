"""Worklist: which exams wait, the farthest over the operating point first, and the way into each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import streamlit as st

from audit.service import Room, WorklistItem, refusals, worklist
from medproto.records import RefusedRecord
from medproto.summary import number, percent
from ui import listing
from ui.export import report_bytes
from ui.opening import EXAM_PAGE, actor, banners, shown

_PAGE_SIZE: Final = 20
_COLUMNS: Final = listing.Columns(
    ("Exam", "Outcome", "Score against operating point", "Probability", "Input checks", "Review", "Scored (UTC)"),
    "2fr 1.2fr 2.1fr 1.1fr 2fr .9fr 1.5fr",
    0.09,
)
_FILTERS: Final = ("Flagged", "No decision", "Not flagged", "All", "Refused")


def draw(room: Room) -> None:
    """Draws filters with counts, search, and the exams that match."""
    items = worklist(room)
    refused = refusals(room)
    banners(any(item.synthetic for item in items))
    st.subheader("Worklist", anchor=False)
    if not items and not refused:
        st.info("No exam has been scored yet. Run `make demo`, or score your own exams with `medproto score`.")
        return
    counts = {name: len(_of_kind(items, name)) for name in _FILTERS[:-1]} | {"Refused": len(refused)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Show", _FILTERS, default="Flagged", format_func=lambda name: f"{name} {counts[name]}", key="worklist_kind"
        )
        search = st.text_input("Search", placeholder="Exam or patient pseudonym", key="worklist_search", width=280)
        open_only = st.toggle("Only without a review", key="worklist_open")
    if kind == "Refused":
        _refused(room, search)
        return
    chosen = [i for i in _of_kind(items, kind or "All") if _matches(i, search) and not (open_only and i.verdict)]
    _exams(chosen, kind or "All")


def _exams(items: Sequence[WorklistItem], kind: str) -> None:
    if not items:
        st.info(f"No exam matches “{kind}” with this search. Choose “All”, or clear the search.")
        return
    page = listing.rows_page("worklist_page", len(items), _PAGE_SIZE)
    with st.container(gap=None):
        listing.head(_COLUMNS)
        for item in items[page * _PAGE_SIZE : (page + 1) * _PAGE_SIZE]:
            if listing.row(_COLUMNS, _cells(item), "Open", f"open_{item.number}"):
                st.switch_page(EXAM_PAGE, query_params={"entry": str(item.number)})


def _cells(item: WorklistItem) -> list[str]:
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


def _refused(room: Room, search: str) -> None:
    """Exams that were not scored at all, each with the reasons in words."""
    st.caption("Exams that could not be scored. They have no score and no evidence; the reasons are in the ledger.")
    entries = [e for e in refusals(room) if search.strip().lower() in (e.exam_id or "").lower()]
    if not entries:
        st.info("No refused exam matches." if search else "No exam was refused.")
        return
    page = listing.rows_page("refused_page", len(entries), _PAGE_SIZE)
    for entry in entries[page * _PAGE_SIZE : (page + 1) * _PAGE_SIZE]:
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


def _of_kind(items: Sequence[WorklistItem], kind: str) -> list[WorklistItem]:
    return [item for item in items if kind == "All" or item.decision == kind.lower()]


def _matches(item: WorklistItem, search: str) -> bool:
    wanted = search.strip().lower()
    return wanted in item.exam_id.lower() or wanted in item.patient_id.lower()


if __name__ == "__main__":
    shown(draw)
