"""Valid four-view predictions with small real pictures: flagged, not flagged, without a decision."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from medproto.records import (
    Blanking,
    Box,
    BoxKind,
    BreastScore,
    Decision,
    GateFinding,
    ImageRecord,
    Laterality,
    Likeness,
    OperatingPoint,
    Prediction,
    PrototypeMatch,
    PrototypeSource,
    Rendering,
    Scored,
)

ROWS, COLUMNS, SCALE = 1000, 800, 0.1
BUNDLE_ID = hashlib.sha256(b"factory bundle").hexdigest()
VIEWS: tuple[tuple[Laterality, str], ...] = (("R", "MLO"), ("L", "MLO"), ("R", "CC"), ("L", "CC"))
SIMILARITIES = {
    "flagged": (6.0, 2.5, 1.0, 0.5),
    "not flagged": (0.6, 0.4, 2.0, 3.0),
    "no decision": (3.0, 1.5, 1.0, 0.9),
}
WEIGHTS = (0.9, 0.6, -0.5, -0.8)


def sha256(data: bytes) -> str:
    """Hex digest of some bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Pictures:
    """Draws small pictures and keeps each under its digest."""

    seed: int
    kept: dict[str, bytes] = field(default_factory=dict)

    def keep(self, data: bytes) -> str:
        """Keep these bytes and return their digest."""
        self.kept[sha256(data)] = data
        return sha256(data)

    def png(self, rows: int, columns: int, colour: bool, label: str) -> str:
        """A breast-like gradient with noise, as PNG; `label` decides the noise."""
        noise = np.random.default_rng([self.seed, int(sha256(label.encode())[:8], 16)])
        y, x = np.mgrid[0:rows, 0:columns]
        bright = np.clip(1.1 - np.hypot((y - rows / 2) / (0.55 * rows), x / (0.8 * columns)), 0, 1)
        pixels = np.clip(255 * bright * noise.uniform(0.6, 1.0, (rows, columns)), 0, 255).astype(np.uint8)
        image = Image.fromarray(pixels)
        if colour:
            heat = np.zeros((rows, columns, 4), np.uint8)
            heat[..., 0], heat[..., 3] = 255, pixels // 2
            image = Image.fromarray(heat)
        out = io.BytesIO()
        image.save(out, "PNG")
        return self.keep(out.getvalue())

    def map(self, label: str) -> str:
        """A float32 similarity map as .npy bytes."""
        noise = np.random.default_rng([self.seed, int(sha256(label.encode())[:8], 16)])
        out = io.BytesIO()
        np.save(out, noise.uniform(0, 1, (32, 26)).astype(np.float32))
        return self.keep(out.getvalue())


def make_image(pictures: Pictures, laterality: Laterality, view: str) -> ImageRecord:
    """One view with its preview and one note of the gate."""
    name = f"{pictures.seed}-{laterality}-{view}"
    note = GateFinding(code="SEVERAL_WINDOWS", severity="note", sentence="Two windows are coded; the first was used.")
    warn = GateFinding(code="PARTIAL_VIEW", severity="warn", sentence="The breast is cut at the lower edge.")
    return ImageRecord(
        image_id=f"image-{sha256(name.encode())[:16]}",
        laterality=laterality,
        view=view,
        rows=ROWS,
        columns=COLUMNS,
        spacing_mm=(0.2, 0.2),
        file_sha256=sha256(f"file {name}".encode()),
        pixels_sha256=sha256(f"pixels {name}".encode()),
        rendering=Rendering(
            decoder="native",
            voi="window 1 of 2: LINEAR 2048/4096",
            inverted=False,
            flipped=laterality == "R",
            crop=Box(top=0, left=0, bottom=ROWS, right=COLUMNS),
            input_rows=512,
            input_columns=416,
        ),
        findings=(note, warn) if (laterality, view) == ("L", "CC") else (note,),
        preview=pictures.png(int(ROWS * SCALE), int(COLUMNS * SCALE), False, f"preview {name}"),
        preview_scale=SCALE,
    )


