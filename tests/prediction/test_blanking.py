"""Blanking on networks whose every cell is known: the boxes, what fills them, and what is taken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from medproto.attribution import AREAS_CELLS, InputBox, Place, area_of, boxes, gradients, region, square
from medproto.blanking import CHECKED, DEFAULT_BOX, Check, Origin, Seen, blank, check_places
from medproto.explain import score_images
from medproto.model.backbone import Backbone
from medproto.model.protopnet import ProtoPNet
from medproto.model.receptive_field import Axis, ReceptiveField, Window
from medproto.records import Blanking, Box, BoxKind
from medproto.transforms import Geometry

WHOLE = InputBox(0, 0, 64, 64)
FIELD = ReceptiveField(Axis(4.0, 8, 8, 8), Axis(4.0, 8, 8, 8))
#: The cell of the bright square.
ROW, COLUMN = 3, 4
BRIGHT = slice(8 * ROW, 8 * ROW + 8), slice(8 * COLUMN, 8 * COLUMN + 8)


class Looking(nn.Module):
    """Moves everything to the left, so that a cell sees what lies so many pixels to its right."""

    def __init__(self, columns_px: int) -> None:
        super().__init__()
        self.columns_px = columns_px

    def forward(self, images: Tensor) -> Tensor:
        """The moved images."""
        return torch.roll(images, -self.columns_px, dims=-1)


def patch_means(aside_px: int = 0) -> ProtoPNet:
    """A network whose cells are the mean of their 8 x 8 patch, or of one aside; its one prototype is bright."""
    mean = nn.Conv2d(1, 1, 8, 8)
    nn.init.constant_(mean.weight, 1 / 64)
    nn.init.zeros_(mean.bias)  # type: ignore[arg-type]
    layers = nn.Sequential(Looking(aside_px), mean)
    model = ProtoPNet(Backbone(layers, 1, (0.0, 1.0), {}, [Window(8, 8, 0)]), 1, torch.tensor([1]), 2)
    model.add_on = nn.Sequential(nn.Identity())
    model.prototypes.data.fill_(0.95)
    return model.eval().requires_grad_(False)


def exam_with_a_bright_square(views: int = 2) -> Tensor:
    """Grey views, the last with a bright square."""
    images = torch.full((views, 1, 64, 64), 0.2)
    images[-1, 0][BRIGHT] = 0.9
    return images


def seen_by(model: ProtoPNet, images: Tensor) -> Seen:
    """An exam that is all breast, as that network saw it."""
    breast = torch.ones(len(images), 64, 64)
    whole = Box(top=0, left=0, bottom=64, right=64)
    origins = tuple(Origin(Geometry(), whole, f"{view:064x}") for view in range(len(images)))
    return Seen(model, images, breast, origins, score_images(model, images, breast))


def strongest(seen: Seen) -> Place:
    """Where the first prototype found its best match."""
    _, view, cell = seen.scored.best(range(len(seen.images)))
    return Place(0, int(view[0]), divmod(int(cell[0]), seen.scored.field.columns.cells))


def checked(seen: Seen, check: Check = CHECKED) -> dict[BoxKind, Blanking]:
    """What blanking does to that match, by kind of box."""
    return {entry.kind: entry for entry in check_places(seen, [strongest(seen)], check)[0]}


def test_box_of_what_was_seen_takes_the_similarity_and_random_boxes_do_not() -> None:
    seen = seen_by(patch_means(), exam_with_a_bright_square())
    assert strongest(seen) == Place(0, 1, (ROW, COLUMN))
    found = checked(seen)
    for entry in found.values():
        assert entry.box == Box(top=24, left=32, bottom=32, right=40)
        # Blanked to 0.2; the whole breast becomes its mean, which is brighter by a 64th of the square's 0.7.
        similarity = [math.log((d + 1) / (d + 1e-4)) for d in (0.05**2, 0.75**2, (0.75 - 0.7 / 64) ** 2)]
        wanted = (similarity[0] - similarity[1]) / (similarity[0] - similarity[2])
        assert entry.at_cell == pytest.approx(wanted, abs=1e-4)
        # Elsewhere all is as grey as the blanked box, but in the whole blanked exam the first view stays at 0.2.
        assert entry.anywhere == pytest.approx(wanted, abs=1e-4)
        assert entry.gain > 0.8
        assert entry.boxes == 20
        assert not entry.no_better_than_random


def test_similarity_found_elsewhere_again_falls_at_the_cell_alone() -> None:
    images = exam_with_a_bright_square()
    images[0, 0, 40:48, 8:16] = 0.89
    found = checked(seen_by(patch_means(), images))
    assert found["patch"].at_cell > 0.95
    assert 0 < found["patch"].anywhere < 0.2


def test_box_beside_what_was_seen_is_told() -> None:
    seen = seen_by(patch_means(aside_px=16), exam_with_a_bright_square())
    assert strongest(seen) == Place(0, 1, (ROW, COLUMN - 2))
    found = checked(seen)
    assert found["patch"].at_cell == pytest.approx(0, abs=1e-6)
    assert found["patch"].no_better_than_random
    assert found["threshold"].no_better_than_random
    assert found["attribution"].box == Box(top=24, left=32, bottom=32, right=40)
    assert found["attribution"].gain > 0.8


def test_similarity_that_the_breast_does_not_give_has_no_share() -> None:
    images = torch.full((1, 1, 64, 64), 0.9)
    assert check_places(seen_by(patch_means(), images), [Place(0, 0, (0, 0))]) == [()]
    # The mean of what is a little too dark and what is a little too bright meets the prototype.
    images[:, :, 32:] = 1.0
    seen = seen_by(patch_means(), images)
    assert check_places(seen, [strongest(seen)]) == [()]


def test_matches_are_judged_each_for_itself() -> None:
    seen = seen_by(patch_means(), exam_with_a_bright_square())
    together = check_places(seen, [strongest(seen), Place(0, 0, (1, 1)), strongest(seen)])
    assert together[0] == together[2] == check_places(seen, [strongest(seen)])[0]


def test_default_box_is_first() -> None:
    seen = seen_by(patch_means(), exam_with_a_bright_square())
    entries = check_places(seen, [strongest(seen)])[0]
    assert entries[0].kind == DEFAULT_BOX
    assert {entry.kind for entry in entries} == {"patch", "threshold", "attribution"}


def test_gradient_times_input_is_that_of_the_formula() -> None:
    model, images = patch_means(), exam_with_a_bright_square()
    found = gradients(model, images, [Place(0, 1, (ROW, COLUMN)), Place(0, 0, (0, 0))])
    gap = 0.9 - 0.95
    slope = abs((1 / (gap**2 + 1) - 1 / (gap**2 + 1e-4)) * 2 * gap / 64)
    assert found.shape == (2, 64, 64)
    assert found[0][BRIGHT].numpy() == pytest.approx(np.full((8, 8), slope * 0.9), rel=1e-4)
    assert float(found[0].sum()) == pytest.approx(64 * slope * 0.9, rel=1e-4)
    assert float(found[1][8:].sum()) == 0


def test_blanked_box_takes_the_grey_of_its_surround_without_an_edge() -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    image = 0.2 + 0.004 * rows + 0.002 * columns
    marked = image.clone()
    marked[20:36, 24:40] = 1.0
    blanked = blank(marked, torch.ones(64, 64), InputBox(20, 24, 36, 40))
    inside = blanked[20:36, 24:40]
    assert float((inside - image[20:36, 24:40]).abs().max()) < 0.03
    assert float(inside.max()) < 0.5
    assert torch.equal(blanked[:20], marked[:20])
    assert torch.equal(blanked[:, 40:], marked[:, 40:])


def test_what_is_not_breast_neither_changes_nor_bleeds_into_the_box() -> None:
    image, breast = torch.full((64, 64), 0.4), torch.ones(64, 64)
    image[:, 40:], breast[:, 40:] = 0.0, 0.0
    image[20:36, 30:40] = 0.9
    blanked = blank(image, breast, InputBox(20, 30, 36, 46))
    assert blanked[20:36, 30:40].numpy() == pytest.approx(np.full((16, 10), 0.4), abs=1e-6)
    assert float(blanked[:, 40:].max()) == 0


def test_pixel_is_replaced_as_far_as_the_box_covers_it() -> None:
    image = torch.zeros(64, 64)
    image[10, 10] = 0.8
    blanked = blank(image, torch.ones(64, 64), InputBox(10.25, 8, 14.25, 12))
    assert float(blanked[10, 10]) == pytest.approx(0.2, abs=0.01)


def test_box_without_a_surround_becomes_the_mean_grey() -> None:
    image, breast = torch.zeros(64, 64), torch.zeros(64, 64)
    image[8:16, 8:16], breast[8:16, 8:16] = 0.6, 1.0
    image[8:12, 8:16] = 0.2
    blanked = blank(image, breast, InputBox(4, 4, 20, 20))
    assert blanked[8:16, 8:16].numpy() == pytest.approx(np.full((8, 8), 0.4), abs=1e-6)


@given(
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(0, 2**32 - 1),
    st.floats(20.5, 64),
    st.floats(20.5, 64),
)
def test_boxes_of_a_match_have_one_area_and_lie_in_the_image(
    row: int, column: int, seed: int, bottom: float, right: float
) -> None:
    generator = np.random.default_rng(seed)
    similarity = generator.random((8, 8)).astype(np.float32)
    similarity[row, column] = 1.5
    limits = InputBox(0, 0, bottom, right)
    rectangle = region(similarity, np.ones((8, 8), dtype=bool), FIELD, (64, 64))
    area_px = area_of(rectangle, FIELD, limits)
    centre = FIELD.rows.centre_px(row), FIELD.columns.centre_px(column)
    found = boxes(rectangle, torch.from_numpy(generator.random((64, 64))), centre, (area_px, limits))
    assert area_px in {min(64 * cells, min(bottom, right) ** 2) for cells in AREAS_CELLS}
    for box in (*found.values(), square((bottom, 0.0), area_px, limits)):
        assert box.area_px == pytest.approx(area_px)
        assert min(box.top, box.left) >= -1e-9
        assert box.bottom <= bottom + 1e-9
        assert box.right <= right + 1e-9


def test_wide_region_of_the_map_makes_larger_boxes_around_the_peak() -> None:
    similarity = np.zeros((8, 8), dtype=np.float32)
    similarity[3, 2:6] = 1.0
    similarity[3, 4] = 1.2
    rectangle = region(similarity, np.ones((8, 8), dtype=bool), FIELD, (64, 64))
    assert (rectangle.left, rectangle.right) == pytest.approx((16, 48), abs=2)
    assert area_of(rectangle, FIELD, WHOLE) == 4 * 64
    centre = FIELD.rows.centre_px(3), FIELD.columns.centre_px(4)
    found = boxes(rectangle, torch.zeros(64, 64), centre, (256.0, WHOLE))
    assert found["patch"] == InputBox(20, 28, 36, 44)
    threshold = found["threshold"]
    assert threshold.width > 3 * threshold.height
    assert threshold.top < centre[0] < threshold.bottom
    assert threshold.left < centre[1] < threshold.right
