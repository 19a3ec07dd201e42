"""The wall: R left, L right, CC above MLO, and tags that stay legible."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from audit.report_hanging import Rect, boxes_on, cells_on, composite, hang, place_tags, scale_bar_mm, window
from medproto.errors import EvidenceMissing
from medproto.records import Box, ImageRecord
from medproto.summary import Evidence, opposing, signed, supporting
from tests.audit.factory import checked, make_scored

IMAGES = make_scored().prediction.images


def titles(images: tuple[ImageRecord, ...]) -> list[tuple[str, str]]:
    """What hangs where, row by row: `-` is a gap, an empty text no place at all."""
    named = {None: ""}
    return [
        tuple(  # type: ignore[misc]
            named.get(slot, "") if slot is None else (slot.label if slot.image else f"-{slot.label}")
            for slot in (row.on_left, row.on_right)
        )
        for row in hang(images)
    ]


def png(size: tuple[int, int], mode: str = "L") -> bytes:
    """A plain PNG."""
    out = io.BytesIO()
    Image.new(mode, size, 99 if mode == "L" else (255, 0, 0, 128)).save(out, "PNG")
    return out.getvalue()


def test_four_views_hang_right_breast_left_and_cc_above_mlo() -> None:
    assert titles(IMAGES) == [("R CC", "L CC"), ("R MLO", "L MLO")]


def test_a_missing_view_leaves_its_gap() -> None:
    assert titles(IMAGES[:1]) == [("-R CC", "-L CC"), ("R MLO", "-L MLO")]


def test_a_second_image_of_a_view_and_one_of_unknown_side_hang_below() -> None:
    second = IMAGES[0].model_copy(update={"image_id": "image-2"})
    unknown = IMAGES[0].model_copy(update={"image_id": "image-3", "laterality": None, "view": None})
    assert titles((*IMAGES, second, unknown))[2:] == [("R MLO", ""), ("side unknown view unknown", "")]


def test_no_image_is_lost_on_the_wall() -> None:
    odd = tuple(IMAGES[0].model_copy(update={"image_id": f"i{n}", "view": v}) for n, v in enumerate(("ML", "ML", None)))
    hung = [slot.image for row in hang((*IMAGES, *odd)) for slot in (row.on_left, row.on_right) if slot and slot.image]
    assert sorted(i.image_id for i in hung) == sorted(i.image_id for i in (*IMAGES, *odd))


def test_evidence_in_the_same_square_shares_one_box_with_both_labels() -> None:
    match = supporting(make_scored().prediction)[0].match
    (tagged,) = boxes_on((Evidence("1", match), Evidence("3", match)), match.image_id)
    assert tagged.text == "1, 3"


def test_the_shown_box_is_drawn_and_the_compared_patch_beside_it() -> None:
    match = supporting(checked(make_scored()).prediction)[0].match
    item = Evidence("1", match)
    (shown,), (cell,) = boxes_on((item,), match.image_id), cells_on((item,), match.image_id)
    assert (shown.box, cell.box) == (match.blanking[0].box, match.box)
    unchecked = Evidence("1", match.model_copy(update={"blanking": ()}))
    assert cells_on((unchecked,), match.image_id) == ()
    assert boxes_on((unchecked,), match.image_id)[0].box == match.box


def test_the_window_holds_the_shown_box_and_the_compared_patch() -> None:
    match = supporting(checked(make_scored()).prediction)[0].match
    crop = Box(top=500, left=500, bottom=600, right=600)
    image = IMAGES[0].model_copy(update={"rendering": IMAGES[0].rendering.model_copy(update={"crop": crop})})
    part = window(image, (Evidence("1", match),))
    for box in (match.box, match.blanking[0].box):
        assert part.top <= box.top
        assert part.left <= box.left


def test_tags_of_neighbouring_boxes_do_not_cover_each_other() -> None:
    boxes = [Rect(50 + 12 * i, 50, 12, 12) for i in range(4)]
    tags = place_tags(boxes, [(14, 9)] * 4, Rect(0, 0, 200, 200))
    assert not any(a.overlaps(b) for i, a in enumerate(tags) for b in tags[:i])


def test_tags_stay_inside_the_picture() -> None:
    (tag,) = place_tags([Rect(0, 0, 12, 12)], [(14, 9)], Rect(0, 0, 100, 100))
    assert tag.left >= 0
    assert tag.top >= 0


def test_the_window_reaches_the_edge_that_the_scored_region_reaches() -> None:
    image = IMAGES[0]
    assert window(image, ()).right == image.columns


def test_the_scale_bar_is_a_round_length_of_at_most_a_third() -> None:
    assert [scale_bar_mm(width) for width in (200, 100, 40)] == [50, 20, 10]


def test_an_overlay_of_another_size_is_refused() -> None:
    with pytest.raises(EvidenceMissing, match=r"got \(5, 5\) pixels, expected the preview's \(8, 6\)"):
        composite(png((8, 6)), [png((5, 5), "RGBA")])


def test_supporting_evidence_is_numbered_and_opposing_lettered_by_strength() -> None:
    prediction = make_scored().prediction
    assert [e.label for e in supporting(prediction)] == ["1", "2"]
    assert [e.label for e in opposing(prediction)] == ["A", "B"]
    raised = [e.match.contribution for e in supporting(prediction)]
    assert raised == sorted(raised, reverse=True)


def test_zero_has_no_sign_and_minus_is_a_true_minus() -> None:
    assert [signed(0.0), signed(-0.0001), signed(1.5), signed(-1.5)] == ["0.000", "0.000", "+1.500", "−1.500"]
