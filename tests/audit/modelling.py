"""A registered model: prototypes of a scored exam with their closest training patches, and pages of its card."""

from __future__ import annotations

from audit.entries import Entry
from audit.payloads import BundleRegistered, EvaluationRun, RegisteredPrototype
from audit.room import Room
from audit.service import Actor, register
from medproto.neighbourhood import Neighbour, Neighbourhood, Share
from medproto.records import Box, PrototypeMatch, Scored
from tests.audit.factory import BUNDLE_ID, Pictures, sha256

MAKER = Actor("ada.maker", "service")
CARD, MEASURED_CARD = b"<!doctype html><p>Card without results</p>", b"<!doctype html><p>Card with results</p>"
#: Split -> patients of the data that the model learnt from.
SPLITS = {"test": 40, "train": 120, "val": 38}
#: Of five neighbours so many are of the prototype's class, by its place; the last prototype has mostly others.
PURE = (5, 4, 3, 1)


def around(match: PrototypeMatch, place: int, pictures: Pictures) -> Neighbourhood:
    """Five neighbours of that prototype, its own class first."""
    other = {"malignant": "not malignant"}.get(match.prototype_class, "malignant")
    pure = PURE[place % 4]
    nearest = tuple(
        Neighbour(
            image_id=f"image-{sha256(f'near {place} {i}'.encode())[:16]}",
            image_class=match.prototype_class if i < pure else other,
            laterality="R",
            view="MLO",
            similarity=3.0 - 0.25 * i,
            box=Box(top=40.0 * i, left=80, bottom=40.0 * i + 40, right=120),
            patch=pictures.png(48, 48, False, f"near {place} {i}"),
        )
        for i in range(5)
    )
    return Neighbourhood(split="train", nearest=nearest, purity=Share(hits=pure, total=5), expected=0.25)


def register_model(room: Room, scored: Scored, neighbours: bool = True) -> Entry:
    """The bundle of that exam in the ledger, with pictures and a card; without neighbours as older bundles are."""
    pictures = Pictures(7)
    matches = scored.prediction.matches
    prototypes = tuple(
        RegisteredPrototype(
            prototype_id=match.prototype_id,
            prototype_class=match.prototype_class,
            source=match.source,
            neighbours=around(match, place, pictures) if neighbours else None,
        )
        for place, match in enumerate(matches)
    )
    for content in (*pictures.kept.values(), *(scored.pictures[match.source.patch] for match in matches)):
        room.evidence.put(content)
    bundle = BundleRegistered(
        bundle_id=BUNDLE_ID,
        name="factory-phantom",
        data_licence="CC0-1.0",
        training_entry=None,
        prototypes=prototypes,
        metrics={},
        card=room.evidence.put(CARD) if neighbours else None,
        data_name="factory cohort" if neighbours else None,
        synthetic=True if neighbours else None,
        splits=_counts() if neighbours else None,
    )
    return register(room, bundle, MAKER)


def _counts() -> dict[str, dict[str, int]]:
    return {name: {"patients": n, "exams": n, "images": 4 * n} for name, n in SPLITS.items()}


def register_results(room: Room) -> Entry:
    """An evaluation of that bundle, with the card that tells it."""
    exam = {"value": 0.91, "low": 0.84, "high": 0.96}
    run = EvaluationRun(
        bundle_id=BUNDLE_ID,
        manifest_digest=sha256(b"manifest"),
        results_digest=sha256(b"results"),
        results={"split": "test", "exams": 40, "patients": 38, "positives": 14, "auroc": {"exam": exam}},
        card=room.evidence.put(MEASURED_CARD),
    )
    return register(room, run, MAKER)
