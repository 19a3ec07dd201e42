"""The models of a room: every bundle that was registered here or scored an exam, and whose pictures it learnt from."""

from __future__ import annotations

from dataclasses import dataclass

from audit.filters import LedgerFilter
from audit.room import Room
from medproto.records import Digest

_NEWEST = 200


@dataclass(frozen=True)
class KnownBundle:
    """A bundle by name and digest; one that was not registered here is known by its newest predictions alone."""

    bundle_id: Digest
    name: str
    data_licence: str
    registered: bool


def bundles(room: Room) -> list[KnownBundle]:
    """Registered bundles, newest first, then those that scored one of the newest exams without being registered."""
    registered = [entry.payload for entry in room.ledger.entries(LedgerFilter(kind="bundle registered"))]
    known = {p["bundle_id"]: KnownBundle(p["bundle_id"], p["name"], p["data_licence"], True) for p in registered}
    for entry in room.ledger.entries(LedgerFilter(kind="prediction"), limit=_NEWEST):
        p = entry.payload["prediction"]
        known.setdefault(p["bundle_id"], KnownBundle(p["bundle_id"], p["bundle_name"], p["data_licence"], False))
    return list(known.values())
