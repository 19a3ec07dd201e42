"""The quick reading of a piece of the log: all of it is as it must be, or nothing is said and it is read again slowly.

Of every entry in a piece that is handed out, these guarantees of `audit.verification` hold:

1. Its number follows the one before it.
2. Its body is canonical, and hashes to the leaf stored beside it.
3. Its body names the leaf of the entry before it.
4. Its other columns repeat its body.

A body is an object of eight keys in order of their names, and all but the payload are dictated by the columns and by
the entry before. So what comes before and after the payload is compared as bytes, and the payload alone is parsed.
This reading never says what is wrong: that is left to `audit.walk`, entry by entry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from audit.canonical import canonical_bytes, parse
from audit.entries import SCHEMA_VERSION, Entry, found_by, parse_time
from medproto.errors import AuditError

#: Frequent kinds of which a verification asks no more than the guarantees above.
SILENT = frozenset({"exam opened", "report exported"})
_MICROSECONDS = re.compile(r"[0-9]{6}Z")


class Place(NamedTuple):
    """Where a piece begins or ends: number, leaf and time (empty where unknown) of the entry there."""

    number: int
    leaf: str
    time: str


@dataclass(frozen=True)
class Piece:
    """Entries that follow one another: their leaf hashes, those of which more is to be asked, and where they end.

    `late` holds the numbers of entries dated before the entry before them; those are all in `told`.
    """

    leaves: Sequence[bytes]
    told: Sequence[Entry]
    late: frozenset[int]
    end: Place


def sound_piece(rows: Sequence[Sequence[Any]], before: Place) -> Piece | None:
    """Read the rows that follow that place; None unless every one of them is as it must be.

    Args:
        rows: number, body, leaf, then the other columns in the order of `Derived`.
        before: the entry before the first of them.
    """
    try:
        return _sound_piece(rows, before)
    except AuditError:
        return None  # the slow reading meets the same row and reports it


def _sound_piece(rows: Sequence[Sequence[Any]], before: Place) -> Piece | None:
    number, previous, time = before
    leaves: list[bytes] = []
    told: list[Entry] = []
    late: set[int] = set()
    for stored, body, leaf, kind, stamp, actor, role, exam_id, refers_to, request in rows:
        number += 1
        if stored != number or type(body) is not bytes or not _is_time(stamp, time):
            return None
        hashed = sha256(b"\x00" + body).digest()
        head, tail = _frame(actor, kind, role)
        start = b'%b%d,"payload":' % (head, number)
        end = f',"previous":"{previous}{tail}{stamp}"}}'.encode()
        if hashed.hex() != leaf or not (body.startswith(start) and body.endswith(end)):
            return None
        payload = parse(body[len(start) : -len(end)])
        if type(payload) is not dict or not _same((exam_id, refers_to, request), found_by(kind, payload)):
            return None
        if stamp < time:
            late.add(number)
        if kind not in SILENT or number in late:
            moment = datetime.fromisoformat(stamp)
            told.append(Entry(number, kind, moment, actor, role, previous, payload, body, leaf))
        previous, time = leaf, stamp
        leaves.append(hashed)
    return Piece(leaves, told, frozenset(late), Place(number, previous, time))


def _same(columns: tuple[Any, ...], said: tuple[Any, ...]) -> bool:
    # 3.0 == 3: of all columns the number alone could be equal and yet of another type.
    return columns == said and type(columns[1]) is type(said[1])


def _is_time(text: object, known: str) -> bool:
    """Whether this is UTC in its one spelling; `known` is: in the same second only the fraction is looked at."""
    if type(text) is not str:
        return False
    if text[:20] == known[:20] != "":
        return _MICROSECONDS.fullmatch(text, 20) is not None
    parse_time(text)
    return True


@lru_cache(maxsize=1024)
def _frame(actor: object, kind: object, role: object) -> tuple[bytes, str]:
    """What a body of these holds up to its number, and between the leaf that it names and its time."""
    if not (isinstance(actor, str) and isinstance(kind, str) and isinstance(role, str)):
        raise AuditError("column: expected text as kind, actor and role")
    head = canonical_bytes({"actor": actor, "kind": kind})[:-1] + b',"number":'
    tail = canonical_bytes({"role": role, "schema_version": SCHEMA_VERSION}).decode()
    return head, f'",{tail[1:-1]},"time":"'
