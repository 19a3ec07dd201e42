"""An exam as the viewer is told of it: which view hangs where, what lies on it, and where its pictures are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from audit.report_hanging import HangingRow, Slot, TaggedBox, boxes_on, cells_on, hang, window
from medproto.records import Box, ImageRecord, Prediction
from medproto.summary import Evidence, opposing, supporting

#: Width and height in mm.
Size = tuple[float, float]


@dataclass(frozen=True)
class Exam:
    """An exam that is shown: its entry, its record, and what is printed on every view beside its title."""

    number: int
    record: Prediction
    note: str = ""


def wall_of(exam: Exam, evidence: bool = True) -> dict[str, Any]:
    """The rows of one exam's wall, as plain data.

    Args:
        exam: what hangs there.
        evidence: with boxes and maps; without, nothing of them is handed over.
    """
    prediction = exam.record
    stage = _stage(prediction)
    rows = [
        [_slot(slot, side, (exam.number, prediction), stage) for slot, side in _places(row)]
        for row in hang(prediction.images)
    ]
    for image in (slot["image"] for row in rows for slot in row if slot and slot["image"] and not evidence):
        image |= {"marks": [], "heats": []}
    return {"rows": rows, "note": exam.note, "pictures": f"/tiles/{exam.number}", "maps": f"/maps/{exam.number}"}


def labels_of(prediction: Prediction) -> list[str]:
    """The labels of all pictured evidence, what speaks for the class first."""
    return [item.label for item in (*supporting(prediction), *opposing(prediction))]


def _places(row: HangingRow) -> tuple[tuple[Slot | None, str], tuple[Slot | None, str]]:
    return (row.on_left, "R"), (row.on_right, "L")


def _slot(slot: Slot | None, side: str, exam: tuple[int, Prediction], stage: Size | None) -> dict[str, Any] | None:
    """A place on the wall; `side` is that of the breast that hangs here."""
    if slot is None:
        return None
    return {"label": slot.label, "image": _image(slot.image, side, exam, stage) if slot.image else None}


def _image(image: ImageRecord, side: str, exam: tuple[int, Prediction], stage: Size | None) -> dict[str, Any]:
    number, prediction = exam
    pro, con = supporting(prediction), opposing(prediction)
    part = window(image, (*pro, *con))
    here = [item for item in (*pro, *con) if item.match.image_id == image.image_id]
    return {
        "id": image.image_id,
        "title": image.title,
        "synthetic": prediction.synthetic and image.synthetic is not False,
        "side": side,
        "rows": image.rows,
        "columns": image.columns,
        "spacing": image.spacing_mm,
        "unit": _unit(image, part, stage),
        "full": image.full_depth is not None,
        "window": {"top": part.top, "left": part.left, "bottom": part.bottom, "right": part.right},
        "tiles": f"/tiles/{number}/{quote(image.image_id, safe='')}",
        "marks": [*_marks(pro, image, against=False), *_marks(con, image, against=True)],
        # The strongest last, which lies on top.
        "heats": [_heat(item, against=item in con) for item in reversed(here) if item.match.overlay],
    }


def _heat(item: Evidence, against: bool) -> dict[str, Any]:
    return {"label": item.label, "against": against, "prototype": item.match.prototype_id}


def _marks(evidence: Sequence[Evidence], image: ImageRecord, against: bool) -> list[dict[str, Any]]:
    """Solid boxes with their labels, and dashed ones for the patches that were compared."""
    solid, dashed = boxes_on(evidence, image.image_id), cells_on(evidence, image.image_id)
    return [_mark(tag, against, False) for tag in solid] + [_mark(tag, against, True) for tag in dashed]


def _mark(tag: TaggedBox, against: bool, dashed: bool) -> dict[str, Any]:
    box = tag.box
    edges = [box.top, box.left, box.bottom, box.right]
    return {"labels": tag.labels, "text": tag.text, "against": against, "dashed": dashed, "box": edges}


def _stage(prediction: Prediction) -> Size | None:
    """The smallest frame in mm that holds every view of known spacing; None where there is none."""
    evidence = (*supporting(prediction), *opposing(prediction))
    known = [(image, image.spacing_mm) for image in prediction.images if image.spacing_mm]
    sizes = [_size(window(image, evidence), spacing) for image, spacing in known]
    return (max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None


def _size(part: Box, spacing: tuple[float, float]) -> Size:
    return (part.right - part.left) * spacing[1], (part.bottom - part.top) * spacing[0]


def _unit(image: ImageRecord, part: Box, stage: Size | None) -> tuple[float, float]:
    """What a pixel counts for, down and across: mm; where spacing is unknown, as much as makes the view fit."""
    if image.spacing_mm:
        return image.spacing_mm
    width, height = _size(part, (1.0, 1.0))
    factor = min(stage[0] / width, stage[1] / height) if stage else 1.0
    return factor, factor
