"""The rendering steps, each against the standard's formula and against highdicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medproto.config import IngestSettings
from medproto.errors import RefusedImage
from medproto.ingest import pixels
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import Recipe, breast_values, lut, write, write_dicom

CURVE = np.linspace(0, 65535, 4096).astype(int).tolist()


def highdicom_frame(path: Path, index: int = 0) -> np.ndarray[Any, Any]:
    image = highdicom.imread(path)
    frame: np.ndarray[Any, Any] = image.get_frame(
        1, apply_voi_transform=True, voi_transform_selector=index, apply_presentation_lut=True, dtype=np.float64
    )
    return frame


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"VOILUTFunction": "SIGMOID", "WindowWidth": "900"},
        {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": "1500", "WindowWidth": "1000"},
        {"WindowCenter": "1500", "WindowWidth": "1000"},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE", "WindowWidth": "2000"},
        {"RescaleSlope": "1", "RescaleIntercept": "-500", "RescaleType": "US"},
        {"RescaleSlope": "2", "RescaleIntercept": "-1000", "RescaleType": "US", "VOILUTFunction": "LINEAR_EXACT"},
        {"VOILUTSequence": Sequence([lut(CURVE, 0)])},
        {"VOILUTSequence": Sequence([lut(CURVE[:2000], 900)])},
        {"ModalityLUTSequence": Sequence([lut([v // 16 for v in CURVE[::-1]], 0)])},
    ],
    ids=[
        "linear",
        "sigmoid",
        "exact",
        "narrow",
        "mono1",
        "mono1-inverse",
        "shift",
        "rescale",
        "lut",
        "short-lut",
        "modality-lut",
    ],
)
def test_rendering_agrees_with_highdicom(tmp_path: Path, elements: dict[str, Any]) -> None:
    if "ModalityLUTSequence" in elements:
        elements["ModalityLUTSequence"][0].ModalityLUTType = "US"
    path = write(tmp_path / "a.dcm", BodyPartExamined="BREAST", **elements)
    ours = read_mammogram(path).pixels
    np.testing.assert_allclose(ours, highdicom_frame(path), atol=1e-6)


def test_rescale_with_a_slope_comes_before_the_linear_window(tmp_path: Path) -> None:
    # not against highdicom 0.28.2: it divides the window's width by the slope before it subtracts 1, an error of 2e-4
    path = write(tmp_path / "a.dcm", RescaleSlope="2", RescaleIntercept="-1000", RescaleType="US")
    expected = np.clip((breast_values() * 2.0 - 1000 - 2047.5) / 4095 + 0.5, 0, 1)
    np.testing.assert_allclose(read_mammogram(path).pixels, expected, atol=1e-6)


def test_monochrome1_is_inverted_after_the_window_and_not_before(tmp_path: Path) -> None:
    values = 4095 - breast_values()
    window = {"WindowCenter": "3000", "WindowWidth": "1000", "PhotometricInterpretation": "MONOCHROME1"}
    mammogram = read_mammogram(write_dicom(tmp_path / "a.dcm", Recipe(values, elements=window)))
    after = 1 - np.clip((values - 2999.5) / 999 + 0.5, 0, 1)
    before = np.clip(((4095.0 - values) - 2999.5) / 999 + 0.5, 0, 1)
    assert mammogram.inverted
    np.testing.assert_allclose(mammogram.pixels, after, atol=1e-6)
    assert np.abs(mammogram.pixels - before).max() > 0.5


def test_monochrome1_and_its_monochrome2_twin_are_the_same_picture(tmp_path: Path) -> None:
    plain = read_mammogram(write(tmp_path / "a.dcm", WindowCenter="2048", WindowWidth="4096"))
    twin = Recipe(4095 - breast_values(), elements={"PhotometricInterpretation": "MONOCHROME1"})
    inverted = read_mammogram(write_dicom(tmp_path / "b.dcm", twin))
    np.testing.assert_allclose(inverted.pixels, plain.pixels, atol=1e-6)
    assert inverted.chest_wall == plain.chest_wall == "left"


@pytest.mark.parametrize(
    "elements, reason",
    [
        ({"PresentationLUTShape": "INVERSE"}, "MONOCHROME2 with Presentation LUT Shape INVERSE"),
        (
            {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"},
            "MONOCHROME1 with Presentation LUT Shape IDENTITY",
        ),
        ({"WindowWidth": "0"}, "width that LINEAR does not allow"),
        ({"VOILUTFunction": "CUBIC"}, "none of LINEAR, LINEAR_EXACT and SIGMOID"),
        ({"RescaleSlope": "0", "RescaleIntercept": "0"}, "slope 0 erases the image"),
        ({"VOILUTSequence": Sequence([lut([5, 5, 5], 0)])}, "one value only"),
    ],
)
def test_a_contradictory_presentation_is_refused(tmp_path: Path, elements: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedImage, match=reason) as refusal:
        read_mammogram(write(tmp_path / "a.dcm", **elements))
    assert [one.code for one in refusal.value.findings] == ["PRESENTATION_CONTRADICTORY"]


def test_luts_come_before_windows_and_the_setting_chooses(tmp_path: Path) -> None:
    tables = Sequence([lut(CURVE, 0, explanation="NORMAL"), lut(CURVE[::-1], 0, explanation="PLANTED NAME")])
    several = {"VOILUTSequence": tables, "WindowCenter": ["1500", "2000"], "WindowWidth": ["3000", "1000"]}
    path = write(tmp_path / "a.dcm", **several)
    names = [read_mammogram(path, IngestSettings(voi_index=index)).voi for index in range(4)]
    assert names == [
        "LUT 1 of 2 (NORMAL)",
        "LUT 2 of 2",
        "window 1 of 2, LINEAR, centre 1500, width 3000",
        "window 2 of 2, LINEAR, centre 2000, width 1000",
    ]
    note = read_mammogram(path).findings[-1]
    assert (note.code, note.severity) == ("SEVERAL_VOI", "note")
    assert "4 ways" in note.sentence


def test_an_absent_voi_number_falls_back_to_the_first_and_says_so(tmp_path: Path) -> None:
    mammogram = read_mammogram(write(tmp_path / "a.dcm"), IngestSettings(voi_index=7))
    assert mammogram.voi.startswith("window 1 of 1")
    assert "VOI_INDEX" in [one.code for one in mammogram.findings]


def test_without_voi_the_window_lies_on_percentiles_inside_the_breast(tmp_path: Path) -> None:
    mammogram = read_mammogram(write(tmp_path / "a.dcm", WindowCenter=None, WindowWidth=None))
    inside = breast_values()[mammogram.breast] / 4095
    low, high = np.percentile(inside, [0.5, 99.5], method="inverted_cdf")
    assert mammogram.voi == f"percentiles 0.5-99.5 in breast: {low:.6g}..{high:.6g}"
    expected = np.clip((breast_values() / 4095 - low) / (high - low), 0, 1)
    np.testing.assert_allclose(mammogram.pixels, expected, atol=1e-6)
    assert "NO_VOI" in [one.code for one in mammogram.findings]


def test_padding_is_shown_as_the_darkest_value_even_when_inverted(tmp_path: Path) -> None:
    values = np.where(breast_values() > 0, 4000 - breast_values(), 0).astype(np.uint16)
    padded = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0}
    mammogram = read_mammogram(write_dicom(tmp_path / "a.dcm", Recipe(values, elements=padded)))
    assert mammogram.pixels[values == 0].max() == 0
    assert mammogram.pixels[values > 0].min() > 0


def test_signed_values_are_read_as_signed(tmp_path: Path) -> None:
    values = (breast_values().astype(np.int32) - 2000).astype(np.int16)
    signed = Recipe(values, elements={"WindowCenter": "0", "WindowWidth": "4096"})
    mammogram = read_mammogram(write_dicom(tmp_path / "a.dcm", signed))
    np.testing.assert_allclose(mammogram.pixels, np.clip((values + 0.5) / 4095 + 0.5, 0, 1), atol=1e-6)


def test_overlay_bits_above_the_stored_bits_are_not_burnt_in(tmp_path: Path) -> None:
    values = breast_values()
    with_overlay = values | np.uint16(0xF000)
    plain = read_mammogram(write_dicom(tmp_path / "a.dcm", Recipe(values)))
    masked = read_mammogram(write_dicom(tmp_path / "b.dcm", Recipe(with_overlay)))
    assert masked.pixels_sha256 == plain.pixels_sha256


@given(
    centre=st.floats(-5000, 5000),
    width=st.floats(1.5, 8000),
    function=st.sampled_from(sorted(pixels.WINDOWS)),
)
def test_every_window_rises_and_stays_in_range(centre: float, width: float, function: str) -> None:
    shown = pixels.WINDOWS[function](np.arange(-4096.0, 4096.0), centre, width)
    assert np.all(np.diff(shown) >= 0)
    assert shown.min() >= 0
    assert shown.max() <= 1


def test_a_window_of_width_one_is_a_threshold() -> None:
    assert pixels.linear(np.array([9.0, 9.5, 10.0]), 10.0, 1.0).tolist() == [0.0, 0.0, 1.0]


def test_a_lut_shorter_than_its_descriptor_is_a_contradiction() -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [100, 0, 16])
    table.add_new("LUTData", "US", [1, 2, 3])
    with pytest.raises(RefusedImage, match="3 entries, its descriptor says 100"):
        pixels.read_lut(table)
