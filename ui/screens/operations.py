"""Operations: whether database, disk and bundle are as they should be, what waits, and which software runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import streamlit as st

from audit.access import require
from audit.room import remembered
from audit.service import Room, WorklistFilter, ledger_head, worklist_counts
from medproto.errors import AuditError
from ui.importing import BUNDLE_VARIABLE
from ui.importing import imports as imported
from ui.opening import banners, home, shown
from ui.operations import BundleState, Disk, check_bundle, disk, versions
from ui.scoring_line import line

_GB: Final = 1e9
_LITTLE_GB: Final = 5
_DATABASES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


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
    dialect = room.ledger.engine.dialect.name
    st.markdown("**Database**")
    st.write(
        f"Reachable: {_DATABASES.get(dialect, dialect)}. The ledger holds {size:,} entries; its head is signed. "
        f"{_last_verified(room, size)}"
    )
    st.code(root, language=None, wrap_lines=True)


def _last_verified(room: Room, size: int) -> str:
    """How far the verification reached that held last, in a sentence."""
    try:
        known = [head.checkpoint.size for head in remembered(room.home, (room.public_key,))]
    except AuditError as err:
        return f"What it remembers of its last verification cannot be trusted: {err}"
    if not known:
        return "It was never verified as a whole here: do so on the ledger's page."
    return f"The last verification that held read {max(known):,} entries; {size - max(known):,} came since."


def _disk() -> None:
    found = _measured(str(home()))
    free = shutil.disk_usage(home()).free
    st.markdown("**Disk**")
    st.write(
        f"{free / _GB:.1f} GB free. Evidence takes {found.evidence / _GB:.2f} GB, "
        f"all other files of the room {found.others / _GB:.2f} GB."
    )
    if free < _LITTLE_GB * _GB:
        st.warning(f"Less than {_LITTLE_GB} GB are free: scoring stops when an exam's pictures cannot be kept.")


@st.cache_data(ttl=60, show_spinner="Adding up the files of the room ...")
def _measured(folder: str) -> Disk:
    # A room of many exams holds many files: not again at every look.
    return disk(Path(folder))


def _queue(room: Room) -> None:
    counts, found = worklist_counts(room, WorklistFilter()), imported(home())
    waiting = sum(one.ended is None for one in found)
    st.markdown("**Queue**")
    imports = {0: "No import waits or runs.", 1: "1 import runs."}.get(waiting, f"{waiting} imports wait or run.")
    model = "The model is loaded." if line().pid is not None else "The model is loaded with the next import."
    loads = f" {model}" if os.environ.get(BUNDLE_VARIABLE) else ""
    kept = sum(one.kept for one in found)
    early = f" {kept} that ended early {'keeps its' if kept == 1 else 'keep their'} files." if kept else ""
    st.write(f"{imports}{early}{loads} {counts.open} of {counts.scored} scored exams wait for a reading.")


def _bundle() -> None:
    st.markdown("**Bundle**")
    folder = os.environ.get(BUNDLE_VARIABLE)
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
