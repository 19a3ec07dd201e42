"""Rows for questions, derived from the bodies: predictions, their prototypes, reviews, complaints, erasures, bundles.

1. `project` writes them in the commit that writes the entries, `fill` from the bodies of a ledger that had none.
2. They say nothing that a body does not say: `audit.projection_check` compares each with it.
3. A body that has not the form of its kind has no rows: the service writes none such.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from audit.entries import Entry, decode, format_time
from audit.models import (
    DERIVED,
    Base,
    BundleUseRow,
    ComplaintRow,
    EntryRow,
    ErasureRow,
    MatchRow,
    PredictionRow,
    ReviewRow,
)
from medproto.errors import AuditError

#: Order of the decisions in the worklist.
URGENCY: Final = {"flagged": 0, "no decision": 1, "not flagged": 2}
#: The column of predictions that says which was the exam's newest before.
LINK: Final = "previous"
_PIECE = 200

Values = dict[str, Any]
#: The rows of one entry, by table, each table's in order of its key.
Rows = dict[type[Base], list[Values]]


class _FormlessError(Exception):
    """The body has not the form of its kind."""


def rows_of(entry: Entry) -> Rows:
    """Every row that this entry's body dictates; all but `LINK`, which the rows before it dictate."""
    derive = _BY_KIND.get(entry.kind)
    if derive is None:
        return {}
    try:
        return {table: rows for table, rows in derive(entry).items() if rows}
    except _FormlessError:
        return {}


def project(conn: Connection, entries: Iterable[Entry]) -> None:
    """Write the rows of these entries, inside the caller's transaction."""
    collected: Rows = {}
    for entry in entries:
        for table, rows in rows_of(entry).items():
            collected.setdefault(table, []).extend(rows)
    _link(conn, collected.get(PredictionRow, []))
    for table in DERIVED:
        if values := collected.get(table):
            conn.execute(insert(table), values)


def _link(conn: Connection, predictions: list[Values]) -> None:
    """Let each prediction name the one of the same exam before it."""
    if not predictions:
        return
    exams = {row["exam_id"] for row in predictions}
    query = select(PredictionRow.exam_id, func.max(PredictionRow.number).label("number"))
    query = query.where(PredictionRow.exam_id.in_(exams)).group_by(PredictionRow.exam_id)
    newest = {row.exam_id: row.number for row in conn.execute(query)}
    for row in predictions:
        row[LINK] = newest.get(row["exam_id"])
        newest[row["exam_id"]] = row["number"]


def fill(conn: Connection) -> None:
    """Write the rows of every entry that is there, inside the caller's transaction; the tables are empty before.

    A body that can no longer be read has none: `verify` names it.
    """
    query = select(EntryRow.number, EntryRow.body).where(EntryRow.kind.in_(KINDS_WITH_ROWS)).order_by(EntryRow.number)
    last = 0
    while page := conn.execute(query.where(EntryRow.number > last).limit(_PIECE)).all():
        last = page[-1].number
        project(conn, filter(None, (_readable(row.number, row.body) for row in page)))


def _readable(number: int, body: bytes) -> Entry | None:
    try:
        entry = decode(body)
    except AuditError:
        return None
    return entry if entry.number == number else None


def _prediction(entry: Entry) -> Rows:
    fields = _object(entry.payload, "prediction")
    findings = [*_objects(fields, "findings")]
    for image in _objects(fields, "images"):
        findings += _objects(image, "findings")
    severities = [_text(finding, "severity") for finding in findings]
    decision = _text(fields, "decision")
    if decision not in URGENCY:
        raise _FormlessError
    margin, point = _real(fields, "margin"), _real(_object(fields, "operating_point"), "margin")
    row: Values = {name: _text(fields, name) for name in ("exam_id", "patient_id", "bundle_id", "bundle_name")}
    row |= {
        "number": entry.number,
        "time": format_time(entry.time),
        "decision": decision,
        "urgency": URGENCY[decision],
        "margin": margin,
        "operating_margin": point,
        "below": point - margin,
        "probability": None if fields.get("probability") is None else _real(fields, "probability"),
        "warnings": severities.count("warn"),
        "notes": severities.count("note"),
        "refused_images": len(_objects(fields, "refused")),
        "synthetic": int(fields.get("synthetic") is True),
    }
    matches = [_match(entry.number, place, m) for place, m in enumerate(_objects(fields, "matches"), start=1)]
    return {PredictionRow: [row], MatchRow: matches, BundleUseRow: [_use(entry.number, row["bundle_id"])]}


def _match(number: int, place: int, match: Mapping[str, Any]) -> Values:
    shares = {name: _real(match, name) for name in ("similarity", "weight", "contribution")}
    return {"number": number, "place": place, "prototype_id": _text(match, "prototype_id"), **shares}


def _review(entry: Entry) -> Rows:
    # Older bodies hold neither the act nor what it is about.
    fields = {"act": "reading", "of": [], "misleading": [], **entry.payload}
    prediction, misleading, of = entry.refers_to, fields["misleading"], fields["of"]
    if prediction is None or not _all(misleading, str) or not _all(of, int):
        raise _FormlessError
    said = {name: _text(fields, name) for name in ("exam_id", "verdict", "act")}
    about = {"number": entry.number, "prediction": prediction}
    return {
        ReviewRow: [about | said | {"amends": of[0] if said["act"] == "amendment" and of else None}],
        ComplaintRow: [about | {"prototype_id": prototype} for prototype in sorted(set(misleading))],
    }


def _erasure(entry: Entry) -> Rows:
    return {ErasureRow: [{"number": entry.number, "patient_id": _text(entry.payload, "patient_id")}]}


def _bundle(entry: Entry) -> Rows:
    return {BundleUseRow: [_use(entry.number, _text(entry.payload, "bundle_id"))]}


def _use(number: int, bundle_id: str) -> Values:
    return {"number": number, "bundle_id": bundle_id}


def _all(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise _FormlessError
    return value


def _objects(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    values = fields.get(name)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise _FormlessError
    return values


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _FormlessError
    return value


def _real(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > sys.float_info.max:
        raise _FormlessError
    return float(value)


_BY_KIND: Final[dict[str, Callable[[Entry], Rows]]] = {
    "prediction": _prediction,
    "review": _review,
    "erasure": _erasure,
    "intent": _bundle,
    "refusal": _bundle,
    "failure": _bundle,
    "bundle registered": _bundle,
    "evaluation run": _bundle,
}
KINDS_WITH_ROWS: Final = tuple(_BY_KIND)
