"""What the ledger's page says of its verification: how far it is, then the numbered result with time and head."""

from __future__ import annotations

import os
from typing import Final

import streamlit as st

from audit.access import require
from audit.service import Room, Verification
from ui.opening import URL_VARIABLE, actor, home, opened, sentence_of
from ui.verifying import Verifying, verifications

_STATUS_WORDS: Final = {"holds": "holds", "broken": "BROKEN", "not checked": "not checked"}
_STAGE_WORDS: Final = {
    "": "Opening the ledger",
    "pictures": "1 of 3: reading every picture again",
    "entries": "2 of 3: reading every entry and signature",
    "derived tables": "3 of 3: comparing what is derived from the entries",
}
_LOOK_S: Final = 0.5
_MOST_SHOWN: Final = 50


def verify_button(room: Room) -> None:
    """Begins a verification, where none goes on."""
    newest = _newest()
    goes_on = newest is not None and newest.ended is None
    if st.button("Verify the ledger", type="primary", icon=":material/verified:", key="verify", disabled=goes_on):
        require(room, "verify", actor())
        verifications().begin(_key(), actor(), opened)
        st.rerun()


def verification_view(room: Room) -> None:
    """The newest verification, whoever asked for it; it looks again by itself while one goes on."""
    newest = _newest()
    if newest is None:
        return
    require(room, "verify")
    if newest.ended is None:
        st.fragment(_progress, run_every=_LOOK_S)()
    elif newest.result is None:
        st.error(
            f"The verification of {newest.ended:%H:%M:%S} UTC did not come to its end. {sentence_of(newest.failed)}"
        )
    else:
        _verified(newest, newest.result, room.ledger.count())


def _progress() -> None:
    newest = _newest()
    if newest is None or newest.ended is not None:
        st.rerun()
    counted = f": {newest.done:,} of {newest.total:,}" if newest.total else ""
    said = f"{_STAGE_WORDS[newest.stage]}{counted} (asked for by {newest.who} at {newest.begun:%H:%M:%S} UTC)"
    st.progress(newest.done / max(newest.total, 1), text=said)


def _verified(standing: Verifying, result: Verification, now: int) -> None:
    """The numbered result of a verification, with what it cannot see."""
    took = f"{standing.ended:%Y-%m-%d %H:%M:%S} UTC, asked for by {standing.who}"
    if result.verified:
        said = f"Verified: {result.size} entries, {result.checkpoints} signed checkpoints, {took}."
        st.success(said, icon=":material/check:")
    else:
        st.error(
            f"NOT verified: {len(result.faults)} faults in {result.size} entries, {took}.", icon=":material/error:"
        )
    for fault in result.faults[:_MOST_SHOWN]:
        st.error(f"({fault.guarantee}) {fault.sentence}")
    if len(result.faults) > _MOST_SHOWN:
        more = len(result.faults) - _MOST_SHOWN
        st.error(f"And {more} more; `medproto audit verify` prints every one.")
    for notice in result.notices[:_MOST_SHOWN]:
        st.warning(notice)
    if len(result.notices) > _MOST_SHOWN:
        st.warning(f"And {len(result.notices) - _MOST_SHOWN} more notices; `medproto audit verify` prints every one.")
    if now > result.size:
        st.caption(_since(now - result.size))
    with st.expander("What was checked, point by point", expanded=not result.verified):
        for guarantee in result.guarantees:
            st.write(f"{guarantee.number}. **{_STATUS_WORDS[guarantee.status]}**: {guarantee.sentence}")
        if result.head is not None:
            st.caption("Head: the root over all of these entries, as it is signed")
            st.code(result.root, language=None, wrap_lines=True)
        st.caption("What this verification cannot see")
        for spot in result.blind_spots:
            st.write(f"- {spot}")


def _since(count: int) -> str:
    if count == 1:
        return "1 entry was written since, and is not in this result."
    return f"{count} entries were written since, and are not in this result."


def _newest() -> Verifying | None:
    return verifications().newest(_key())


def _key() -> str:
    return f"{home().resolve()} {os.environ.get(URL_VARIABLE, '')}"
