"""The models of a room: every bundle that was registered here or scored an exam, its prototypes and its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from audit.entries import Entry
from audit.filters import LedgerFilter
from audit.payloads import RegisteredPrototype
from audit.room import Room
from medproto.errors import LedgerTampered
from medproto.records import Digest

_NEWEST = 200
#: Kinds whose entry may name a model's card, the fuller one first: with results, and without.
_WITH_CARD = ("evaluation run", "bundle registered")


@dataclass(frozen=True)
class KnownBundle:
    """A bundle by name and digest; one that was not registered here is known by its newest predictions alone.

    Args:
        data_name: what it learnt from; None where its entry does not say, as for `synthetic` and `splits`.
        splits: patients, exams and images of each split.
    """

    bundle_id: Digest
    name: str
    data_licence: str
    registered: bool
    data_name: str | None = None
    synthetic: bool | None = None
    splits: Mapping[str, Mapping[str, int]] | None = field(default=None, hash=False)


def bundles(room: Room) -> list[KnownBundle]:
    """Registered bundles, newest first, then those that scored one of the newest exams without being registered."""
    registered = [entry.payload for entry in room.ledger.entries(LedgerFilter(kind="bundle registered"))]
    known = {p["bundle_id"]: _registered(p) for p in registered}
    for entry in room.ledger.entries(LedgerFilter(kind="prediction"), limit=_NEWEST):
        p = entry.payload["prediction"]
        known.setdefault(p["bundle_id"], KnownBundle(p["bundle_id"], p["bundle_name"], p["data_licence"], False))
    return list(known.values())


def _registered(payload: Mapping[str, Any]) -> KnownBundle:
    told = [payload.get(name) for name in ("data_name", "synthetic", "splits")]
    return KnownBundle(payload["bundle_id"], payload["name"], payload["data_licence"], True, *told)


def known_prototypes(room: Room, bundle_id: Digest) -> tuple[RegisteredPrototype, ...]:
    """Every prototype of a bundle: from the bundle's entry, or without neighbours from its newest prediction.

    Raises:
        LedgerTampered: the entry's payload is not of its kind.
    """
    for kind in ("bundle registered", "prediction"):
        for entry in room.ledger.entries(LedgerFilter(kind=kind, bundle_id=bundle_id), limit=1):
            return _prototypes_of(entry)
    return ()


def training_patch(room: Room, patch: Digest) -> bytes:
    """PNG bytes of a patch of a training image, which lie in clear; EvidenceMissing where they are gone or altered."""
    return room.evidence.get(patch)


def model_card(room: Room, bundle_id: Digest) -> bytes | None:
    """A model's card as an HTML page that stands alone, with the newest results; None where none was kept.

    Raises:
        EvidenceMissing: an entry names one, and it is gone or altered.
    """
    for kind in _WITH_CARD:
        for entry in room.ledger.entries(LedgerFilter(kind=kind, bundle_id=bundle_id)):
            if entry.payload.get("card"):
                return room.evidence.get(entry.payload["card"])
    return None


def _prototypes_of(entry: Entry) -> tuple[RegisteredPrototype, ...]:
    names = RegisteredPrototype.model_fields
    try:
        told: Sequence[Mapping[str, Any]] = entry.payload.get("prototypes") or entry.payload["prediction"]["matches"]
        return tuple(
            RegisteredPrototype.model_validate({name: one[name] for name in names if name in one}) for one in told
        )
    except (KeyError, ValidationError) as err:
        raise LedgerTampered([f"entry {entry.number}: its prototypes are not of this schema."]) from err
