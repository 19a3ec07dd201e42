"""Payload of a prediction as large as that of a real exam: four views, ten prototypes, about 15 kB."""

from __future__ import annotations

import hashlib
import random
from typing import Any

PROTOTYPES = 10
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def scored_exam(number: int) -> dict[str, Any]:
    """What an exam of that number, which answers no intent, might have been scored as."""
    chance = random.Random(number)
    matches = [_match(f"{number}-{place}", chance) for place in range(PROTOTYPES)]
    return {
        "prediction": {
            "exam_id": f"exam-{number:016x}",
            "patient_id": f"patient-{number:016x}",
            "bundle_id": _digest("bundle"),
            "bundle_name": "bench",
            "images": [_image(f"{number}-{side}-{view}", side, view) for side, view in VIEWS],
            "refused": [],
            "findings": [],
            "logits": {"malignant": chance.gauss(0, 2), "not malignant": chance.gauss(0, 2)},
            "margin": chance.gauss(0, 2),
            "probability": chance.random(),
            "operating_point": {"margin": 1.5, "sensitivity": 0.9, "specificity": 0.8, "rule": "sensitivity >= 0.90"},
            "decision": "flagged",
            "synthetic": True,
            "matches": matches,
        }
    }


def _image(name: str, side: str, view: str) -> dict[str, Any]:
    return {
        "image_id": f"image-{_digest(name)[:16]}",
        "laterality": side,
        "view": view,
        "rows": 3328,
        "columns": 2560,
        "spacing_mm": [0.07, 0.07],
        "file_sha256": _digest(f"file {name}"),
        "pixels_sha256": _digest(f"pixels {name}"),
        "rendering": {"decoder": "native", "voi": "window 1 of 2: LINEAR 2048/4096", "inverted": False},
        "findings": [{"code": "SEVERAL_WINDOWS", "severity": "note", "sentence": "Two windows; the first was used."}],
        "preview": _digest(f"preview {name}"),
    }


def _match(name: str, chance: random.Random) -> dict[str, Any]:
    similarity, weight = chance.uniform(0, 6), chance.gauss(0, 1)
    return {
        "prototype_id": f"p-{_digest(name)[:8]}",
        "prototype_class": "malignant",
        "similarity": similarity,
        "weight": weight,
        "contribution": similarity * weight,
        "image_id": f"image-{_digest(name)[:16]}",
        "cell": [chance.randrange(48), chance.randrange(24)],
        "box": _box(chance),
        "receptive_field": _box(chance),
        **{picture: _digest(f"{picture} {name}") for picture in ("patch", "overlay", "similarity_map")},
        "blanking": [
            {"kind": kind, "box": _box(chance), **{drop: chance.random() for drop in ("at_cell", "anywhere")}}
            for kind in ("attribution", "patch")
        ],
        "source": {
            "image_id": f"image-{_digest(name)[16:32]}",
            "pixels_sha256": _digest(f"source {name}"),
            "laterality": "L",
            "view": "CC",
            "box": _box(chance),
            "patch": _digest(f"source patch {name}"),
            "distance": chance.random(),
        },
    }


def _box(chance: random.Random) -> dict[str, float]:
    top, left = chance.uniform(0, 3000), chance.uniform(0, 2000)
    return {"top": top, "left": left, "bottom": top + 128, "right": left + 128}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
