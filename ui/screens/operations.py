"""Operations: whether database, disk and bundle are as they should be, what waits, and which software runs."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from audit.access import require
from audit.service import Room, WorklistFilter, ledger_head, worklist_counts
from ui import importing
from ui.opening import banners, home, shown
from ui.operations import BundleState, check_bundle, disk, versions

_GB = 1e9


def draw(room: Room) -> None:
    """Draws one quiet box for each thing that can go wrong."""
    require(room, "operations")
    banners(synthetic=False)
    st.subheader("Operations", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        _database(room)
        _disk()
        _queue(room)
    with right:
        _bundle()
        st.markdown("**Versions**")
        st.table(versions())


def _database(room: Room) -> None:
    size, root = ledger_head(room)
    st.markdown("**Database**")
    st.write(f"Reachable, {room.ledger.engine.dialect.name}. The ledger holds {size} entries; its head is signed.")
    st.code(root, language=None, wrap_lines=True)


def _disk() -> None:
    found = disk(home())
    st.markdown("**Disk**")
    st.write(
        f"{found.free / _GB:.1f} GB free. Evidence takes {found.evidence / _GB:.2f} GB, "
        f"all other files of the room {found.others / _GB:.2f} GB."
    )
    if found.free < 5 * _GB:
        st.warning("Less than 5 GB are free: scoring stops when an exam's pictures cannot be kept.")


def _queue(room: Room) -> None:
    counts = worklist_counts(room, WorklistFilter())
    waiting = sum(one.ended is None for one in importing.imports(home()))
    st.markdown("**Queue**")
    st.write(f"{waiting} imports wait or run. {counts.open} of {counts.scored} scored exams wait for a reading.")


def _bundle() -> None:
    st.markdown("**Bundle**")
    folder = os.environ.get(importing.BUNDLE_VARIABLE)
    if not folder:
        st.write("None is loaded: nothing can be imported in the browser. Start with `medproto ui --bundle FOLDER`.")
        return
    _verdict(_checked(folder, Path(folder, "manifest.json").stat().st_mtime if Path(folder).is_dir() else 0.0))
    if st.button("Check again", key="check_bundle"):
        _checked.clear()
        st.rerun()


@st.cache_data(ttl=600, show_spinner="Hashing the files of the bundle ...")
def _checked(folder: str, _changed: float) -> BundleState:
    return check_bundle(Path(folder))


def _verdict(state: BundleState) -> None:
    if state.faults:
        st.error(f"NOT verified: {state.faults[0]}" + (f", and {len(state.faults) - 1} more" * (len(state.faults) > 1)))
    else:
        st.success(f"Verified: every file of “{state.name}” is the one that its manifest names.")
    if state.bundle_id:
        st.code(state.bundle_id, language=None, wrap_lines=True)


if __name__ == "__main__":
    shown(draw)
