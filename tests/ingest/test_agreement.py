"""Rendering held against highdicom's own pipeline, on every file that it renders; those that it does not are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_rescale, apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from medproto.config import IngestSettings
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import Recipe, breast_values, lut, write_dicom

Frame = np.ndarray[Any, Any]
ADMIT = IngestSettings(admit_modalities=("MG", "RG", "CR"))
CURVE = np.linspace(0, 65535, 4096).astype(int).tolist()
SIGNED = breast_values().astype(np.int16) - np.int16(2000)
#: What highdicom 0.28.2 says of images that store no VOI.
NO_VOI = "A VOI transform is required but not found"


def modality_lut(entries: list[int]) -> Sequence:
    """A Modality LUT Sequence."""
    item = lut(entries, 0)
    item.ModalityLUTType = "US"
    return Sequence([item])


def rescale(slope: str, intercept: str, **elements: str) -> dict[str, Any]:
    """Elements of a rescaled image."""
    return {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US", **elements}


#: A generated file for each variant of the pipeline.
VARIANTS: dict[str, Recipe] = {
    "linear": Recipe(),
    "sigmoid": Recipe(elements={"VOILUTFunction": "SIGMOID", "WindowWidth": "900"}),
    "exact": Recipe(elements={"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": "1500", "WindowWidth": "1000"}),
    "narrow": Recipe(elements={"WindowCenter": "1500", "WindowWidth": "1000"}),
    "width one": Recipe(elements={"WindowCenter": "1500", "WindowWidth": "1"}),
    "two windows": Recipe(
        elements={"WindowCenter": ["1500", "2000"], "WindowWidth": ["3000", "900"], "VOILUTFunction": "SIGMOID"}
    ),
    "monochrome1": Recipe(elements={"PhotometricInterpretation": "MONOCHROME1"}),
    "inverse shape": Recipe(elements={"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}),
    "identity shape": Recipe(elements={"PresentationLUTShape": "IDENTITY"}),
    "intercept": Recipe(elements=rescale("1", "-500")),
    "slope": Recipe(elements=rescale("2", "-1000", VOILUTFunction="LINEAR_EXACT")),
    "voi lut": Recipe(elements={"VOILUTSequence": Sequence([lut(CURVE, 0)])}),
    "short voi lut": Recipe(elements={"VOILUTSequence": Sequence([lut(CURVE[:2000], 900)])}),
    "two voi luts": Recipe(elements={"VOILUTSequence": Sequence([lut(CURVE, 0), lut(CURVE[::-1], 0)])}),
    "voi lut of 8 bits": Recipe(elements={"VOILUTSequence": Sequence([lut([v // 256 for v in CURVE], 0, 8)])}),
    "voi lut, monochrome1": Recipe(
        elements={"VOILUTSequence": Sequence([lut(CURVE, 0)]), "PhotometricInterpretation": "MONOCHROME1"}
    ),
    "modality lut": Recipe(elements={"ModalityLUTSequence": modality_lut([v // 16 for v in CURVE[::-1]])}),
    "signed": Recipe(SIGNED, elements={"WindowCenter": "0", "WindowWidth": "3000"}),
    "implicit VR": Recipe(syntax=ImplicitVRLittleEndian),
    "deflated": Recipe(syntax=DeflatedExplicitVRLittleEndian),
}


def highdicom_frame(path: Path, index: int = 0) -> Frame:
    """The frame as highdicom shows it."""
    frame: Frame = highdicom.imread(path).get_frame(
        1, apply_voi_transform=True, voi_transform_selector=index, apply_presentation_lut=True, dtype=np.float64
    )
    return frame


def ways(path: Path, settings: IngestSettings) -> list[Frame]:
    """The pixels by every VOI that the file stores."""
    shown: list[Frame] = []
    while True:
        mammogram = read_mammogram(path, settings.model_copy(update={"voi_index": len(shown)}))
        if "VOI_INDEX" in [one.code for one in mammogram.findings]:
            return shown
        shown.append(mammogram.pixels)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning:highdicom")
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_agrees(tmp_path: Path, name: str) -> None:
    VARIANTS[name].elements.setdefault("BodyPartExamined", "BREAST")
    path = write_dicom(tmp_path / "a.dcm", VARIANTS[name])
    shown = ways(path, ADMIT)
    # beside LUTs highdicom does not offer the windows
    count = len(VARIANTS[name].elements.get("VOILUTSequence", shown))
    for index in range(count):
        assert np.abs(shown[index] - highdicom_frame(path, index)).max() < 1e-6


@pytest.mark.parametrize("slope", ["0.5", "3.774114"])
def test_a_linear_window_after_a_slope_is_pydicoms_where_highdicom_counts_its_half_step_in_stored_values(
    tmp_path: Path, slope: str
) -> None:
    path = write_dicom(tmp_path / "a.dcm", Recipe(elements={**rescale(slope, "0"), "WindowCenter": "1500"}))
    (shown,) = ways(path, ADMIT)
    dataset = dcmread(path)
    # PS3.3 C.11.2.1.2.1: the window is of values after the modality transformation
    windowed = apply_windowing(apply_rescale(dataset.pixel_array, dataset), dataset)
    assert np.abs(shown - windowed / (4095 * float(slope))).max() < 1e-6
    off = np.abs(shown - highdicom_frame(path)).max()
    assert 1e-5 < off <= abs(float(slope) - 1) / (4096 - 1)


@pytest.mark.parametrize("name", ["MG1_J2KI", "RG3_JPLL", "RG3_J2KR", "RG3_RLE"])
def test_every_real_file_with_a_window_agrees(shared_data: Path, name: str) -> None:
    path = shared_data / "dicom" / f"{name}.dcm"
    (shown,) = ways(path, ADMIT)
    assert np.abs(shown - highdicom_frame(path)).max() < 1e-6


def test_the_three_windows_of_gh133_agree_once_its_luts_of_12_bits_and_padding_are_gone(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "dicom" / "GH133.dcm"
    with pytest.raises(RuntimeError, match="Invalid LUT descriptor"):
        highdicom_frame(path)
    dataset = dcmread(path)
    for keyword in ("VOILUTSequence", "PixelPaddingValue", "PixelPaddingRangeLimit"):
        dataset.pop(keyword, None)
    dataset.save_as(tmp_path / "a.dcm")
    shown = ways(tmp_path / "a.dcm", ADMIT)
    assert len(shown) == 3
    for index, pixels in enumerate(shown):
        assert np.abs(pixels - highdicom_frame(tmp_path / "a.dcm", index)).max() < 1e-6


#: The recorded window has six digits.
SIX_DIGITS = 1e-5


def difference_without_voi(path: Path) -> float:
    """Largest difference of our pixels from highdicom's stored values under our recorded window: it renders no such
    image."""
    image = highdicom.imread(path)
    with pytest.raises(RuntimeError, match=NO_VOI):
        image.get_frame(1, apply_voi_transform=True)
    mammogram = read_mammogram(path)
    low, high = (float(end) for end in re.findall(r": (.*)\.\.(.*)", mammogram.voi)[0])
    stored = image.get_frame(1, apply_voi_transform=False, dtype=np.float64) / 65535
    return float(np.abs(mammogram.pixels - np.clip((stored - low) / (high - low), 0, 1)).max())


@pytest.mark.parametrize("number", [130, 131, 132, 133, 280, 281, 282, 283])
def test_films_without_voi_agree_in_their_stored_values(cbis_cases: Path, number: int) -> None:
    path = cbis_cases / f"sfm-{'benign' if number < 200 else 'malign'}-0" / f"1-{number}.dcm"
    assert difference_without_voi(path) < SIX_DIGITS


def test_crops_without_voi_agree_in_their_stored_values(shared_data: Path) -> None:
    paths = sorted((shared_data / "cbis-ddsm").glob("*.dcm"))
    assert len(paths) == 3
    assert max(map(difference_without_voi, paths)) < SIX_DIGITS


def test_a_slope_before_a_linear_window_follows_the_standard_where_highdicom_does_not(tmp_path: Path) -> None:
    # highdicom 0.28.2 divides the width by the slope before it subtracts 1
    path = write_dicom(tmp_path / "a.dcm", Recipe(elements=rescale("2", "-1000", BodyPartExamined="BREAST")))
    shown = read_mammogram(path).pixels
    expected = np.clip((breast_values() * 2.0 - 1000 - 2047.5) / 4095 + 0.5, 0, 1)
    assert np.abs(shown - expected).max() < 1e-6
    assert 1e-4 < np.abs(shown - highdicom_frame(path)).max() < 3e-4


def test_padding_is_dark_where_highdicom_windows_it(tmp_path: Path) -> None:
    padded = {"PixelPaddingValue": 0, "BodyPartExamined": "BREAST"}
    path = write_dicom(tmp_path / "a.dcm", Recipe(elements=padded))
    differs = np.abs(read_mammogram(path).pixels - highdicom_frame(path)) > 1e-6
    assert np.array_equal(differs, breast_values() == 0)


def test_a_voi_lut_after_a_modality_lut_follows_the_standard_where_highdicom_does_not(tmp_path: Path) -> None:
    # highdicom 0.28.2 leaves the composed table in the units of its entries
    chain = {
        "ModalityLUTSequence": modality_lut([v // 16 for v in CURVE[::-1]]),
        "VOILUTSequence": Sequence([lut(CURVE, 0)]),
        "BodyPartExamined": "BREAST",
    }
    path = write_dicom(tmp_path / "a.dcm", Recipe(elements=chain))
    curve = np.array(CURVE)
    expected = curve[np.array([v // 16 for v in CURVE[::-1]])[breast_values()]] / 65535
    assert np.abs(read_mammogram(path).pixels - expected).max() < 1e-6
    assert highdicom_frame(path).max() > 1
