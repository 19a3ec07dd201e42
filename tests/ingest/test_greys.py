"""The samples of an image under the chosen preset are the picture that was scored, whatever the header asks for."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medproto.config import IngestSettings
from medproto.ingest import pixels as steps
from medproto.ingest.greys import Greys, Samples
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import Recipe, breast_values, lut, write, write_dicom

#: LUTs are kept in the greys of a screen.
SCREEN_GREY = 0.5 / 255 + 1e-6


def deep(path: Path) -> Mammogram:
    """The file with its samples."""
    return read_mammogram(path, full_depth=True)


def shown(samples: Samples, greys: Greys, place: int) -> NDArray[np.float64]:
    """The samples under one of their presets."""
    preset = greys.presets[place]
    values = greys.offset + greys.step * np.arange(greys.most + 1)
    if preset.function == "LUT":
        table = np.frombuffer(base64.b64decode(preset.table), np.uint8) / 255
    else:
        table = steps.WINDOWS[preset.function](values, preset.centre, preset.width)
    return (1.0 - table if greys.inverted else table)[samples]


def as_chosen(image: Mammogram) -> NDArray[np.float64]:
    """The samples under the preset that was scored."""
    assert image.samples is not None
    assert image.greys is not None
    return shown(image.samples, image.greys, image.greys.chosen)


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": ["1000", "2048"], "WindowWidth": ["900", "4096"]},
        {"VOILUTFunction": "SIGMOID", "WindowCenter": "1800", "WindowWidth": "700"},
        {"VOILUTFunction": "LINEAR_EXACT", "RescaleSlope": "0.5", "RescaleIntercept": "-100"},
        {"RescaleSlope": "-1", "RescaleIntercept": "4095"},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": None, "WindowWidth": None},
        {"ModalityLUTSequence": [lut([4 * i for i in range(4096)], 0)], "WindowCenter": "8000", "WindowWidth": "9000"},
    ],
    ids=str,
)
def test_the_chosen_preset_gives_the_picture_that_was_scored(tmp_path: Path, elements: dict[str, Any]) -> None:
    image = deep(write(tmp_path / "a.dcm", **elements))
    np.testing.assert_allclose(as_chosen(image), image.pixels, rtol=0, atol=1e-6)


def test_a_lut_gives_the_picture_that_was_scored_as_a_screen_shows_it(tmp_path: Path) -> None:
    curve = [int(65535 * (i / 4095) ** 2) for i in range(4096)]
    image = deep(write(tmp_path / "a.dcm", VOILUTSequence=[lut(curve, 0, explanation="SOFTER")]))
    np.testing.assert_allclose(as_chosen(image), image.pixels, rtol=0, atol=SCREEN_GREY)
    assert image.greys is not None
    assert [preset.name for preset in image.greys.presets] == ["LUT 1 of 1 (SOFTER)", "Window 1"]


def test_padding_is_as_dark_as_in_the_picture_where_a_lut_falls(tmp_path: Path) -> None:
    falling = [lut([65535 - 16 * i for i in range(4096)], 0)]
    image = deep(write(tmp_path / "a.dcm", VOILUTSequence=falling, PixelPaddingValue=0))
    assert image.pixels[0, 0] < 0.01
    np.testing.assert_allclose(as_chosen(image), image.pixels, rtol=0, atol=SCREEN_GREY)


def test_signed_values_keep_their_order(tmp_path: Path) -> None:
    values = breast_values().astype(np.int16) - 1500
    elements = {"BitsStored": 16, "HighBit": 15, "WindowCenter": "0", "WindowWidth": "3000"}
    image = deep(write_dicom(tmp_path / "a.dcm", Recipe(values, elements=elements)))
    np.testing.assert_allclose(as_chosen(image), image.pixels, rtol=0, atol=1e-6)
    assert image.samples is not None
    assert image.greys is not None
    np.testing.assert_array_equal(image.samples + image.greys.offset, values)


def test_explanations_that_could_name_a_patient_are_not_kept(tmp_path: Path) -> None:
    words = {"WindowCenterWidthExplanation": ["HARDER", "FOR DR DOE"]}
    image = deep(write(tmp_path / "a.dcm", WindowCenter=["2048", "2000"], WindowWidth=["4096", "4000"], **words))
    assert image.greys is not None
    assert [preset.name for preset in image.greys.presets] == ["Harder", "Window 2"]


def test_of_very_many_windows_the_chosen_one_is_kept(tmp_path: Path) -> None:
    centres = [str(1000 + 10 * i) for i in range(20)]
    path = write(tmp_path / "a.dcm", WindowCenter=centres, WindowWidth=["900"] * 20)
    image = read_mammogram(path, IngestSettings(voi_index=15), full_depth=True)
    assert image.greys is not None
    assert image.greys.presets[image.greys.chosen].centre == 1150
    assert len(image.greys.presets) == 8


def test_samples_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    image = read_mammogram(write(tmp_path / "a.dcm"))
    assert (image.samples, image.greys) == (None, None)


def test_a_real_mammogram_with_luts_and_windows_is_shown_as_it_is_scored(shared_data: Path) -> None:
    image = deep(shared_data / "dicom" / "GH133.dcm")
    assert image.greys is not None
    assert [preset.function for preset in image.greys.presets] == ["LUT"] * 3 + ["SIGMOID"] * 3
    np.testing.assert_allclose(as_chosen(image), image.pixels, rtol=0, atol=SCREEN_GREY)
