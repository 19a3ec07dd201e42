"""How an exam hangs: which view goes where, and where labels sit beside their boxes.

R is on the viewer's left and L on the right, chest walls together, CC above MLO. Pictures are drawn as they are stored:
nothing is mirrored. Report and screen share this page, so that both show the same wall.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

from medproto.errors import EvidenceMissing
from medproto.records import Box, ImageRecord
from medproto.summary import Evidence, shown_box

#: Lengths a scale bar may have.
SCALE_BARS_MM: Final = (50, 20, 10, 5, 2, 1)


@dataclass(frozen=True)
class Slot:
    """One place on the wall: a picture, or the labelled gap of a view that is not in the exam."""

    label: str
    image: ImageRecord | None


@dataclass(frozen=True)
class HangingRow:
    """Two places side by side; the viewer's left holds the right breast. None is an unlabelled, empty place."""

    on_left: Slot | None
    on_right: Slot | None

    @property
    def empty(self) -> bool:
        """Whether no picture hangs in this row."""
        return not any(slot and slot.image for slot in (self.on_left, self.on_right))


@dataclass(frozen=True)
class TaggedBox:
    """One square on one image with the labels of all evidence found in it."""

    labels: tuple[str, ...]
    box: Box

    @property
    def text(self) -> str:
        """The labels as printed: `1` or `1, 3`."""
        return ", ".join(self.labels)


@dataclass(frozen=True)
class Rect:
    """A rectangle with y growing downwards, in whatever unit the caller draws in."""

    left: float
    top: float
    width: float
    height: float

    def overlaps(self, other: Rect) -> bool:
        """Whether the two share any area."""
        apart_x = self.left + self.width <= other.left or other.left + other.width <= self.left
        apart_y = self.top + self.height <= other.top or other.top + other.height <= self.top
        return not (apart_x or apart_y)


def hang(images: Iterable[ImageRecord]) -> tuple[HangingRow, ...]:
    """The wall from top to bottom: CC, MLO, then further views of a known side, then images of unknown side.

    Of two images of the same side and view the first takes the standard place; the second hangs below.
    """
    left_to_hang = list(images)
    rows = [_pair(left_to_hang, "CC", gaps=True), _pair(left_to_hang, "MLO", gaps=True)]
    for view in dict.fromkeys(image.view for image in left_to_hang if image.laterality):
        while any(image.view == view and image.laterality for image in left_to_hang):
            rows.append(_pair(left_to_hang, view, gaps=False))
    slots = [Slot(image.title, image) for image in left_to_hang]
    for i in range(0, len(slots), 2):
        rows.append(HangingRow(slots[i], slots[i + 1] if i + 1 < len(slots) else None))
    return tuple(rows)


def window(image: ImageRecord, evidence: Sequence[Evidence]) -> Box:
    """The part of an image that is hung: what was scored, every box on it, and a little air; nothing else is cut off.

    It reaches the picture's edge wherever the scored region does, so that chest walls still meet.
    """
    here = [item.match for item in evidence if item.match.image_id == image.image_id]
    parts = [image.rendering.crop, *(match.box for match in here), *(shown_box(match) for match in here)]
    air = 0.01 * max(image.rows, image.columns)
    return Box(
        top=max(0.0, min(part.top for part in parts) - air),
        left=max(0.0, min(part.left for part in parts) - air),
        bottom=min(float(image.rows), max(part.bottom for part in parts) + air),
        right=min(float(image.columns), max(part.right for part in parts) + air),
    )


def boxes_on(evidence: Sequence[Evidence], image_id: str) -> tuple[TaggedBox, ...]:
    """The boxes to draw on one image, as the cards show them: solid, with a tag."""
    return _shared([(item.label, shown_box(item.match)) for item in evidence if item.match.image_id == image_id])


def cells_on(evidence: Sequence[Evidence], image_id: str) -> tuple[TaggedBox, ...]:
    """The patches that were compared on one image, to draw dashed, where they are not the boxes that are shown."""
    here = [item for item in evidence if item.match.image_id == image_id]
    return _shared([(item.label, item.match.box) for item in here if item.match.box != shown_box(item.match)])


