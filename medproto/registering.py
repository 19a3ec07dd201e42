"""Models into a room: a bundle with its prototypes, their neighbours and its card; an evaluation with its figures."""

from __future__ import annotations

from dataclasses import fields

from audit import service
from audit.payloads import BundleRegistered, EvaluationRun, RegisteredPrototype
from audit.room import Actor, Room
from medproto.bundle import Bundle, SplitRecord
from medproto.card.evaluation import Evaluated
from medproto.card.html import html
from medproto.card.make import make_card
from medproto.card.model import settings_of
from medproto.errors import BundleError
from medproto.evaluation.run import Evaluation
from medproto.records import Digest


def register_bundle(room: Room, bundle: Bundle, actor: Actor, training_entry: int | None = None) -> None:
    """Write a bundle into the ledger, once: its id, its prototypes, and as evidence their patches and its card."""
    for entry in room.ledger.entries(service.LedgerFilter(kind="bundle registered")):
        if entry.payload["bundle_id"] == bundle.bundle_id:
            return
    for content in bundle.pictures.values():
        room.evidence.put(content)
    data = bundle.manifest.data
    payload = BundleRegistered(
        bundle_id=bundle.bundle_id,
        name=bundle.manifest.name,
        data_licence=bundle.manifest.data_licence,
        training_entry=training_entry,
        prototypes=tuple(RegisteredPrototype(**dict(entry)) for entry in bundle.manifest.prototypes),
        metrics=bundle.manifest.metrics,
        card=_card(room, bundle, None),
        data_name=bundle.manifest.data_name,
        synthetic=bundle.manifest.synthetic,
        splits=None if data is None else {name: _counts(split) for name, split in data.splits.items()},
    )
    service.register(room, payload, actor)


def register_evaluation(room: Room, bundle: Bundle, evaluated: Evaluated, actor: Actor) -> None:
    """Write an evaluation of that bundle into the ledger, once: its figures, and as evidence the card that tells them.

    Raises:
        InputError: something in the evaluation is not what its key says.
    """
    measured = evaluated.measured
    names = [field.name for field in fields(Evaluation)] + ["shortcut_auroc"]
    payload = EvaluationRun(
        bundle_id=bundle.bundle_id,
        manifest_digest=measured.text("manifest_digest"),
        results_digest=evaluated.sha256,
        results={name: measured.content[name] for name in names if name in measured},
        card=_card(room, bundle, evaluated),
    )
    if service.find_registered(room, payload) is None:
        service.register(room, payload, actor)


def _counts(split: SplitRecord) -> dict[str, int]:
    return {"patients": split.patients, "exams": split.exams, "images": split.images}


def _card(room: Room, bundle: Bundle, evaluated: Evaluated | None) -> Digest | None:
    """The model's card as kept evidence; None of a bundle that does not tell how it was trained."""
    try:
        settings_of(bundle.manifest)
    except BundleError:
        return None
    return room.evidence.put(html(make_card(bundle, evaluated)).encode())
