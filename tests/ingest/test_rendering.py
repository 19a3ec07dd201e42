"""The look-up in bands, digested by a second thread, against the plain way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from medproto.errors import RefusedImage
from medproto.ingest.mammogram import digest_pixels
from medproto.ingest.pixels import linear, sigmoid
from medproto.ingest.reading import read_mammogram
from medproto.ingest.rendering import BAND_PX, BANDS, line_of, look_up
from tests.ingest.factory import Recipe, breast_values, write, write_dicom


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, BAND_PX + 5), (700, 431), (BAND_PX + 3, 1), (BANDS * BAND_PX // 256 + 1, 256)]
)
def test_bands_of_any_size_give_the_picture_and_its_digest(shape: tuple[int, int]) -> None:
    chance = np.random.default_rng(4)
    table = chance.random(1 << 16, dtype=np.float32)
    stored = chance.integers(0, 1 << 16, shape, dtype=np.uint16)
    with ThreadPoolExecutor(1) as beside:
        pixels, digest = look_up(table, stored, beside)
        assert np.array_equal(pixels, table[stored])
        assert digest.result() == digest_pixels(table[stored])


WINDOWS = ((2047, 4095), (2048, 4096), (550, 1024), (1200.5, 333), (40_000, 65_535))


@pytest.mark.parametrize("centre, width", WINDOWS)
@pytest.mark.parametrize("falls", [False, True])
def test_a_window_that_is_computed_shows_what_its_table_says_to_the_last_bit(
    centre: float, width: float, falls: bool
) -> None:
    shown = linear(np.arange(1 << 16, dtype=np.float64), centre, width)
    table = (1 - shown if falls else shown).astype(np.float32)
    assert line_of(table) is not None
    stored = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    with ThreadPoolExecutor(1) as beside:
        pixels, digest = look_up(table, stored, beside)
    assert pixels.tobytes() == table.tobytes()
    assert digest.result() == digest_pixels(table.reshape(256, 256))


def test_a_table_that_leaves_its_line_by_one_bit_is_looked_up() -> None:
    table = linear(np.arange(4096, dtype=np.float64), 2000, 3000).astype(np.float32)
    assert line_of(table) is not None
    table[1234] = np.nextafter(table[1234], np.float32(1))
    assert line_of(table) is None


@pytest.mark.parametrize("centre", [2000.0, 2e5])
def test_a_sigmoid_is_looked_up(centre: float) -> None:
    assert line_of(sigmoid(np.arange(4096, dtype=np.float64), centre, 8000.0).astype(np.float32)) is None


def test_many_readers_at_once_read_what_one_reads(tmp_path: Path) -> None:
    paths = [write_dicom(tmp_path / f"{size}.dcm", Recipe(breast_values(size, size))) for size in (200, 400, 600)]
    alone = [read_mammogram(path).pixels_sha256 for path in paths]
    with ThreadPoolExecutor(4) as readers:
        together = list(readers.map(read_mammogram, paths * 4))
    assert [one.pixels_sha256 for one in together] == alone * 4
    assert all(np.array_equal(one.breast, other.breast) for one, other in zip(together, together[3:], strict=False))


def test_an_image_without_voi_of_one_constant_modality_value_is_refused_as_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", WindowCenter=None, WindowWidth=None, RescaleSlope="1e-300", RescaleIntercept="7")
    with pytest.raises(RefusedImage, match=r"No breast"):
        read_mammogram(path)
