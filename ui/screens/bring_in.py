"""Import: exams by upload or from the inbox, with what the input checks say of every image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import streamlit as st

from audit.access import require
from audit.report_words import refusal_reasons
from audit.service import Entry, Room, prediction, refusals
from medproto.errors import MedprotoError
from medproto.records import Prediction, RefusedRecord
from ui import importing
from ui.blind import blind_first
from ui.evidence_html import findings_html
from ui.importing import Imported, begin, imports, inbox_folders, set_aside
from ui.opening import EXAM_PAGE, URL_VARIABLE, actor, banners, home, shown

_UPLOAD_MB: Final = 1024
_TURN: Final = "import_turn"
_LOOKED_THROUGH: Final = 1_000


def draw(room: Room) -> None:
    """Draws the two ways in, then the imports with their progress and results."""
    banners(synthetic=False)
    st.subheader("Import", anchor=False)
    bundle = os.environ.get(importing.BUNDLE_VARIABLE)
    if not bundle:
        st.info("No model is loaded, so nothing can be scored here. Start with `medproto ui --bundle FOLDER`.")
    else:
        _ways_in(room, Path(bundle))
    _progress()


def _ways_in(room: Room, bundle: Path) -> None:
    target = importing.Target(home(), os.environ.get(URL_VARIABLE) or None, bundle)
    left, right = st.columns([0.6, 0.4], gap="large")
    with left:
        uploads = st.file_uploader(
            "DICOM files, or zips of them: any number of exams",
            accept_multiple_files=True,
            max_upload_size=_UPLOAD_MB,
            # A new key empties the field once its files were taken.
            key=f"import_files_{st.session_state.get(_TURN, 0)}",
        )
        pressed = st.button("Score these files", type="primary", disabled=not uploads, key="import_uploads")
        st.caption("The files are removed when they are scored: the ledger keeps their digests, pictures and result.")
    if pressed and uploads:
        require(room, "score", actor())
        _try_begin([(upload.name, upload) for upload in uploads], target, None)
    with right:
        _inbox(room, target)


def _inbox(room: Room, target: importing.Target) -> None:
    inbox = os.environ.get(importing.INBOX_VARIABLE)
    if not inbox:
        st.caption("Folders can be imported too: start with `medproto ui --inbox FOLDER`.")
        return
    folders = {path.name: path for path in inbox_folders(Path(inbox))}
    chosen = st.selectbox("A folder of the inbox", list(folders), index=None, key="import_folder")
    if st.button("Score this folder", disabled=chosen is None, key="import_inbox") and chosen:
        require(room, "score", actor())
        _try_begin([], target, folders[chosen])


def _try_begin(uploads: list[tuple[str, object]], target: importing.Target, source: Path | None) -> None:
    try:
        folder = set_aside(target.home, uploads)  # type: ignore[arg-type] # Streamlit's uploads are files
    except MedprotoError as err:
        st.error(str(err))
        return
    begin(folder, target, actor(), source)
    st.session_state[_TURN] = int(st.session_state.get(_TURN, 0)) + 1
    st.rerun()


def _progress() -> None:
    """The imports; they look again by themselves while one is under way."""
    under_way = any(one.ended is None for one in imports(home()))
    st.fragment(_listed, run_every=2 if under_way else None)(under_way)


def _listed(was_under_way: bool) -> None:
    found = imports(home())
    if was_under_way and all(one.ended is not None for one in found):
        st.rerun()
    if not found:
        st.caption("Nothing was imported here yet.")
    for place, one in enumerate(found):
        with st.container(border=True):
            _import(one)
            if one.entries and (place == 0 or st.toggle("Show its exams", key=f"import_{one.begun}")):
                shown(lambda room, one=one: _results(room, one))  # type: ignore[misc]


def _import(one: Imported) -> None:
    head = f"**{one.begun:%Y-%m-%d %H:%M} UTC**, {one.files} files, by {one.who}"
    done, total = len(one.entries), one.exams
    if one.ended is None and total is None:
        st.markdown(f"{head}: waits, or is being looked through")
    elif one.ended is None:
        st.progress(done / max(total or 0, 1), text=f"{head}: {done} of {total} exams")
    elif one.ended in (0, 3):
        st.markdown(f"{head}: {done} of {total} exams done")
    else:
        st.markdown(f"{head}: ended early, {done} exams done")
        st.error(one.said or "The scoring ended without a word.")


def _results(room: Room, one: Imported) -> None:
    # A reader sees predictions one by one and what could not be scored as the worklist lists it.
    refused = {entry.number: entry for entry in refusals(room, 0, _LOOKED_THROUGH)}
    for number in one.entries:
        if number in refused:
            _not_scored(refused[number])
        else:
            _scored(*prediction(room, number))


def _scored(entry: Entry, record: Prediction) -> None:
    refused = f", {len(record.refused)} refused" if record.refused else ""
    decision = "scored" if blind_first() else record.decision
    name = f"{record.exam_id}: {decision}; {len(record.images)} images scored{refused}"
    with st.expander(name, expanded=bool(record.refused)):
        if not blind_first():
            st.html(findings_html(record))
        if st.button("Open", key=f"import_open_{entry.number}"):
            st.switch_page(EXAM_PAGE, query_params={"entry": str(entry.number)})


def _not_scored(entry: Entry) -> None:
    """An exam of which nothing was scored, with the reasons for every image."""
    said = entry.payload.get("sentence") or "scoring failed; the details are kept out of the ledger"
    with st.expander(f"Entry {entry.number}, {entry.kind}: {said}", expanded=True):
        for image in (RefusedRecord.model_validate(dict(r)) for r in entry.payload.get("refused", ())):
            st.text(f"{image.image_id}: {' '.join(refusal_reasons(image))}")


if __name__ == "__main__":
    shown(draw)
