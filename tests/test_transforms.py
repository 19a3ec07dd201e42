"""What the network sees: upright, chest wall on the left, to scale where asked, and nothing but the breast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medproto.errors import ConfigError, InputError
from medproto.ingest.mammogram import Mammogram, Side
from medproto.records import Box, Laterality
from medproto.transforms import InputSettings, model_input, to_input_plane
from tests.factories import COLUMNS, ROWS, breast_picture, mammogram

INPUT = InputSettings(rows=96, columns=64)


def breast_image(side: Side, finding: Box | None = None) -> Mammogram:
    """A breast with a marker beside it, and its exact mask."""
    laterality: Laterality = "L" if side == "left" else "R"
    pixels = breast_picture(1, laterality, finding)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    inside = ((y - ROWS / 2) / (ROWS * 0.42)) ** 2 + (x / (COLUMNS * 0.62)) ** 2 < 1
    return mammogram(pixels, inside if side == "left" else inside[:, ::-1], side)


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


def test_an_image_stored_upside_down_is_seen_upright() -> None:
    for chest_wall in ("left", "right"):
        stored = breast_image(chest_wall)
        upright = replace(stored, pixels=stored.pixels[::-1], breast=stored.breast[::-1])
        seen, same = model_input(replace(upright, upside_down=True), INPUT), model_input(stored, INPUT)
        assert (seen.upturned, same.upturned) == (True, False)
        assert torch.equal(seen.image, same.image)
        assert torch.equal(seen.breast, same.breast)
        assert seen.geometry.to_original(0, 0)[0] == pytest.approx(ROWS - same.geometry.to_original(0, 0)[0])


@pytest.mark.parametrize("spacing_mm", [(0.5, 0.5), (0.25, 0.5), (0.1, 0.2)])
def test_with_a_spacing_the_same_breast_keeps_its_size_in_mm(spacing_mm: tuple[float, float]) -> None:
    tall, wide = round(60 / spacing_mm[0]), round(40 / spacing_mm[1])
    pixels = np.ones((tall, wide), dtype=np.float32)
    image = replace(mammogram(pixels, pixels > 0), spacing_mm=spacing_mm)
    view = model_input(image, InputSettings(rows=128, columns=96, spacing_mm=1.0))
    assert view.spacing_mm == 1.0
    assert view.breast.sum() == 60 * 40
    assert view.breast[:60, :40].all()
    assert view.geometry.to_input(tall, wide) == pytest.approx((60, 40))


def test_a_breast_too_large_for_the_spacing_is_shown_whole_and_the_spacing_says_so() -> None:
    pixels = np.ones((400, 200), dtype=np.float32)
    image = replace(mammogram(pixels, pixels > 0), spacing_mm=(0.5, 0.5))
    view = model_input(image, InputSettings(rows=96, columns=64, spacing_mm=1.0))
    assert view.spacing_mm == pytest.approx(200 / 96)
    assert view.geometry.to_input(400, 200) == pytest.approx((96, 48))


def test_without_a_spacing_of_its_own_an_image_is_scaled_to_fit() -> None:
    image = replace(breast_image("left"), spacing_mm=None)
    view = model_input(image, INPUT.model_copy(update={"spacing_mm": 0.2}))
    assert view.spacing_mm is None
    assert torch.equal(view.image, model_input(image, INPUT).image)


def test_a_spacing_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="spacing_mm"):
        InputSettings(spacing_mm=0.0)