def place_tags(boxes: Sequence[Rect], sizes: Sequence[tuple[float, float]], bounds: Rect) -> tuple[Rect, ...]:
    """Where each box's tag goes: beside its own box, inside the bounds, clear of the tags and boxes already there.

    Args:
        boxes: the drawn boxes.
        sizes: width and height of each tag.
        bounds: the picture; every tag stays inside it.
    """
    placed: list[Rect] = []
    for box, (width, height) in zip(boxes, sizes, strict=True):
        candidates = [_inside(rect, bounds) for rect in _around(box, width, height)]
        placed.append(min(candidates, key=lambda rect: _crowding(rect, boxes, placed)))
    return tuple(placed)


def composite(preview: bytes, overlays: Sequence[bytes]) -> Image.Image:
    """The stored grey picture under its stored overlays, weakest first, as RGB.

    Raises:
        EvidenceMissing: a picture cannot be read or an overlay has another size than its preview.
    """
    base = open_picture(preview).convert("RGBA")
    for data in overlays:
        overlay = open_picture(data).convert("RGBA")
        if overlay.size != base.size:
            raise EvidenceMissing(f"overlay: got {overlay.size} pixels, expected the preview's {base.size}")
        base = Image.alpha_composite(base, overlay)
    return base.convert("RGB")


def open_picture(data: bytes) -> Image.Image:
    """A stored PNG, fully decoded.

    Raises:
        EvidenceMissing: the bytes are no picture.
    """
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except (OSError, SyntaxError, ValueError) as err:
        raise EvidenceMissing(f"picture: got {len(data)} bytes that are no PNG, expected a stored picture") from err
    return picture


def lean(picture: Image.Image) -> Image.Image:
    """An RGB picture as greys where all it holds is grey: the same picture in a third of the data."""
    grey = picture.convert("L")
    return grey if grey.convert("RGB").tobytes() == picture.tobytes() else picture


def scale_bar_mm(width_mm: float) -> int:
    """The longest round length that takes at most a third of the picture's width."""
    return next((length for length in SCALE_BARS_MM if length <= width_mm / 3), SCALE_BARS_MM[-1])


def _shared(boxes: Sequence[tuple[str, Box]]) -> tuple[TaggedBox, ...]:
    """Evidence in the same square shares one box, so that labels never cover it."""
    grouped: dict[tuple[float, float, float, float], list[tuple[str, Box]]] = {}
    for label, box in boxes:
        grouped.setdefault((box.top, box.left, box.bottom, box.right), []).append((label, box))
    return tuple(TaggedBox(tuple(label for label, _ in group), group[0][1]) for group in grouped.values())


def _pair(images: list[ImageRecord], view: str | None, gaps: bool) -> HangingRow:
    """Takes the first R and the first L of one view off the list."""
    slots: list[Slot | None] = []
    for side in ("R", "L"):
        found = next((image for image in images if image.laterality == side and image.view == view), None)
        if found:
            images.remove(found)
            slots.append(Slot(found.title, found))
        else:
            slots.append(Slot(f"{side} {view}", None) if gaps else None)
    return HangingRow(slots[0], slots[1])


def _around(box: Rect, width: float, height: float) -> list[Rect]:
    """The places beside a box, the most usual first: above, below, left, right, then further off."""
    right = box.left + box.width
    bottom = box.top + box.height
    near = [
        (box.left, box.top - height),
        (right - width, box.top - height),
        (box.left, bottom),
        (right - width, bottom),
        (box.left - width, box.top),
        (right, box.top),
        (box.left - width, bottom - height),
        (right, bottom - height),
    ]
    far = [(x + dx, y + dy) for dx, dy in ((0, -height), (0, height), (-width, 0), (width, 0)) for x, y in near]
    return [Rect(x, y, width, height) for x, y in near + far]


def _inside(rect: Rect, bounds: Rect) -> Rect:
    left = min(max(rect.left, bounds.left), bounds.left + bounds.width - rect.width)
    top = min(max(rect.top, bounds.top), bounds.top + bounds.height - rect.height)
    return Rect(left, top, rect.width, rect.height)


def _crowding(rect: Rect, boxes: Sequence[Rect], tags: Sequence[Rect]) -> int:
    """How much a place is taken; covering another tag is worse than covering a box."""
    return 10 * sum(rect.overlaps(tag) for tag in tags) + sum(rect.overlaps(box) for box in boxes)
