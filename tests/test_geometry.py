"""Every pixel keeps its address: any chain of steps comes home, and so does a square through the real pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medproto.ingest.mammogram import Side
from medproto.transforms import Geometry, InputSettings, model_input, to_input_plane
from tests.factories import mammogram

#: Steps as (name, extent): how much of the image a crop leaves or a pad adds, or the factor of a resize.
STEP = st.one_of(
    st.tuples(st.just("crop"), st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
    st.tuples(st.just("pad"), st.floats(0, 2000), st.floats(0, 2000)),
    st.tuples(st.just("resize"), st.floats(0.2, 4), st.floats(0.2, 4)),
    st.tuples(st.sampled_from(["flip columns", "flip rows"]), st.just(0.0), st.just(0.0)),
)
#: A mammogram is at most some thousand pixels long.
PIXEL = st.floats(0, 6000)


def step(geometry: Geometry, size: tuple[float, float], change: tuple[str, float, float]) -> Geometry:
    """The geometry after one step on an image of that size."""
    name, first, second = change
    if name == "crop":
        return geometry.crop(first * size[0], second * size[1])
    if name == "pad":
        return geometry.pad(first, second)
    if name == "resize":
        return geometry.resize(first, second)
    return geometry.flip_columns(size[1]) if name == "flip columns" else geometry.flip_rows(size[0])


def sized(size: tuple[float, float], change: tuple[str, float, float]) -> tuple[float, float]:
    """Rows and columns after the step."""
    name, first, second = change
    if name == "crop":
        return size[0] * (1 - first), size[1] * (1 - second)
    if name == "pad":
        return size[0] + first, size[1] + second
    return (size[0] * first, size[1] * second) if name == "resize" else size


def by_hand(point: tuple[float, float], size: tuple[float, float], change: tuple[str, float, float]) -> list[float]:
    """Where the step moves a point of an image of that size, axis by axis."""
    name, first, second = change
    moved = []
    for axis, amount in enumerate((first, second)):
        mirrored = name == ("flip rows", "flip columns")[axis]
        if name == "crop":
            moved.append(point[axis] - amount * size[axis])
        elif name == "pad":
            moved.append(point[axis] + amount)
        elif name == "resize":
            moved.append(point[axis] * amount)
        else:
            moved.append(size[axis] - point[axis] if mirrored else point[axis])
    return moved


@given(st.lists(STEP, max_size=5), PIXEL, PIXEL)
def test_any_point_comes_home_from_any_chain_of_crops_flips_resizes_and_pads(
    steps: list[tuple[str, float, float]], row: float, column: float
) -> None:
    geometry, size = Geometry(), (6000.0, 6000.0)
    point: tuple[float, float] = (row, column)
    for change in steps:
        geometry = step(geometry, size, change)
        point = tuple(by_hand(point, size, change))  # type: ignore[assignment]
        size = sized(size, change)
    assert geometry.to_input(row, column) == pytest.approx(point, abs=1e-6, rel=1e-9)
    assert geometry.to_original(*geometry.to_input(row, column)) == pytest.approx((row, column), abs=1e-5)


def test_box_of_a_mirrored_axis_keeps_its_area() -> None:
    geometry = Geometry().crop(10, 20).flip_columns(100).resize(0.5, 0.25)
    box = geometry.box_to_original(0, 0, 10, 5)
    assert (box.top, box.left, box.bottom, box.right) == (10, 100, 30, 120)


#: Rows and columns of the picture, and how far from its border the square stays: there a smoothed edge is lopsided.
ROWS, COLUMNS, BORDER = 210, 160, 16


@settings(max_examples=60, deadline=None)
@given(
    st.integers(BORDER + 8, ROWS - BORDER - 48),
    st.integers(BORDER + 8, COLUMNS - BORDER - 48),
    st.integers(8, 40),
    st.sampled_from(["left", "right"]),
    st.booleans(),
    st.sampled_from([None, 0.9]),
)
def test_a_bright_square_comes_home_with_its_lesion_mask_and_breast(
    top: int, left: int, side_px: int, chest_wall: Side, upside_down: bool, spacing_mm: float | None
) -> None:
    pixels, breast = np.zeros((2, ROWS, COLUMNS), dtype=np.float32)
    pixels[top : top + side_px, left : left + side_px] = 1
    breast[8 : ROWS - 3, 5 : COLUMNS - 8] = 1
    image = mammogram(pixels, breast > 0, chest_wall)
    image = replace(image, upside_down=upside_down, spacing_mm=(0.5, 0.7))
    view = model_input(image, InputSettings(rows=128, columns=96, spacing_mm=spacing_mm))
    lesion = to_input_plane(pixels > 0, view)
    assert torch.equal(lesion, view.image[0])
    centre = (top + side_px / 2, left + side_px / 2)
    assert view.geometry.to_original(*centroid(lesion)) == pytest.approx(centre, abs=0.05)
    # a mask's edges are only known to half a pixel of the input
    assert view.geometry.to_original(*centroid(view.breast.float())) == pytest.approx((ROWS / 2 + 2.5, 78.5), abs=0.9)
    assert view.breast[lesion > 0.5].all()


def centroid(plane: torch.Tensor) -> tuple[float, float]:
    """Row and column of the centre of mass, in continuous pixels."""
    rows, columns = (torch.arange(extent) + 0.5 for extent in plane.shape)
    mass = plane.double().sum()
    return float((plane.sum(dim=1) * rows).sum() / mass), float((plane.sum(dim=0) * columns).sum() / mass)


def test_the_patch_of_an_input_cell_lies_where_a_square_of_the_original_was() -> None:
    pixels = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    pixels[60:90, 40:70] = 1
    for chest_wall, upside_down in (("left", False), ("right", True)):
        image = replace(mammogram(pixels, pixels >= 0, chest_wall), upside_down=upside_down)
        view = model_input(image, InputSettings(rows=96, columns=64))
        inside = torch.nonzero(view.image[0] > 0.99)
        (top, left), (bottom, right) = inside.min(dim=0).values.tolist(), (inside.max(dim=0).values + 1).tolist()
        box = view.geometry.box_to_original(top, left, bottom, right)
        assert 60 - 3 < box.top < box.bottom < 90 + 3
        assert 40 - 3 < box.left < box.right < 70 + 3
