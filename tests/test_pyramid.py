"""What is kept of a picture comes back sample by sample, at every scale, tile by tile."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medproto import pyramid
from medproto.errors import EvidenceMissing
from medproto.ingest.greys import Greys, Preset, Samples

WINDOW = Preset(name="Window 1", function="LINEAR", centre=2048, width=4096)
GREYS = Greys(offset=0, step=1, most=4095, inverted=False, chosen=0, presets=(WINDOW,))


def noise(*shape: int) -> Samples:
    """Samples of 12 bits."""
    return np.random.default_rng(0).integers(0, 4096, shape, dtype=np.uint16)


def level(opened: pyramid.Pyramid, number: int) -> Samples:
    """A whole level, put together from its tiles."""
    size = opened.head.levels[number]
    rows, columns = range(-(-size.rows // pyramid.TILE)), range(-(-size.columns // pyramid.TILE))
    return np.block([[opened.tile(number, row, column) for column in columns] for row in rows])


@pytest.mark.parametrize(
    "shape", [(1, 1), (512, 512), (513, 1), (1, 513), (514, 1025), (1024, 512), (700, 1500)], ids=str
)
def test_every_level_is_the_one_before_halved(shape: tuple[int, int]) -> None:
    expected = noise(*shape)
    opened = pyramid.decode(pyramid.encode(expected, GREYS))
    for number in range(len(opened.head.levels)):
        np.testing.assert_array_equal(level(opened, number), expected)
        expected = pyramid.halved(expected)
    assert max(opened.head.levels[-1].rows, opened.head.levels[-1].columns) <= pyramid.TILE


def test_a_halved_sample_is_the_mean_of_four() -> None:
    np.testing.assert_array_equal(
        pyramid.halved(np.array([[0, 1, 65535], [1, 1, 65535], [7, 8, 9]], np.uint16)), [[1, 65535], [8, 9]]
    )


def test_equal_pictures_are_equal_bytes() -> None:
    assert pyramid.encode(noise(600, 300), GREYS) == pyramid.encode(noise(600, 300), GREYS)


@pytest.mark.parametrize("place", [(0, 2, 0), (0, 0, -1), (9, 0, 0), (-1, 0, 0)], ids=str)
def test_a_tile_that_is_not_there_is_said_so(place: tuple[int, int, int]) -> None:
    opened = pyramid.decode(pyramid.encode(noise(600, 300), GREYS))
    with pytest.raises(EvidenceMissing, match="tile: got"):
        opened.tile(*place)


def test_bytes_that_are_no_picture_are_said_so() -> None:
    data = pyramid.encode(noise(600, 300), GREYS)
    with pytest.raises(EvidenceMissing, match="first lines"):
        pyramid.decode(b"\x89PNG" + data)
    with pytest.raises(EvidenceMissing, match="bytes of tiles, expected"):
        pyramid.decode(data[:-1])
    with pytest.raises(EvidenceMissing, match="a tile does not decode"):
        pyramid.decode(data[:-9] + bytes(9)).tile(1, 0, 0)


def test_a_preview_becomes_a_picture_of_its_own_greys() -> None:
    greys = noise(90, 60).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(greys).save(stream, "PNG")
    np.testing.assert_array_equal(pyramid.of_preview(stream.getvalue()).tile(0, 0, 0), greys)
    with pytest.raises(EvidenceMissing, match="no PNG"):
        pyramid.of_preview(b"GIF89a")
