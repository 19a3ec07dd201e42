"""What an entry is: a draft before it is written, an `Entry` after, and the columns that are derived from its body.

The body is the entry. Every other column is there to find it, is derived from it by `derive`, and is compared with it
by `verify`: `leaf` is the RFC 6962 hash of the body's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from audit import canonical, merkle
from medproto.errors import AuditError

SCHEMA_VERSION = 1
#: What entry 1 names as the leaf before it.
NO_LEAF = "0" * 64
BODY_KEYS = frozenset({"schema_version", "kind", "number", "previous", "time", "actor", "role", "payload"})

EntryKind = Literal[
    "ledger created",
    "dataset registered",
    "training run",
    "bundle registered",
    "evaluation run",
    "intent",
    "prediction",
    "refusal",
    "failure",
    "exam opened",
    "opinion before score",
    "review",
    "report exported",
    "key rotated",
    "checkpoint anchored",
    "restored",
    "erasure",
    "user changed",
    "access refused",
    "sign-in",
    "sign-in refused",
]
KINDS: tuple[str, ...] = get_args(EntryKind)
#: Kinds that answer an intent.
RESULT_KINDS = ("prediction", "refusal", "failure")
#: Kinds that name the key by which the checkpoints after them are signed.
KEY_CHANGES = ("key rotated", "restored")


@dataclass(frozen=True)
class EntryDraft:
    """What is to be written; number, time and previous leaf are given by the ledger, under its lock."""

    kind: EntryKind
    payload: Mapping[str, Any]
    actor: str
    role: str


@dataclass(frozen=True)
class Derived:
    """The columns that repeat what the body says, so that a database can find entries by them."""

    kind: str
    time: str
    actor: str
    role: str
    exam_id: str | None
    refers_to: int | None
    request: str | None


@dataclass(frozen=True)
class Entry:
    """One committed entry. `body` holds the stored bytes, `leaf` their RFC 6962 leaf hash in hex."""

    number: int
    kind: str
    time: datetime
    actor: str
    role: str
    previous: str
    payload: Mapping[str, Any]
    body: bytes
    leaf: str

    @property
    def exam_id(self) -> str | None:
        """Pseudonym of the exam the entry is about, where it names one."""
        return _exam_id(self.payload)

    @property
    def refers_to(self) -> int | None:
        """Number of the earlier entry that this one answers: the intent, or the prediction reviewed or exported."""
        return _refers_to(self.payload)


def encode(draft: EntryDraft, number: int, previous: str, time: str) -> bytes:
    """Canonical bytes of an entry's body: the bytes that are stored and hashed."""
    return canonical.canonical_bytes(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": draft.kind,
            "number": number,
            "previous": previous,
            "time": time,
            "actor": draft.actor,
            "role": draft.role,
            "payload": draft.payload,
        }
    )


def decode(body: object) -> Entry:
    """Read an entry from its stored bytes; raises AuditError unless they are the body of an entry."""
    if not isinstance(body, bytes):
        # A database without strict types gives back whatever somebody put there.
        raise AuditError("body: got a value that is not stored as bytes")
    fields = canonical.parse(body)
    if not isinstance(fields, dict) or set(fields) != BODY_KEYS:
        raise AuditError("body: expected exactly the keys " + ", ".join(sorted(BODY_KEYS)))
    if fields["schema_version"] != SCHEMA_VERSION:
        raise AuditError(f"schema version: got {fields['schema_version']!r}, expected {SCHEMA_VERSION}")
    if not isinstance(fields["payload"], dict) or type(fields["number"]) is not int:
        raise AuditError("body: expected an object as payload and a whole number")
    texts = [fields[key] for key in ("kind", "previous", "actor", "role")]
    if not all(isinstance(text, str) for text in texts):
        raise AuditError("body: expected text as kind, previous, actor and role")
    kind, previous, actor, role = texts
    leaf = merkle.leaf_hash(body).hex()
    time = parse_time(fields["time"])
    return Entry(fields["number"], kind, time, actor, role, previous, fields["payload"], body, leaf)


def derive(entry: Entry) -> Derived:
    """Columns that the body of this entry dictates."""
    return Derived(entry.kind, format_time(entry.time), entry.actor, entry.role, *found_by(entry.kind, entry.payload))


def found_by(kind: str, payload: Mapping[str, Any]) -> tuple[str | None, int | None, Any]:
    """The columns that a payload dictates: exam, entry referred to, and request, whatever an intent says that is."""
    return _exam_id(payload), _refers_to(payload), payload.get("request") if kind == "intent" else None


def format_time(time: datetime) -> str:
    """UTC with microseconds and a Z: one spelling for each instant, sorting as text in order of time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: object) -> datetime:
    """Read what `format_time` wrote; raises AuditError for any other spelling."""
    try:
        time = datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError) as err:
        raise AuditError("time: expected UTC as 2026-01-31T12:00:00.000000Z") from err
    if format_time(time) != text:
        raise AuditError("time: expected UTC as 2026-01-31T12:00:00.000000Z")
    return time


def _exam_id(payload: Mapping[str, Any]) -> str | None:
    prediction = payload.get("prediction")
    exam = prediction.get("exam_id") if isinstance(prediction, dict) else payload.get("exam_id")
    return exam if isinstance(exam, str) else None


def _refers_to(payload: Mapping[str, Any]) -> int | None:
    number = payload.get("intent", payload.get("entry"))
    return number if type(number) is int else None
