"""The rendering steps, each against the standard's formula; `test_agreement` holds them against highdicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from medproto.config import IngestSettings
from medproto.errors import RefusedImage
from medproto.ingest import pixels
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import Recipe, breast_values, lut, mammogram_dataset, write, write_dicom

CURVE = np.linspace(0, 65535, 4096).astype(int).tolist()


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
        ({"RescaleSlope": "1e308", "RescaleIntercept": "0"}, "beyond 1e\\+30"),
        ({"RescaleSlope": "1e308", "RescaleIntercept": "-1e308"}, "beyond 1e\\+30"),
        ({"RescaleSlope": "1", "RescaleIntercept": "-1e308", "WindowCenter": None, "WindowWidth": None}, "beyond 1e"),
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
    with pytest.raises(RefusedImage, match="3 entries, its descriptor says 100"):
        pixels.read_lut(table([100, 0, 16], "US", [1, 2, 3]))


def table(descriptor: list[int], vr: str, entries: Any) -> Dataset:
    """A LUT item whose descriptor has this VR, and whose entries are numbers, or bytes."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, descriptor)
    item.add_new("LUTData", "OW" if isinstance(entries, bytes) else "US", entries)
    return item


@pytest.mark.parametrize("vr, first", [("SS", -2048), ("US", 65536 - 2048)])
def test_the_first_value_mapped_is_signed_where_the_values_are(tmp_path: Path, vr: str, first: int) -> None:
    signed = Recipe(breast_values().astype(np.int16) - np.int16(2048))
    signed.elements = {"VOILUTSequence": Sequence([table([4096, first, 16], vr, CURVE)])}
    shown = read_mammogram(write_dicom(tmp_path / "a.dcm", signed)).pixels
    np.testing.assert_allclose(shown, np.array(CURVE)[breast_values()] / 65535, atol=1e-6)


def test_a_first_value_of_unsigned_values_that_was_read_as_signed_is_put_right() -> None:
    step = pixels.voi_choices(holding(table([256, 40000 - 65536, 8], "SS", list(range(256)))))[0].apply
    assert step(np.array([0.0, 40000.0, 40128.0, 65535.0])).tolist() == [0.0, 0.0, 128 / 255, 1.0]


def test_a_first_value_above_all_values_without_sign_stays_there() -> None:
    step = pixels.voi_choices(holding(table([2048, 65380, 12], "US", list(range(2048)))))[0].apply
    assert not step(np.arange(4096.0)).any()


def test_entries_of_eight_bits_are_read_one_or_two_to_a_word() -> None:
    entries = np.arange(256) ** 2 // 255
    words = pixels.read_lut(table([256, 0, 8], "US", entries.astype("<u2").tobytes()))
    packed = pixels.read_lut(table([256, 0, 8], "US", entries.astype("u1").tobytes()))
    assert words[0].tolist() == packed[0].tolist() == entries.tolist()


def test_a_lut_of_words_is_read_in_the_byte_order_of_its_file(tmp_path: Path) -> None:
    plain = {"VOILUTSequence": Sequence([table([4096, 0, 16], "US", np.array(CURVE, "<u2").tobytes())])}
    expected = read_mammogram(write(tmp_path / "a.dcm", **plain))
    big = {"VOILUTSequence": Sequence([table([4096, 0, 16], "US", np.array(CURVE, ">u2").tobytes())])}
    dataset = mammogram_dataset(Recipe(syntax=ExplicitVRBigEndian, elements=big))
    dataset.add_new("PixelData", "OW", breast_values().astype(">u2").tobytes())
    dataset.save_as(tmp_path / "b.dcm", enforce_file_format=True, little_endian=False, implicit_vr=False)
    assert read_mammogram(tmp_path / "b.dcm").pixels_sha256 == expected.pixels_sha256


def test_a_length_of_zero_means_all_of_sixteen_bits() -> None:
    entries = np.arange(1 << 16, dtype="<u2").tobytes()
    assert len(pixels.read_lut(table([0, 0, 16], "US", entries))[0]) == 65536


def holding(item: Dataset) -> Dataset:
    """A header with this VOI LUT."""
    header = Dataset()
    header.VOILUTSequence = Sequence([item])
    return header


def test_padding_from_a_value_to_its_range_limit_is_dark_in_either_order(tmp_path: Path) -> None:
    values = breast_values()
    for value, limit in ((0, 300), (300, 0)):
        padded = Recipe(values, elements={"PixelPaddingValue": value, "PixelPaddingRangeLimit": limit})
        shown = read_mammogram(write_dicom(tmp_path / "a.dcm", padded)).pixels
        assert np.unique(shown[values <= 300]).tolist() == [np.float32(301 / 4095)]


def test_without_voi_a_rescaled_image_is_neither_black_nor_white(tmp_path: Path) -> None:
    plain = {"WindowCenter": None, "WindowWidth": None}
    rescaled = plain | {"RescaleSlope": "16", "RescaleIntercept": "-30000", "RescaleType": "US"}
    expected = read_mammogram(write(tmp_path / "a.dcm", **plain))
    mammogram = read_mammogram(write(tmp_path / "b.dcm", **rescaled))
    np.testing.assert_allclose(mammogram.pixels, expected.pixels, atol=1e-6)
    assert np.array_equal(mammogram.breast, expected.breast)