def make_match(pictures: Pictures, index: int, image: ImageRecord, similarity: float) -> PrototypeMatch:
    """The index-th prototype's best place, on a 40-pixel cell of that image."""
    top, left = 120.0 + 160 * index, 100.0 + 90 * index
    prototype_class = "malignant" if WEIGHTS[index % 4] > 0 else "not malignant"
    name = f"prototype {index}"
    return PrototypeMatch(
        prototype_id=f"p{index:03d}-{sha256(name.encode())[:8]}",
        prototype_class=prototype_class,
        similarity=similarity,
        weight=WEIGHTS[index % 4],
        contribution=WEIGHTS[index % 4] * similarity,
        image_id=image.image_id,
        cell=(int(top // 40), int(left // 40)),
        box=Box(top=top, left=left, bottom=top + 40, right=left + 40),
        receptive_field=Box(top=top - 150, left=left - 150, bottom=top + 190, right=left + 190),
        patch=pictures.png(48, 48, False, f"patch {index}"),
        overlay=pictures.png(int(ROWS * SCALE), int(COLUMNS * SCALE), True, f"overlay {index}"),
        similarity_map=pictures.map(f"map {index}"),
        source=PrototypeSource(
            image_id=f"image-{sha256(name.encode())[16:32]}",
            pixels_sha256=sha256(f"pixels {name}".encode()),
            laterality="L",
            view="CC",
            box=Box(top=300, left=200, bottom=340, right=240),
            patch=Pictures.png(Pictures(0, pictures.kept), 48, 48, False, name),
            distance=0.0,
        ),
    )


def make_scored(decision: Decision = "flagged", exam: str = "1", prototypes: int = 4, **changes: Any) -> Scored:
    """A scored exam. `exam` names it and seeds its pictures; `changes` replace fields of the prediction."""
    pictures = Pictures(int(sha256(exam.encode())[:8], 16))
    images = tuple(make_image(pictures, laterality, view) for laterality, view in VIEWS)
    similarities = [SIMILARITIES[decision][i % 4] / (1 + i // 4) for i in range(prototypes)]
    matches = [make_match(pictures, i, images[i % 4], s) for i, s in enumerate(similarities)]
    matches.sort(key=lambda match: -match.contribution)
    margin = sum(match.contribution for match in matches)
    unlike = decision == "no decision"
    probability = None if unlike else 1 / (1 + float(np.exp(2.0 - margin)))
    fields: dict[str, Any] = {
        "exam_id": f"exam-{sha256(exam.encode())[:16]}",
        "patient_id": f"patient-{sha256(exam.encode())[16:32]}",
        "bundle_id": BUNDLE_ID,
        "bundle_name": "factory-phantom",
        "data_licence": "CC0-1.0",
        "synthetic": True,
        "classes": ("not malignant", "malignant"),
        "positive_class": "malignant",
        "images": images,
        "refused": (),
        "findings": (),
        "likeness": Likeness(distance=9.0 if unlike else 1.0, threshold=4.0),
        "logits": {"not malignant": -margin / 2, "malignant": margin / 2},
        "margin": margin,
        "probability": probability,
        "prevalence": 0.25,
        "operating_point": OperatingPoint(margin=2.0, rule="sensitivity >= 0.90", sensitivity=0.92, specificity=0.88),
        "decision": decision,
        "breasts": tuple(
            BreastScore(laterality=side, margin=margin * part, probability=None if unlike else probability)
            for side, part in (("R", 1.0), ("L", 0.4))
        ),
        "matches": tuple(matches),
        "software": {"medproto": "0.1.0", "torch": "2.9.0", "python": "3.11"},
    }
    return Scored(Prediction(**(fields | changes)), pictures.kept)


def blanked(match: PrototypeMatch, as_strong: int = 0, kind: BoxKind = "attribution") -> PrototypeMatch:
    """The match after a check with 20 random boxes: its shown box lies beside its cell, the cell's own box second.

    Args:
        as_strong: how many random boxes lowered the similarity as much as the shown one.
    """
    cell = match.box
    beside = Box(top=cell.top - 20, left=cell.left + 10, bottom=cell.bottom + 20, right=cell.right + 50)
    second: BoxKind = "patch" if kind != "patch" else "threshold"
    drops = {"random_at_cell": 0.04, "random_anywhere": 0.01, "boxes": 20, "as_strong": as_strong}
    shown = Blanking(kind=kind, box=beside, at_cell=0.63, anywhere=0.21, **drops)
    other = Blanking(kind=second, box=cell, at_cell=0.38, anywhere=0.11, **drops)
    return match.model_copy(update={"blanking": (shown, other)})


def checked(scored: Scored, *no_better: int) -> Scored:
    """The exam with every match checked; those at these places do no better than random."""
    matches = enumerate(scored.prediction.matches)
    found = tuple(blanked(match, as_strong=15 if i in no_better else 0) for i, match in matches)
    return Scored(
        Prediction.model_validate(scored.prediction.model_dump() | {"matches": found, "blanked": True}), scored.pictures
    )


def three_classes(scored: Scored, recorded: bool = True) -> Scored:
    """The exam by a model of three classes, whose logits are sums over all prototypes, with or without their weights.

    A prototype weighs 3 on its own class and, on the other two, less what its weight on the margin asks for.
    """
    classes = ("normal", "benign", "malignant")
    matches, logits = [], dict.fromkeys(classes, 0.0)
    for i, match in enumerate(scored.prediction.matches):
        own = "malignant" if match.weight > 0 else classes[i % 2]
        others = [name for name in classes[:2] if name != own]
        weights = {own: 3.0} if own == "malignant" else {own: 3.0, "malignant": match.weight + 1.5}
        rest = 3.0 - match.weight if own == "malignant" else 0.0
        weights |= dict.fromkeys(others, rest)
        weights = {name: weights[name] for name in classes}
        logits = {name: logits[name] + weights[name] * match.similarity for name in classes}
        told = {"prototype_class": own, "class_weights": weights if recorded else None}
        matches.append(match.model_copy(update=told))
    changes = {"matches": tuple(matches), "classes": classes, "logits": logits}
    return Scored(Prediction.model_validate(scored.prediction.model_dump() | changes), scored.pictures)


def scorer_of(scored: Scored) -> Callable[..., Scored]:
    """A scorer that always answers with this prediction, whatever the files."""
    return lambda paths, pseudonymise: scored
