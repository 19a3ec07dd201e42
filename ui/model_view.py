"""A model on screen: the figures of its evaluations, and its card, to be read here and taken along."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import partial
from typing import Final

import streamlit as st

from audit.service import Actor, Entry, KnownBundle, LedgerFilter, Room, ledger_page, model_card
from medproto.errors import EvidenceMissing
from medproto.summary import number, percent
from ui.export import at_the_click

_FIGURES: Final = {
    "sensitivity": "Sensitivity at the operating point",
    "specificity": "Specificity at the operating point",
    "top1_in_lesion": "Strongest patch lies in the lesion",
    "unlike_training": "Marked as unlike the training data",
}
_RUNS: Final = 3
#: The page as it was kept brings a style for a window of its own; in this one it has to fit in.
_STYLE: Final = """<style>
.mp-page{font-size:.88rem;line-height:1.5}.mp-page h1{font-size:1.25rem}.mp-page h2{font-size:1.02rem;margin-top:1.4rem}
.mp-page table{border-collapse:collapse;font-size:.82rem;margin:.4rem 0 .8rem}.mp-page .wide{overflow-x:auto}
.mp-page th,.mp-page td{border:1px solid #3a434c;padding:.15rem .5rem;text-align:left;vertical-align:top}
.mp-page .banner{background:#8f3f00;color:#fff;font-weight:600;padding:.16rem .6rem;margin-right:.5rem}
.mp-page .gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem}
.mp-page figure{margin:0}.mp-page figure img{width:100%}
.mp-page dl{display:grid;grid-template-columns:auto 1fr;gap:0 .5rem;font-size:.78rem;margin:.3rem 0 0}
.mp-page dt{color:#aab3bd}.mp-page dd{margin:0;overflow-wrap:anywhere}
</style>"""


def evaluations(room: Room, bundle: KnownBundle) -> None:
    """The newest evaluations of a model, each with its figures and their 95 % intervals."""
    runs = ledger_page(room, LedgerFilter(kind="evaluation run", bundle_id=bundle.bundle_id)).entries
    if not runs:
        st.caption("No evaluation of this model was written into this ledger.")
    for run in runs[:_RUNS]:
        with st.container(border=True):
            st.html(_figures(run))


def card_buttons(room: Room, bundle: KnownBundle) -> None:
    """The model's card: to be read here, and to be saved; a word where none was kept."""
    try:
        page = model_card(room, bundle.bundle_id)
    except EvidenceMissing:
        st.caption("The model card is missing or was altered; the ledger's verification says which file.")
        return
    if page is None:
        st.caption("No model card was kept with this model.")
        return
    with st.container(horizontal=True):
        if st.button("Read the model card", key=f"read_model_{bundle.bundle_id}", icon=":material/description:"):
            _read(page.decode())
        st.download_button(
            "Save it as a page",
            data=at_the_click(partial(card_bytes, bundle.bundle_id)),
            file_name=f"model-card-{bundle.bundle_id[:12]}.html",
            mime="text/html",
            on_click="ignore",
            icon=":material/download:",
            key=f"save_model_{bundle.bundle_id}",
        )


def card_bytes(bundle_id: str, room: Room, _: Actor) -> bytes:
    """The page as it was kept."""
    return model_card(room, bundle_id) or b""


@st.dialog("Model card", width="large")
def _read(page: str) -> None:
    """The page without its head and its list of sections; what is drawn goes through the browser's sanitiser."""
    body = page.partition("<body>")[2].partition("</body>")[0]
    before, _, rest = body.partition("<nav>")
    st.html(f'{_STYLE}<div class="mp-page">{before}{rest.partition("</nav>")[2]}</div>')


def _figures(run: Entry) -> str:
    """One evaluation as facts: value and 95 % interval."""
    results = run.payload["results"]
    rows = [(f"AUROC, {name}", results["auroc"][name]) for name in results.get("auroc", {}) if name == "exam"]
    rows += [(words, results[key]) for key, words in _FIGURES.items() if isinstance(results.get(key), dict)]
    facts = "".join(f"<div><span>{html.escape(name)}</span>{_interval(name, value)}</div>" for name, value in rows)
    about = (
        f"Evaluation in entry {run.number}: {results.get('exams')} exams of {results.get('patients')} patients, "
        f"{results.get('positives')} positive, split “{results.get('split')}”. Values with 95 % intervals."
    )
    return f'<div class="mp-small mp-quiet">{html.escape(about)}</div><div class="mp-facts">{facts}</div>'


def _interval(name: str, value: Mapping[str, float]) -> str:
    said = number if name.startswith("AUROC") else percent
    return f"{said(value['value'])} ({said(value['low'])} to {said(value['high'])})"
