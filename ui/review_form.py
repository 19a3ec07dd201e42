"""The reader's decision on one exam: agree, disagree or refer, in words; signing writes one ledger entry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import streamlit as st

from audit.access import permitted
from audit.payloads import MEANINGS
from audit.service import Opinion, ReviewRecord, Room, review
from medproto.errors import InputError
from medproto.records import Prediction
from medproto.summary import opposing, supporting
from ui.acts import Offer, closed_by, offers
from ui.drafts import Draft, discard, draft_of, keep, restore, was_discarded, write_reason
from ui.opening import actor, sentence
from ui.waiting import following

VERDICTS: Final = {"agree": "Agree", "disagree": "Disagree", "refer": "Refer"}
#: Letters that the viewer leaves free.
_KEYS: Final = {"agree": "y", "disagree": "x", "refer": "q"}
NO_VERDICT: Final = "Choose agree, disagree or refer before you sign."
NO_REASON: Final = "Please give a reason: a reading that disagrees needs one."
SIGN: Final = "Sign reading"
#: The most characters of either. Not the field's own limit: a longer text that is pasted would vanish without a word.
_LONGEST: Final = 2000
_LONGEST_S: Final = 86_400
_TO_SIGN: Final = "Choose, then sign. “Misleads” on a card says that its prototype is no evidence here."
_TO_AMEND: Final = (
    "You have read this exam. To amend your reading, choose again and sign; what you signed stays on record."
)
_REASONS: Final = {"disagree": "Reason (needed)", "agree": "Reason (if any)", "refer": "Question for the other reader"}


def misleads_key(number: int, prototype_id: str) -> str:
    """Key of the box on a card by which a reader says that its prototype misleads."""
    return f"draft_misleads_{prototype_id}_{number}"


def restore_draft(number: int, record: Prediction) -> None:
    """Bring back what was entered about this exam before another page was looked at."""
    draft = draft_of(number)
    seconds_on(number)
    misleads = {match.prototype_id: misleads_key(number, match.prototype_id) for match in record.matches}
    if was_discarded(number):  # forgotten here, the browser would still show them chosen, and send them again
        st.session_state.update({f"draft_verdict_{number}": None} | dict.fromkeys(misleads.values(), False))
    restore(number, {"draft_verdict": draft.verdict, "draft_reason": draft.reason, "draft_comment": draft.comment})
    for prototype_id in draft.misleading:
        st.session_state.setdefault(misleads[prototype_id], True)


def review_panel(room: Room, number: int, record: Prediction, earlier: Sequence[ReviewRecord]) -> None:
    """What was signed so far, the choice, the words that belong to it, and the signature."""
    _so_far(number, earlier)
    if not permitted(actor().role, "review"):
        st.caption(f"Readings are signed by readers; as {actor().role} you look on.")
        return
    open_to = offers(earlier, actor().name)
    if not open_to:
        st.caption(f"Closed by entry {closed_by(earlier)}: only who signed it can amend it.")
        return
    verdict, pressed = _choice(number)
    misleading = _misleading(number, record)
    offer = _offer(number, open_to) if verdict else open_to[0]
    reason, comment = _words(number, verdict, misleading, amends=open_to[0].act == "amendment")
    draft = Draft(verdict, reason, misleading, comment)
    keep(number, draft)
    unseen = _unseen(number, earlier)
    if not pressed:
        return
    if unseen:
        st.error(f"Meanwhile {unseen} was signed. Look at the readings and at what yours is now, then sign again.")
    elif draft.verdict is None:
        st.error(NO_VERDICT)
    elif draft.verdict == "disagree" and not draft.reason.strip():
        st.error(NO_REASON)
    elif too_long := _too_long(draft):
        st.error(too_long)
    else:
        _sign(room, number, draft, offer)


def _choice(number: int) -> tuple[str | None, bool]:
    """The verdict that is chosen, and whether the signature was asked for; keys press buttons that are not shown."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        verdict = st.segmented_control(
            f"Do you agree with the outcome? Keys: {', '.join(_KEYS.values()).upper()}",
            list(VERDICTS),
            format_func=lambda v: VERDICTS[v],
            key=f"draft_verdict_{number}",
        )
        pressed = st.button(
            SIGN,
            type="primary" if verdict else "secondary",
            icon=":material/edit:",
            key=f"sign_{number}",
            shortcut="Ctrl+Enter",
        )
    with st.container(key="decision_keys"):
        for name, key in _KEYS.items():
            st.button(f"Choose {name}", key=f"key_{key}", shortcut=key, on_click=_choose, args=(number, name))
    return verdict, pressed


def _choose(number: int, verdict: str) -> None:
    st.session_state[f"draft_verdict_{number}"] = verdict
    if verdict != "agree":
        write_reason()


def earlier_readings(number: int, earlier: Sequence[ReviewRecord]) -> None:
    """Every signed reading of this exam, with its words."""
    if not earlier:
        st.caption("Nobody has signed a reading of this exam.")
    for signed in earlier:
        signed_reading(signed)


