"""The breast mask on pictures whose breast is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from medproto.ingest.breast import breast_mask, breast_of_sample, chest_wall_side, sample_step, widened
from medproto.ingest.shapes import grown, opened

Pixels = NDArray[np.float32]


def digital(rows: int = 400, columns: int = 300) -> tuple[Pixels, NDArray[np.bool_]]:
    """A half-ellipse with skin fading out, chest wall on the left, on black."""
    y, x = np.mgrid[0:rows, 0:columns]
    radius = ((y - rows / 2) / (rows * 0.42)) ** 2 + (x / (columns * 0.65)) ** 2
    inside = radius < 1
    texture = 0.06 * np.sin(y / 9) * np.cos(x / 11)
    return np.where(inside, 0.15 + 0.5 * (1 - radius) + texture, 0).astype(np.float32), inside


def film(rows: int = 400, columns: int = 300) -> tuple[Pixels, NDArray[np.bool_]]:
    """The same on grey film base, with black padding, a white label, a white strip and a bright rule."""
    pixels, inside = digital(rows, columns)
    noise = np.random.default_rng(3).normal(0, 0.004, pixels.shape)
    film_base = np.clip(np.maximum(pixels, 0.06) + noise, 0, 1)
    film_base[20:60, 220:260] = 1.0
    film_base[:, -8:] = 1.0
    film_base[-2:] = 0.8
    padding = np.zeros((rows, columns // 3))
    outline = np.pad(inside, ((0, 0), (padding.shape[1],) * 2))
    return np.hstack([padding, film_base, padding]).astype(np.float32), outline


def overlap(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())


def test_a_digital_breast_is_found_to_its_skin() -> None:
    pixels, truth = digital()
    assert overlap(breast_mask(pixels), truth) > 0.97


def test_labels_strips_and_padding_of_a_film_are_left_out() -> None:
    pixels, truth = film()
    mask = breast_mask(pixels)
    assert overlap(mask, truth) > 0.95
    assert not mask[20:60, 320:360].any()
    assert not mask[:, -100:].any()


def test_a_label_that_touches_the_breast_by_a_thread_is_cut_off() -> None:
    pixels, truth = digital()
    pixels[20:70, 200:280] = 0.9
    pixels[60:120, 230:234] = 0.5
    assert not breast_mask(pixels)[25:65, 205:275].any()
    assert overlap(breast_mask(pixels), truth) > 0.95


def test_dark_fat_inside_the_breast_is_filled() -> None:
    pixels, _ = digital()
    pixels[180:200, 60:80] = 0.0
    assert breast_mask(pixels)[180:200, 60:80].all()


def test_the_mask_is_one_piece_without_holes() -> None:
    mask = breast_mask(film()[0])
    assert ndimage.label(mask)[1] == 1
    assert np.array_equal(ndimage.binary_fill_holes(mask), mask)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_picture_has_no_breast(level: float) -> None:
    assert not breast_mask(np.full((200, 150), level, np.float32)).any()


def test_noise_alone_has_no_breast() -> None:
    noise = np.random.default_rng(1).uniform(0, 1, (300, 200)).astype(np.float32)
    assert not breast_mask(noise).any()


def test_a_detail_without_background_is_all_breast() -> None:
    y, x = np.mgrid[0:300, 0:300]
    detail = (0.5 + 0.3 * np.exp(-((y - 150) ** 2 + (x - 150) ** 2) / 5000)).astype(np.float32)
    assert breast_mask(detail).all()


@pytest.mark.parametrize("picture", [digital, film])
def test_the_chest_wall_is_where_the_outline_is_straight(picture: object) -> None:
    pixels, _ = picture()  # type: ignore[operator]
    assert chest_wall_side(breast_mask(pixels)) == "left"
    assert chest_wall_side(breast_mask(np.ascontiguousarray(pixels[:, ::-1]))) == "right"


def masked_film(rows: int = 900, columns: int = 600) -> tuple[Pixels, NDArray[np.bool_], NDArray[np.bool_]]:
    """A breast with faint skin and nipple on air of zero, its film glowing along both edges; its mask and nipple."""
    y, x = np.mgrid[0:rows, 0:columns]
    radius = np.hypot((y - rows / 2) / (rows * 0.38), x / (columns * 0.6))
    skin = np.clip((1 - radius) * 0.2, 0, None) + 0.006
    pixels = np.where(radius < 0.9, 0.15 + 0.4 * (1 - radius), np.where(radius < 1, skin, 0))
    tip = 0.6 * columns
    nipple = np.hypot(y - rows / 2, x - tip) < 0.02 * rows
    nipple &= radius >= 1
    pixels[nipple] = 0.012
    glow = 0.03 * np.exp(-x / 8) + 0.03 * np.exp((x - columns) / 8)
    return np.maximum(pixels, glow).astype(np.float32), (radius < 1) | nipple, nipple


def test_faint_skin_and_the_nipple_belong_to_a_breast_on_air_of_exactly_zero() -> None:
    pixels, truth, nipple = masked_film()
    mask = breast_mask(pixels)
    assert mask[nipple].mean() > 0.9
    assert overlap(mask, truth) > 0.97


def test_the_glow_of_film_edges_is_left_out() -> None:
    pixels, truth, _ = masked_film()
    mask = breast_mask(pixels)
    assert mask[:, :30][~truth[:, :30]].mean() < 0.05
    assert not mask[:, -100:].any()


def test_specks_beside_the_breast_are_left_out() -> None:
    pixels, truth, _ = masked_film()
    chance = np.random.default_rng(5)
    pixels[chance.random(pixels.shape) < 0.002] = 0.05
    mask = breast_mask(pixels)
    assert overlap(mask, truth) > 0.97
    assert ndimage.label(mask)[1] == 1


def test_a_sample_of_the_picture_gives_the_mask_of_the_picture() -> None:
    pixels = np.kron(masked_film()[0], np.ones((4, 4), np.float32))
    step = sample_step(pixels.shape)
    assert step > 1
    sampled = breast_of_sample(pixels[::step, ::step])
    mask = widened(sampled, pixels.shape)
    assert np.array_equal(mask, breast_mask(pixels))
    assert np.array_equal(mask[::step, ::step], sampled)


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (1537, 1025)])
def test_a_picture_of_any_shape_has_a_mask_of_its_shape(shape: tuple[int, int]) -> None:
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    assert breast_mask(ramp).shape == shape


def test_a_breast_that_fills_the_picture_has_its_chest_wall_where_its_upper_rows_are_straight() -> None:
    mask = np.ones((400, 300), np.bool_)
    # the front is round above, and the fold below is cut out beside the chest wall
    for row in range(60):
        mask[row, : 60 - row] = False
        mask[399 - row, 300 - 2 * (60 - row) :] = False
    assert chest_wall_side(mask) == "right"
    assert chest_wall_side(mask[:, ::-1]) == "left"


def test_mirroring_the_picture_mirrors_the_mask() -> None:
    pixels, _ = film()
    mirrored = breast_mask(np.ascontiguousarray(pixels[:, ::-1]))[:, ::-1]
    assert overlap(mirrored, breast_mask(pixels)) > 0.99


def test_a_full_size_mammogram_takes_less_than_a_fifth_of_a_second_of_processor_time() -> None:
    pixels = np.kron(digital(470, 290)[0], np.ones((10, 10), np.float32))
    started = time.process_time()
    mask = breast_mask(pixels)
    assert time.process_time() - started < 0.2
    assert mask.shape == (4700, 2900)


@pytest.mark.parametrize("shape", [(1, 1), (3, 90), (90, 3), (64, 41)])
@pytest.mark.parametrize("radius", [0.0, 1.0, 2.5, 5.12, 17.0])
def test_a_mask_grows_by_a_disc(shape: tuple[int, int], radius: float) -> None:
    mask = np.random.default_rng(3).random(shape) < 0.02
    mask[0, -1] = True
    assert np.array_equal(grown(mask, radius), ndimage.distance_transform_edt(~mask) <= radius)


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (40, 30)])
def test_a_mask_is_opened_by_a_cross(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(5).random(shape) < 0.8
    assert np.array_equal(opened(mask), ndimage.binary_opening(mask))
