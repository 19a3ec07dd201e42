"""From a decision to the training patches that drove it; the way back is `audit.prototypes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.entries import Entry
from audit.filters import LedgerFilter
from audit.queries import prediction
from audit.room import Room
from medproto.datasets.manifest import Manifest, ManifestRow, read_manifest
from medproto.errors import ManifestError
from medproto.records import Prediction, PrototypeMatch

_NO_REGISTERED_BUNDLE = "The bundle was never registered: its training cannot be traced in this ledger."


@dataclass(frozen=True)
class TracedPrototype:
    """One prototype of a decision, back to its training patch.

    `registered` says whether the bundle's entry names the same source, None where no entry registers the bundle;
    `film` is the training image's file where it is at hand, and `film_note` says why it is not.
    """

    match: PrototypeMatch
    image_title: str
    patch_present: bool
    registered: bool | None
    row: ManifestRow | None
    film: Path | None
    film_note: str


@dataclass(frozen=True)
class Trace:
    """One decision with its prototypes, by falling contribution, and the entries behind the bundle that made it."""

    entry: Entry
    prediction: Prediction
    prototypes: tuple[TracedPrototype, ...]
    bundle_entry: Entry | None
    training_entry: Entry | None
    dataset_entry: Entry | None
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Origin:
    """What the ledger knows of a bundle's making."""

    bundle: Entry | None
    training: Entry | None
    dataset: Entry | None
    sources: dict[str, Any]


def trace_entry(room: Room, number: int, manifest: Path | None = None) -> Trace:
    """Trace a prediction to training patches, manifest rows, bundle entry and training run.

    Args:
        room: the room that holds the entry.
        number: a prediction's entry number; EntryNotFound for any other.
        manifest: the training manifest, where it is not at the path that was registered.
    """
    entry, record = prediction(room, number)
    origin = _origin(room, record.bundle_id)
    notices = [] if origin.bundle else [_NO_REGISTERED_BUNDLE]
    films, note = _manifest(origin.dataset, manifest)
    prototypes = tuple(_traced(room, record, match, origin, (films, note)) for match in record.matches)
    notices += [note] if note else []
    differing = [p.match.prototype_id for p in prototypes if p.registered is False]
    if differing:
        notices.append(f"The bundle's entry names another source for {', '.join(differing)}.")
    return Trace(entry, record, prototypes, origin.bundle, origin.training, origin.dataset, tuple(notices))


def _origin(room: Room, bundle_id: str) -> _Origin:
    """Bundle, training run and data set, as far as they were registered."""
    registered = room.ledger.entries(LedgerFilter(kind="bundle registered"))
    bundle = next((e for e in registered if e.payload["bundle_id"] == bundle_id), None)
    training = _behind(room, bundle, "training_entry", "training run")
    dataset = _behind(room, training, "dataset_entry", "dataset registered")
    prototypes = bundle.payload["prototypes"] if bundle else []
    return _Origin(bundle, training, dataset, {p["prototype_id"]: p["source"] for p in prototypes})


def _behind(room: Room, entry: Entry | None, key: str, kind: str) -> Entry | None:
    number = entry.payload[key] if entry else None
    if number is None:
        return None
    found = room.ledger.entry(number)
    return found if found.kind == kind else None


def _manifest(dataset: Entry | None, given: Path | None) -> tuple[Manifest | None, str]:
    """The training manifest and an empty note, or None and why it is not at hand."""
    registered = dataset.payload if dataset else {}
    path = given or (Path(registered["manifest_path"]) if registered.get("manifest_path") else None)
    if path is None:
        return None, "No manifest was given or registered: the training films cannot be looked up."
    try:
        manifest = read_manifest(path)
    except ManifestError as err:
        return None, f"The training manifest is not at hand: {err}."
    if registered and manifest.digest != registered["manifest_digest"]:
        return None, "The manifest is not the one that was registered: its digest differs."
    return manifest, ""


def _traced(
    room: Room, record: Prediction, match: PrototypeMatch, origin: _Origin, films: tuple[Manifest | None, str]
) -> TracedPrototype:
    manifest, note = films
    row = _row(manifest, match.source.image_id) if manifest else None
    film = manifest.file(row) if manifest and row else None
    if film is not None and not film.is_file():
        film, note = None, "the source film is no longer at hand"
    elif manifest is not None and row is None:
        note = "no row of the manifest names the source image"
    known = origin.sources.get(match.prototype_id)
    return TracedPrototype(
        match=match,
        image_title=record.image(match.image_id).title,
        patch_present=room.evidence.check(match.source.patch),
        registered=None if origin.bundle is None else _told(known) == _told(match.source.model_dump(mode="json")),
        row=row,
        film=film,
        film_note=note,
    )


def _told(source: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is told of a source: a field that is not known may be absent from what an older version wrote."""
    return {name: value for name, value in (source or {}).items() if value is not None}


def _row(manifest: Manifest, image_id: str) -> ManifestRow | None:
    return next((row for row in manifest.rows if row.image == image_id), None)