def _offer(number: int, open_to: Sequence[Offer]) -> Offer:
    """What this signature is among the readings; asked for where more than one answer is open."""
    if len(open_to) == 1:
        return open_to[0]
    # The key holds what is offered: after a signature other answers are open.
    key = f"draft_act_{'-'.join(str(n) for offer in open_to for n in offer.of)}_{number}"
    return st.selectbox("This is", open_to, format_func=lambda offer: offer.words, key=key)


def _words(number: int, verdict: str | None, misleading: Sequence[str], amends: bool) -> tuple[str, str]:
    """Reason and comment; their fields appear once there is something to say them about."""
    if verdict is None and not misleading:
        st.caption(_TO_AMEND if amends else _TO_SIGN)
        return draft_of(number).reason, draft_of(number).comment
    left, right = st.columns(2, gap="small")
    label = _REASONS[verdict or "agree"]
    reason = left.text_area(label, key=f"draft_reason_{number}", height="content")
    comment = right.text_area("Comment", key=f"draft_comment_{number}", height="content")
    reader = actor()
    meaning = MEANINGS[verdict] if verdict else "Choose agree, disagree or refer."
    st.caption(f"{_misled_words(misleading)}“{meaning}” Signed as {reader.name}, {reader.role}; it cannot be changed.")
    return reason, comment


def _unseen(number: int, earlier: Sequence[ReviewRecord]) -> str:
    """The readings signed since this form was last drawn: what is signed has to be what stood beside the button."""
    seen = st.session_state.get(f"readings_seen_{number}")
    st.session_state[f"readings_seen_{number}"] = now = tuple(signed.number for signed in earlier)
    return "" if seen is None else " and ".join(f"entry {n}" for n in now if n not in seen)


def _too_long(draft: Draft) -> str:
    """What is longer than a reading keeps, as a sentence; empty where nothing is."""
    for name, text in (("reason", draft.reason), ("comment", draft.comment)):
        if len(text) > _LONGEST:
            return f"The {name} has {len(text):,} characters, {_LONGEST:,} at most are kept: please shorten it."
    return ""


def _misleading(number: int, record: Prediction) -> tuple[str, ...]:
    """Prototypes whose cards were marked."""
    pictured = (item.match.prototype_id for item in (*supporting(record), *opposing(record)))
    return tuple(name for name in pictured if st.session_state.get(misleads_key(number, name)))


def _misled_words(misleading: Sequence[str]) -> str:
    return f"Misleading: {', '.join(misleading)}. " if misleading else ""


def was_signed(number: int) -> bool:
    """Whether a reading of this exam was signed in this tab: what comes next is another exam."""
    return f"signed_{number}" in st.session_state


def _so_far(number: int, earlier: Sequence[ReviewRecord]) -> None:
    saved = st.session_state.get(f"signed_{number}")
    if saved and st.session_state.get(f"draft_verdict_{number}") is None:
        st.success(saved, icon=":material/check:")
    elif earlier:
        last = earlier[-1]
        more = f", and {len(earlier) - 1} earlier" if len(earlier) > 1 else ""
        st.caption(f"Already read: {VERDICTS[last.review.verdict]}, {last.actor}, entry {last.number}{more}.")


def _sign(room: Room, number: int, draft: Draft, offer: Offer) -> None:
    opinion = Opinion.model_validate(
        {
            "verdict": draft.verdict,
            "reason": draft.reason,
            "misleading": draft.misleading,
            "comment": draft.comment,
            "act": offer.act,
            "of": offer.of,
            "seconds": seconds_on(number),
        }
    )
    try:
        entry = review(room, number, opinion, actor())
    except InputError as err:  # somebody else signed in the meantime: what was entered stays
        st.error(f"{sentence(err)} Look at the readings again, then sign.")
        return
    discard(number)
    on = "No other exam waits." if following(room, number) is None else "Next exam: N."
    st.session_state[f"signed_{number}"] = f"Signed and written as ledger entry {entry.number}. {on}"
    st.rerun()


def seconds_on(number: int) -> int:
    """Whole seconds since this tab first showed the exam; what is written into the ledger as time on the case."""
    first = float(st.session_state.setdefault(f"first_shown_{number}", time.monotonic()))
    return min(int(time.monotonic() - first), _LONGEST_S)


def signed_reading(signed: ReviewRecord) -> None:
    """One signed reading with its words."""
    said = signed.review
    spent = "" if said.seconds is None else f", {said.seconds} s on the case"
    who = f"{signed.actor} ({signed.role}), {signed.time:%Y-%m-%d %H:%M} UTC, entry {signed.number}{spent}"
    with st.container(border=True):
        st.markdown(f"**{VERDICTS[said.verdict]}**, {said.act}")
        st.caption(who)
        for name, text in (
            ("Reason", said.reason),
            ("Misleading", ", ".join(said.misleading)),
            ("Comment", said.comment),
        ):
            if text:
                st.text(f"{name}: {text}")
