"""Lead letters over the breast are not breast; calcifications are."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medproto.ingest.breast import breast_mask

Pixels = NDArray[np.float32]

#: Where the strokes of letters lie over the breast, as (row, column); mdb231 shows an L, the others figures.
FILMS = {"mdb231": [(213, 372), (213, 390)], "mdb274": [(240, 588), (240, 644)], "mdb300": [(200, 712), (205, 728)]}


def thin_breast() -> Pixels:
    """A half-ellipse on black, chest wall on the left, 512 x 384: thin at the rim, thick within."""
    y, x = np.mgrid[0:512, 0:384]
    radius = ((y - 256) / 220) ** 2 + (x / 300) ** 2
    return np.where(radius < 1, 0.1 + 0.6 * np.sqrt(np.clip(1 - radius, 0, 1)) ** 3, 0).astype(np.float32)


def with_letter(pixels: Pixels, row: int, column: int) -> Pixels:
    """The picture with an L of 22 x 16 pixels whose strokes are six pixels wide."""
    pixels[row : row + 22, column : column + 6] = 0.95
    pixels[row + 16 : row + 22, column : column + 16] = 0.95
    return pixels


def test_a_lead_letter_over_thin_tissue_is_not_breast() -> None:
    mask = breast_mask(with_letter(thin_breast(), 250, 262))
    assert not mask[250:272, 262:268].any()
    assert not mask[266:272, 262:278].any()
    assert mask.sum() > 0.98 * breast_mask(thin_breast()).sum()


def test_a_letter_over_thick_tissue_stays() -> None:
    mask = breast_mask(with_letter(thin_breast(), 250, 60))
    assert np.array_equal(mask, breast_mask(thin_breast()))


def test_a_coarse_calcification_over_thin_tissue_stays() -> None:
    pixels = thin_breast()
    y, x = np.mgrid[0:512, 0:384]
    pixels[(y - 250) ** 2 + (x - 268) ** 2 < 36] = 0.95
    assert np.array_equal(breast_mask(pixels), breast_mask(thin_breast()))


@pytest.mark.parametrize("name", FILMS)
def test_letters_on_real_films_are_not_breast(name: str, shared_data: Path) -> None:
    with tarfile.open(shared_data / "mini-mias" / "all-mias.tar.gz") as archive:
        member = next(one for one in archive if one.name.endswith(f"{name}.pgm"))
        file = archive.extractfile(member)
        assert file is not None
        pixels = np.asarray(Image.open(io.BytesIO(file.read())).convert("L")).astype(np.float32) / 255
    mask = breast_mask(pixels)
    assert [mask[place] for place in FILMS[name]] == [False, False]
