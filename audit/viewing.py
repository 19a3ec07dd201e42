"""What a viewer shows of an exam beyond its record: pictures in full depth, and the maps that lie over them.

Every question is asked anew of the ledger: whether whoever asks may see exams, whether the entry is a prediction that
names the picture, and whether its patient was erased since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from audit.access import require
from audit.entries import Entry
from audit.evidence import patient_of
from audit.room import Room
from medproto import pyramid
from medproto.errors import EntryNotFound, EvidenceMissing
from medproto.pyramid import Pyramid

#: The bytes of an entry's picture by their digest, as `Room.pictures` opens them.
Read = Callable[[str], bytes]


def seen(room: Room, number: int) -> Entry:
    """The entry of an exam that may be looked at.

    Raises:
        AccessRefused: not by whoever holds the room.
        EntryNotFound: the entry is no prediction.
        EvidenceErased: its patient was erased.
    """
    require(room, "exam")
    entry = room.ledger.entry(number)
    if entry.kind != "prediction":
        raise EntryNotFound(f"entry {number}: is of kind {entry.kind}, expected a prediction")
    patient = patient_of(entry.payload)
    if patient is not None:
        room.refuse_erased(patient)
    return entry


def image_ids(entry: Entry) -> list[str]:
    """The images of an exam, in the order of its record."""
    return [str(image["image_id"]) for image in entry.payload["prediction"]["images"]]


def picture_digest(entry: Entry, image_id: str) -> str:
    """Digest of the picture to view of one image: in full depth, or its preview where nothing else is kept."""
    image = _named(entry, "images", "image_id", image_id)
    digest: str = image.get("full_depth") or image["preview"]
    return digest


def opened_picture(entry: Entry, image_id: str, read: Read) -> Pyramid:
    """That picture, checked and opened; EvidenceMissing where it is absent or altered."""
    image = _named(entry, "images", "image_id", image_id)
    data = read(picture_digest(entry, image_id))
    return pyramid.decode(data) if image.get("full_depth") else pyramid.of_preview(data)


def overlay(entry: Entry, prototype_id: str, read: Read) -> bytes:
    """PNG bytes of the map of one prototype; EvidenceMissing where it is not pictured."""
    digest = _named(entry, "matches", "prototype_id", prototype_id).get("overlay")
    if not isinstance(digest, str):
        raise EvidenceMissing(f"entry {entry.number}: it has no map of that prototype")
    return read(digest)


def _named(entry: Entry, part: str, name: str, value: str) -> Mapping[str, Any]:
    """The image or match of that id, from the plain body: building the whole record for every tile is too slow."""
    found: Iterable[Mapping[str, Any]] = entry.payload["prediction"][part]
    for one in found:
        if one[name] == value:
            return one
    raise EvidenceMissing(f"entry {entry.number}: it has none of its {part} by that id")
