"""Every pixel keeps its address: chains come home, a bright square comes home, and only the breast goes in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medproto.errors import ConfigError, InputError
from medproto.ingest.mammogram import Mammogram, Side
from medproto.records import Box, Laterality
from medproto.transforms import Geometry, InputSettings, model_input, to_input_plane
from tests.factories import COLUMNS, ROWS, breast_picture, mammogram

INPUT = InputSettings(rows=96, columns=64)
AMOUNT = st.floats(-500, 500)
FACTOR = st.floats(0.05, 20)
STEP = st.one_of(
    st.tuples(st.just("crop"), AMOUNT, AMOUNT),
    st.tuples(st.just("pad"), AMOUNT, AMOUNT),
    st.tuples(st.just("resize"), FACTOR, FACTOR),
    st.tuples(st.just("flip"), st.floats(1, 2000), st.just(0.0)),
)


def chain(steps: list[tuple[str, float, float]]) -> Geometry:
    """The geometry after these steps."""
    geometry = Geometry()
    for name, first, second in steps:
        if name == "crop":
            geometry = geometry.crop(first, second)
        elif name == "pad":
            geometry = geometry.pad(first, second)
        elif name == "resize":
            geometry = geometry.resize(first, second)
        else:
            geometry = geometry.flip_columns(first)
    return geometry


def breast_image(side: Side, finding: Box | None = None) -> Mammogram:
    """A breast with a marker beside it, and its exact mask."""
    laterality: Laterality = "L" if side == "left" else "R"
    pixels = breast_picture(1, laterality, finding)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    inside = ((y - ROWS / 2) / (ROWS * 0.42)) ** 2 + (x / (COLUMNS * 0.62)) ** 2 < 1
    return mammogram(pixels, inside if side == "left" else inside[:, ::-1], side)


@given(st.lists(STEP, max_size=6), AMOUNT, AMOUNT)
def test_any_chain_of_crops_flips_resizes_and_pads_comes_home(
    steps: list[tuple[str, float, float]], row: float, column: float
) -> None:
    geometry = chain(steps)
    there = geometry.to_input(row, column)
    # Rounding grows with how far the chain shrinks: what was a pixel must stay far above it.
    slack = 1e-9 * (1 + max(map(abs, there))) / min(abs(geometry.row_scale), abs(geometry.column_scale))
    offsets = max(abs(geometry.row_offset), abs(geometry.column_offset))
    slack += 1e-12 * offsets / min(abs(geometry.row_scale), abs(geometry.column_scale))
    assert geometry.to_original(*there) == pytest.approx((row, column), abs=slack)


@given(st.lists(STEP, max_size=6), AMOUNT, AMOUNT)
def test_a_step_acts_on_the_input_of_the_steps_before(
    steps: list[tuple[str, float, float]], row: float, column: float
) -> None:
    before = chain(steps)
    y, x = before.to_input(row, column)
    slack = 1e-9 * (1 + abs(y) + abs(x)) * 20
    assert before.crop(3, 5).to_input(row, column) == pytest.approx((y - 3, x - 5), abs=slack)
    assert before.pad(3, 5).to_input(row, column) == pytest.approx((y + 3, x + 5), abs=slack)
    assert before.resize(2, 0.5).to_input(row, column) == pytest.approx((2 * y, x / 2), abs=slack)
    assert before.flip_columns(640).to_input(row, column) == pytest.approx((y, 640 - x), abs=slack)


def test_box_of_a_mirrored_axis_keeps_its_area() -> None:
    geometry = Geometry().crop(10, 20).flip_columns(100).resize(0.5, 0.25)
    box = geometry.box_to_original(0, 0, 10, 5)
    assert (box.top, box.left, box.bottom, box.right) == (10, 100, 30, 120)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 168), st.integers(0, 136), st.integers(10, 24), st.sampled_from(["left", "right"]))
def test_bright_square_comes_home(top: int, left: int, side_px: int, chest_wall: Side) -> None:
    pixels = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    pixels[top : top + side_px, left : left + side_px] = 1
    view = model_input(mammogram(pixels, np.ones_like(pixels, dtype=bool), chest_wall), INPUT)
    bright = view.image[0] > 0.5
    rows, columns = torch.nonzero(bright.any(dim=1)).flatten(), torch.nonzero(bright.any(dim=0)).flatten()
    home = view.geometry.box_to_original(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    slack_rows, slack_columns = (0.5 / abs(s) + 1e-6 for s in (view.geometry.row_scale, view.geometry.column_scale))
    assert (home.top, home.bottom) == pytest.approx((top, min(top + side_px, ROWS)), abs=slack_rows)
    assert (home.left, home.right) == pytest.approx((left, min(left + side_px, COLUMNS)), abs=slack_columns)


def test_chest_wall_on_the_right_is_mirrored() -> None:
    right = breast_image("right")
    mirrored = mammogram(np.ascontiguousarray(right.pixels[:, ::-1]), right.breast[:, ::-1], "left")
    seen, same = model_input(right, INPUT), model_input(mirrored, INPUT)
    assert (seen.flipped, same.flipped) == (True, False)
    assert torch.equal(seen.image, same.image)
    assert torch.equal(seen.breast, same.breast)
    assert seen.geometry.column_scale < 0 < same.geometry.column_scale
    # The chest wall of the original, at its right edge, is the left edge of the input.
    assert seen.geometry.to_original(0, 0)[1] == pytest.approx(COLUMNS)


@pytest.mark.parametrize("chest_wall", ["left", "right"])
def test_nothing_outside_the_breast_reaches_the_input(chest_wall: Side) -> None:
    image = breast_image(chest_wall)
    assert image.pixels[~image.breast].max() > 0.9
    noise = np.random.default_rng(0).random(image.pixels.shape, dtype=np.float32)
    other = replace(image, pixels=np.where(image.breast, image.pixels, noise))
    for region in (None, Box(top=20, left=30, bottom=150, right=130)):
        seen = model_input(image, INPUT, region)
        assert torch.equal(seen.image, model_input(other, INPUT, region).image)
        assert seen.image.max() > 0.2


def test_input_keeps_the_aspect_ratio_and_fills_with_black() -> None:
    pixels = np.ones((100, 200), dtype=np.float32)
    view = model_input(mammogram(pixels, np.ones((100, 200), dtype=bool)), INPUT)
    assert view.image.shape == (1, 96, 64)
    assert view.image[0, :32].min() == pytest.approx(1)
    assert (view.image[0, 32:] == 0).all()
    assert not view.breast[32:].any()


def test_region_is_all_that_is_seen() -> None:
    image = breast_image("left", Box(top=80, left=20, bottom=104, right=44))
    view = model_input(image, INPUT, Box(top=70, left=10, bottom=118, right=42))
    assert view.crop == Box(top=70, left=10, bottom=118, right=42)
    assert view.geometry.to_original(0, 0) == pytest.approx((70, 10))
    assert view.geometry.to_original(96, 64) == pytest.approx((118, 42))


def test_region_across_the_border_is_cut_to_the_image() -> None:
    view = model_input(breast_image("left"), INPUT, Box(top=-10.5, left=-3, bottom=50.2, right=400))
    assert view.crop == Box(top=0, left=0, bottom=51, right=COLUMNS)


@pytest.mark.parametrize(
    "region",
    [
        Box(top=ROWS, left=0, bottom=ROWS + 40, right=40),
        Box(top=0, left=COLUMNS + 5, bottom=40, right=COLUMNS + 40),
        Box(top=-40, left=0, bottom=-1, right=40),
    ],
)
def test_region_beyond_the_image_is_an_error(region: Box) -> None:
    with pytest.raises(InputError, match=r"region: got rows .* expected a part of the image of 192 x 160"):
        model_input(breast_image("left"), INPUT, region)


def test_input_size_that_is_no_multiple_of_32_is_an_error() -> None:
    with pytest.raises(ConfigError, match="input size: got 100 x 64, expected multiples of 32"):
        model_input(breast_image("left"), InputSettings(rows=100, columns=64))


def test_lesion_mask_lies_where_the_image_shows_the_lesion() -> None:
    box = Box(top=80, left=20, bottom=104, right=44)
    pixels = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    pixels[80:104, 20:44] = 1
    for chest_wall in ("left", "right"):
        image = replace(breast_image(chest_wall), pixels=pixels, breast=np.ones((ROWS, COLUMNS), dtype=bool))
        view = model_input(image, INPUT)
        plane = to_input_plane(pixels > 0, view)
        assert torch.equal(plane, view.image[0])
        centre = view.geometry.to_input(*box.centre)
        assert float(plane[int(centre[0]), int(centre[1])]) == pytest.approx(1)
