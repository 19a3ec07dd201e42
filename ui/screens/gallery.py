"""Prototypes: every training patch that a model compares with, how often it led a decision, and what readers say."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from audit.report_words import side_and_view
from audit.service import Entry, KnownBundle, LedgerFilter, PrototypeUse, Room, bundles, ledger_page, prototype_uses
from medproto.errors import EvidenceMissing
from medproto.records import PrototypeSource
from medproto.summary import box_words, number, percent
from ui.opening import LEDGER_PAGE, banners, shown
from ui.style import data_uri

_COLUMNS: Final = 6
_FIGURES: Final = {
    "sensitivity": "Sensitivity at the operating point",
    "specificity": "Specificity at the operating point",
    "top1_in_lesion": "Strongest patch lies in the lesion",
    "unlike_training": "Marked as unlike the training data",
}
_ALL: Final = "Every class"


def draw(room: Room) -> None:
    """Draws one bundle: its figures, then its prototypes, those that readers complain of first."""
    known = bundles(room)
    newest = ledger_page(room, LedgerFilter(kind="prediction"), 0, 1).entries
    banners(any(entry.payload["prediction"]["synthetic"] for entry in newest))
    st.subheader("Prototypes", anchor=False)
    if not known:
        st.info("No model was registered here, and none has scored an exam yet.")
        return
    chosen = st.selectbox("Model", known, format_func=_bundle_name, key="gallery_bundle", width=520)
    _card(room, chosen)
    _prototypes(room, chosen)


def _card(room: Room, bundle: KnownBundle) -> None:
    """Where the model comes from, and the figures of its evaluations."""
    st.caption(f"Bundle {bundle.bundle_id}. Licence of its training pictures: {bundle.data_licence}.")
    runs = ledger_page(room, LedgerFilter(kind="evaluation run", bundle_id=bundle.bundle_id)).entries
    if not runs:
        st.caption("No evaluation of this model was written into this ledger.")
    for run in runs[:3]:
        with st.container(border=True):
            st.html(_figures(run))


def _figures(run: Entry) -> str:
    """One evaluation as facts: value and 95 % interval."""
    results = run.payload["results"]
    rows = [(f"AUROC, {name}", results["auroc"][name]) for name in results.get("auroc", {}) if name == "exam"]
    rows += [(words, results[key]) for key, words in _FIGURES.items() if isinstance(results.get(key), dict)]
    facts = "".join(f"<div><span>{html.escape(name)}</span>{_interval(name, value)}</div>" for name, value in rows)
    about = (
        f"Evaluation in entry {run.number}: {results.get('exams')} exams of {results.get('patients')} patients, "
        f"{results.get('positives')} positive, split “{results.get('split')}”"
    )
    return f'<div class="mp-small mp-quiet">{html.escape(about)}</div><div class="mp-facts">{facts}</div>'


def _interval(name: str, value: Mapping[str, float]) -> str:
    said = number if name.startswith("AUROC") else percent
    return f"{said(value['value'])} ({said(value['low'])} to {said(value['high'])})"


def _prototypes(room: Room, bundle: KnownBundle) -> None:
    sources, holder = _sources(room, bundle)
    uses = {use.prototype_id: use for use in prototype_uses(room, bundle.bundle_id)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        classes = list(dict.fromkeys(name for name, _ in sources.values()))
        wanted = st.segmented_control("Class", [_ALL, *classes], default=_ALL, key="gallery_class")
        blamed = st.toggle("Only with complaints", key="gallery_complaints")
    names = [*uses, *(name for name in sources if name not in uses)]
    listed = [
        name
        for name in names
        if name in sources
        and wanted in (None, _ALL, sources[name][0])
        and (not blamed or (name in uses and uses[name].complaints))
    ]
    if not listed:
        st.info("No prototype matches. Choose “Every class”, or switch “Only with complaints” off.")
    for start in range(0, len(listed), _COLUMNS):
        for column, name in zip(st.columns(_COLUMNS), listed[start : start + _COLUMNS], strict=False):
            with column.container(border=True):
                st.html(_tile(name, sources[name], uses.get(name), _patch(room, holder, sources[name][1])))
                if st.button("Its entries", key=f"gallery_{name}", type="tertiary"):
                    st.switch_page(LEDGER_PAGE, query_params={"prototype": name, "bundle": bundle.bundle_id})


_Sources = dict[str, tuple[str, PrototypeSource]]


def _sources(room: Room, bundle: KnownBundle) -> tuple[_Sources, Entry | None]:
    """Class and training patch of every prototype, from the bundle's entry or else its newest prediction."""
    for kind in ("bundle registered", "prediction"):
        for entry in ledger_page(room, LedgerFilter(kind=kind, bundle_id=bundle.bundle_id), 0, 1).entries:
            return _told(entry), entry
    return {}, None


def _told(entry: Entry) -> _Sources:
    told: Sequence[Mapping[str, Any]] = entry.payload.get("prototypes") or entry.payload["prediction"]["matches"]
    return {p["prototype_id"]: (p["prototype_class"], PrototypeSource.model_validate(dict(p["source"]))) for p in told}


def _patch(room: Room, holder: Entry | None, source: PrototypeSource) -> str:
    """The training patch as a picture, or a word that it is gone; patches lie in clear."""
    try:
        shown_patch = data_uri(room.evidence.get(source.patch)) if holder else ""
    except EvidenceMissing:
        return '<div class="gone">The patch is missing.</div>'
    return f'<img src="{shown_patch}" alt="Training patch">'


def _tile(name: str, told: tuple[str, PrototypeSource], use: PrototypeUse | None, picture: str) -> str:
    kind, source = told
    complaints = use.complaints if use else 0
    warned = (
        f"<b>{complaints} {'reader says' if complaints == 1 else 'readers say'} it misled</b>" if complaints else ""
    )
    share = f"led {use.led} of {use.decisions} decisions" if use and use.decisions else "took part in no decision here"
    return (
        f'<div class="mp-tile">{picture}<div class="name">{html.escape(name)}</div>'
        f"{warned}<div>{html.escape(kind)}; {share}</div><div class='mp-quiet'>"
        f"{html.escape(side_and_view(source.laterality, source.view))} of {html.escape(source.image_id)}, "
        f"{box_words(source.box)}</div></div>"
    )


def _bundle_name(bundle: KnownBundle) -> str:
    return f"{bundle.name}, {bundle.bundle_id[:12]}" + ("" if bundle.registered else " (not registered here)")


if __name__ == "__main__":
    shown(draw)
