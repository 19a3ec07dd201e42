"""Import: exams by upload or from the inbox, with what the input checks say of every image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import streamlit as st

from audit.access import require
from audit.report_words import refusal_reasons
from audit.service import Entry, Room, WorklistFilter, outcome_of, prediction, scored_among, worklist_counts
from medproto.errors import LedgerUnavailable, MedprotoError
from medproto.import_step import ImportStep
from medproto.records import Prediction, RefusedRecord
from ui import importing, listing
from ui.blind import blind_first
from ui.evidence_html import findings_html
from ui.importing import Imported, begin, go_on, imports, inbox_folders, remove_files, set_aside
from ui.opening import (
    EXAM_PAGE,
    URL_VARIABLE,
    actor,
    banners,
    by_the_clock,
    current_actor,
    home,
    sentence,
    sentence_of,
    shown,
)
from ui.scoring_line import Target

_UPLOAD_MB: Final = 1024
_TURN: Final = "import_turn"
_EXAMS_AT_ONCE: Final = 10


def draw(room: Room) -> None:
    """Draws the two ways in, then the imports with their progress and results."""
    banners(bool(imports(home())) and bool(worklist_counts(room, WorklistFilter()).synthetic))
    st.subheader("Import", anchor=False)
    bundle = os.environ.get(importing.BUNDLE_VARIABLE)
    if not bundle:
        st.info("No model is loaded, so nothing can be scored here. Start with `medproto ui --bundle FOLDER`.")
    else:
        _ways_in(room, Path(bundle))
    _progress()


def _ways_in(room: Room, bundle: Path) -> None:
    target = _target(bundle)
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


def _target(bundle: Path) -> Target:
    return Target(home(), os.environ.get(URL_VARIABLE) or None, bundle)


def _inbox(room: Room, target: Target) -> None:
    inbox = os.environ.get(importing.INBOX_VARIABLE)
    if not inbox:
        st.caption("Folders can be imported too: start with `medproto ui --inbox FOLDER`.")
        return
    folders = {path.name: path for path in inbox_folders(Path(inbox))}
    chosen = st.selectbox("A folder of the inbox", list(folders), index=None, key="import_folder")
    if st.button("Score this folder", disabled=chosen is None, key="import_inbox") and chosen:
        require(room, "score", actor())
        _try_begin([], target, folders[chosen])


def _try_begin(uploads: list[tuple[str, object]], target: Target, source: Path | None) -> None:
    who = actor()
    try:
        # Begun before the spinner ends: a click elsewhere ends the script there.
        with st.spinner("Setting the files aside ..."):
            begin(set_aside(target.home, uploads), target, who, source)  # type: ignore[arg-type] # uploads are files
    except MedprotoError as err:
        st.error(sentence(err))
        return
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
    else:
        # What is pressed in there counts by `on_click` and `on_change`, which come before.
        with by_the_clock():
            shown(lambda room: _each(room, found))


def _each(room: Room, found: list[Imported]) -> None:
    for place, one in enumerate(found):
        with st.container(border=True):
            _import(room, one)
            if one.kept:
                _left_over(room, one)
            if one.entries and (place == 0 or _unfolded(one)):
                _results(room, one)


def _pressed() -> None:
    """Somebody is there."""
    current_actor()


def _unfolded(one: Imported) -> bool:
    return st.toggle("Show its exams", key=f"import_{one.folder.name}", on_change=_pressed)


def _import(room: Room, one: Imported) -> None:
    head = f"**{one.begun:%Y-%m-%d %H:%M} UTC**, {_counted(one.files, 'file')}, by {one.who}"
    done, total = len(one.entries), one.exams
    if one.ended is None and one.ahead:
        st.markdown(f"{head}: waits for {_counted(one.ahead, 'import')} before it")
    elif one.ended is None and total is None:
        st.markdown(f"{head}: the model is made ready, and the files are looked through")
    elif one.ended is None:
        said = f"{head}: {done} of {_counted(total or 0, 'exam')} done"
        at_hand = f". {_at_hand(one.step)}" if one.step else ""
        st.progress(max(done, _reached(one.step)) / max(total or 0, 1), text=f"{said}{at_hand}")
    elif one.ended in (0, 3):
        scored = scored_among(room, one.entries)
        became = f": {scored} scored, {done - scored} not" if done else ""
        st.markdown(f"{head}: {done} of {_counted(total or 0, 'exam')} done{became}")
    else:
        st.markdown(f"{head}: ended early, {done} of {_counted(total, 'exam') if total else 'its exams'} done")
        st.error(sentence_of(one.said or "the scoring ended without a word"))
    if one.passed_over:
        st.caption(f"{_counted(one.passed_over, 'file')} of the folder passed over: no DICOM by name and content.")


def _reached(step: ImportStep | None) -> float:
    """How many exams an import is through with; one whose images are all read counts half."""
    return 0.0 if step is None else step.exam - 1 + step.read / (2 * max(step.of, 1))


def _at_hand(step: ImportStep) -> str:
    """What is being done, in a sentence."""
    images = f"{step.images:,} of {_counted(step.total, 'image')} read"
    if step.read < step.of:
        return f"{images}: image {step.read + 1} of {step.of} of exam {step.exam} is being read."
    return f"{images}: exam {step.exam} is being scored."


def _left_over(room: Room, one: Imported) -> None:
    """What can be done with the files of an import that ended early."""
    bundle = os.environ.get(importing.BUNDLE_VARIABLE)
    st.caption("Its files are kept. What was scored is in the ledger and is not scored twice.")
    with st.container(horizontal=True):
        further = bundle and st.button("Score the rest", key=f"import_go_on_{one.folder.name}", on_click=_pressed)
        away = st.button("Remove the files", key=f"import_remove_{one.folder.name}", on_click=_pressed)
    if not (further or away):
        return
    require(room, "score", actor())
    if away:
        remove_files(one)
    elif bundle:
        go_on(one, _target(Path(bundle)), actor())
    st.rerun()


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _results(room: Room, one: Imported) -> None:
    """The exams that are done, some at a time; one that cannot be shown does not hide the others."""
    page = listing.rows_page(f"import_page_{one.folder.name}", len(one.entries), _EXAMS_AT_ONCE)
    for number in one.entries[page * _EXAMS_AT_ONCE : (page + 1) * _EXAMS_AT_ONCE]:
        try:
            entry = outcome_of(room, number)
            if entry.kind == "prediction":
                _scored(*prediction(room, number))
            else:
                _not_scored(entry)
        except LedgerUnavailable:
            raise
        except MedprotoError as err:
            st.error(sentence(err))


def _scored(entry: Entry, record: Prediction) -> None:
    refused = f", {len(record.refused)} refused" if record.refused else ""
    decision = "scored" if blind_first() else record.decision
    name = f"{record.exam_id}: {decision}; {_counted(len(record.images), 'image')} scored{refused}"
    left, right = st.columns([0.92, 0.08], gap="small")
    if blind_first():
        left.text(name)
    else:
        with left.expander(name, expanded=bool(record.refused)):
            st.html(findings_html(record))
    if right.button("Open", key=f"import_open_{entry.number}", type="tertiary", width="stretch"):
        st.switch_page(EXAM_PAGE, query_params={"entry": str(entry.number)})


def _not_scored(entry: Entry) -> None:
    """An exam of which nothing was scored, with the reasons for every image."""
    said = entry.payload.get("sentence") or "scoring failed; the details are kept out of the ledger"
    with st.expander(f"Entry {entry.number}, {entry.kind}: {said}", expanded=True):
        for image in (RefusedRecord.model_validate(dict(r)) for r in entry.payload.get("refused", ())):
            st.text(f"{image.image_id}: {' '.join(refusal_reasons(image))}")


if __name__ == "__main__":
    shown(draw)
