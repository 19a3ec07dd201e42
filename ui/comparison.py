"""Two models on one exam, side by side: outcome, score, probability, and what each found most alike."""

from __future__ import annotations

import html

import streamlit as st

from audit.report_words import probability_words
from audit.service import Entry, LedgerFilter, Room, entry_of, ledger_page
from medproto.records import Prediction
from medproto.summary import case_sentence, has_score, number, signed

_STRONGEST = 5


def rivals(room: Room, entry: Entry) -> list[Entry]:
    """Newest prediction of every other bundle for the exam of this one."""
    own = entry.payload["prediction"]["bundle_id"]
    found = ledger_page(room, LedgerFilter(kind="prediction", exam_id=entry.exam_id)).entries
    newest = {e.payload["prediction"]["bundle_id"]: e for e in reversed(found)}
    return [other for bundle, other in newest.items() if bundle != own]


def comparison(room: Room, entry: Entry, others: list[Entry]) -> None:
    """This prediction beside another one, chosen by its bundle."""
    names = {e.number: f"{e.payload['prediction']['bundle_name']}, entry {e.number}" for e in others}
    chosen = st.selectbox("Compare with", list(names), format_func=lambda n: names[n], key=f"compare_{entry.number}")
    other = next(e for e in others if e.number == chosen)
    one, two = (Prediction.model_validate(e.payload["prediction"]) for e in (entry, other))
    st.write(f"{_outcomes(one, two)} {_files(room, entry, other)}")
    for column, number_of, record in zip(st.columns(2), (entry.number, other.number), (one, two), strict=True):
        column.html(_side(number_of, record))


def _outcomes(one: Prediction, two: Prediction) -> str:
    if one.decision == two.decision:
        return f"Both say “{one.decision}”."
    said = ", ".join(f"{record.bundle_name} says “{record.decision}”" for record in (one, two))
    return f"They differ: {said}."


def _files(room: Room, one: Entry, two: Entry) -> str:
    """Whether both were scored from the same files, as the intents before them say."""
    intents = [entry_of(room, entry.payload["intent"]).payload for entry in (one, two)]
    same = set(intents[0]["files"]) == set(intents[1]["files"])
    return "Both read the same files." if same else "THEY READ DIFFERENT FILES of this exam."


def _side(number_of: int, record: Prediction) -> str:
    score = "not shown"
    if has_score(record):
        score = f"{number(record.margin)} against {number(record.operating_point.margin)}"
    facts = (
        ("Model", f"{record.bundle_name} ({record.bundle_id[:12]}), entry {number_of}"),
        ("Outcome", record.decision),
        ("Score against operating point", score),
        ("Calibrated probability", probability_words(record)),
    )
    lines = "".join(f"<div><span>{name}</span>{html.escape(text)}</div>" for name, text in facts)
    strongest = sorted(record.matches, key=lambda match: -abs(match.contribution))[:_STRONGEST]
    alike = "".join(
        f"<li>{html.escape(m.prototype_id)} in {html.escape(record.image(m.image_id).title)}: "
        f"similarity {number(m.similarity)}{', counted ' + signed(m.contribution) if has_score(record) else ''}</li>"
        for m in strongest
    )
    said = html.escape(case_sentence(record))
    return f'<div class="mp-small">{said}</div><div class="mp-facts">{lines}</div><ol class="mp-small">{alike}</ol>'
