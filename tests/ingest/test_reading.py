"""What `read_mammogram` guarantees, refuses and never says."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from medproto.config import IngestSettings
from medproto.errors import InputError, RefusedImage, UnreadableImage
from medproto.ingest.mammogram import digest_pixels
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import (
    BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_UID,
    Recipe,
    breast_values,
    write,
    write_dicom,
)

PLANTED = [*PATIENT_NAME.split("^"), PATIENT_ID, BIRTH_DATE, STUDY_UID, "planted"]


def codes(path: Path, settings: IngestSettings = IngestSettings()) -> list[str]:  # noqa: B008
    """Codes of a mammogram's findings."""
    return [one.code for one in read_mammogram(path, settings).findings]


def refusal(path: Path) -> list[str]:
    """Codes with which a file is refused."""
    with pytest.raises(RefusedImage, match=r"\w") as refused:
        read_mammogram(path)
    return [one.code for one in refused.value.findings if one.severity == "refuse"]


def unreadable(path: Path, settings: IngestSettings = IngestSettings()) -> str:  # noqa: B008
    """Code with which a file cannot be read."""
    with pytest.raises(UnreadableImage, match=r"\w") as err:
        read_mammogram(path, settings)
    return err.value.code


def test_a_plain_mammogram_is_read_with_everything_it_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    mammogram = read_mammogram(path)
    assert mammogram.title == "R MLO"
    assert mammogram.spacing_mm == (0.1, 0.1)
    assert mammogram.voi == "window 1 of 1, LINEAR, centre 2048, width 4096"
    assert mammogram.pixels.dtype == np.float32
    assert mammogram.pixels.shape == mammogram.breast.shape == (160, 120)
    np.testing.assert_allclose(mammogram.pixels, breast_values() / 4095, atol=1e-6)
    assert mammogram.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert mammogram.findings == ()
    assert mammogram.chest_wall == "left"
    assert not mammogram.inverted
    assert not mammogram.synthetic


def test_the_pixel_digest_is_the_documented_one(tmp_path: Path) -> None:
    mammogram = read_mammogram(write(tmp_path / "a.dcm"))
    plain = b"medproto pixels 1 160 120\n" + mammogram.pixels.astype("<f4").tobytes()
    assert mammogram.pixels_sha256 == digest_pixels(mammogram.pixels) == hashlib.sha256(plain).hexdigest()


def test_a_text_file_is_not_dicom(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("planted PLANTED^ZEBEDEE was here\n" * 20)
    assert unreadable(path) == "NOT_DICOM"
    path.write_bytes(b"")
    assert unreadable(path) == "NOT_DICOM"


def test_a_file_that_is_not_there_is_unreadable_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"^The file cannot be opened: no such file or directory\.$"):
        read_mammogram(tmp_path / "PLANTED.dcm")


@pytest.mark.parametrize(
    "elements, expected",
    [
        ({"Modality": "CT", "SOPClassUID": CTImageStorage}, "NOT_MAMMOGRAM"),
        ({"SOPClassUID": CTImageStorage}, "NOT_MAMMOGRAM"),
        ({"PhotometricInterpretation": "RGB"}, "NOT_MAMMOGRAM"),
        ({"PhotometricInterpretation": None}, "NOT_MAMMOGRAM"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR_PROCESSING"),
        ({"SOPClassUID": DigitalMammographyXRayImageStorageForProcessing}, "FOR_PROCESSING"),
        ({"SOPClassUID": BreastTomosynthesisImageStorage}, "TOMOSYNTHESIS"),
        ({"NumberOfFrames": 4}, "MULTI_FRAME"),
    ],
)
def test_what_must_not_be_scored_is_refused_with_its_code(
    tmp_path: Path, elements: dict[str, Any], expected: str
) -> None:
    assert refusal(write(tmp_path / "a.dcm", **elements)) == [expected]


def test_an_empty_picture_has_no_breast(tmp_path: Path) -> None:
    for name, values in (("black", np.zeros((160, 120), np.uint16)), ("grey", np.full((160, 120), 2000, np.uint16))):
        assert refusal(write_dicom(tmp_path / f"{name}.dcm", Recipe(values))) == ["NO_BREAST"]


@pytest.mark.parametrize(
    "elements, expected",
    [
        ({"ImagerPixelSpacing": None}, "SPACING_MISSING"),
        ({"ImagerPixelSpacing": [0, 0]}, "SPACING_MISSING"),
        ({"BurnedInAnnotation": "YES"}, "BURNED_IN_TEXT"),
        ({"KVP": "120"}, "EXPOSURE"),
        ({"ExposureStatus": "ABORTED"}, "EXPOSURE"),
        ({"WindowCenter": "100", "WindowWidth": "50"}, "EXPOSURE"),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}, "SYNTHESISED_2D"),
        ({"BodyPartExamined": "CHEST"}, "BODY_PART"),
    ],
)
def test_what_is_scored_with_a_mark_has_its_code(tmp_path: Path, elements: dict[str, Any], expected: str) -> None:
    assert codes(write(tmp_path / "a.dcm", **elements)) == [expected]


def test_a_breast_that_runs_out_of_the_picture_is_cut(tmp_path: Path) -> None:
    assert codes(write_dicom(tmp_path / "a.dcm", Recipe(breast_values(160, 200)[:, :90].copy()))) == ["BREAST_CUT"]


def test_secondary_capture_with_modality_mg_is_admitted(tmp_path: Path) -> None:
    assert codes(write(tmp_path / "a.dcm", SOPClassUID=SecondaryCaptureImageStorage)) == []


def test_another_modality_is_admitted_by_setting_and_marked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", Modality="CR")
    assert refusal(path) == ["NOT_MAMMOGRAM"]
    assert codes(path, IngestSettings(admit_modalities=("MG", "CR"))) == ["MODALITY_ADMITTED"]


def test_spacing_at_the_detector_is_divided_by_the_magnification(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", EstimatedRadiographicMagnificationFactor="1.8")
    mammogram = read_mammogram(path)
    assert mammogram.spacing_mm == pytest.approx((0.1 / 1.8, 0.1 / 1.8))
    assert [one.code for one in mammogram.findings] == ["MAGNIFICATION"]


def test_a_phantom_says_that_it_is_synthetic(tmp_path: Path) -> None:
    assert read_mammogram(write(tmp_path / "a.dcm", ImageComments="SYNTHETIC")).synthetic
    assert read_mammogram(write(tmp_path / "b.dcm", Manufacturer="medproto phantom SYNTHETIC")).synthetic


def test_no_message_or_log_repeats_a_planted_identifier(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "planted").mkdir()
    path = tmp_path / "planted" / "PLANTED.dcm"
    words = [
        "Modality",
        "PhotometricInterpretation",
        "ViewPosition",
        "Laterality",
        "VOILUTFunction",
        "BodyPartExamined",
    ]
    for changes in [
        {},
        *({word: "PLANTED"} for word in words),
        {"Rows": 0},
        {"BitsAllocated": 32},
        {"Manufacturer": "malformed"},
        {"PixelData": None},
    ]:
        write(path, **changes)
        if changes.get("Manufacturer") == "malformed":
            path.write_bytes(path.read_bytes().replace(STUDY_UID.encode(), b"PLANTED" + STUDY_UID[7:].encode()))
        try:
            mammogram = read_mammogram(path)
            said = repr(mammogram.identity) + mammogram.voi + repr(mammogram.findings)
        except InputError as err:
            said = str(err) + repr(err)
        said += caplog.text + capfd.readouterr().err
        assert not [word for word in PLANTED if word.lower() in said.lower()], said


def test_sequences_nested_150_deep_are_read(tmp_path: Path) -> None:
    dataset = dcmread(write(tmp_path / "a.dcm"))
    inner = Dataset()
    for _ in range(150):
        outer = Dataset()
        outer.ViewCodeSequence = Sequence([inner])
        inner = outer
    dataset.ViewCodeSequence = inner.ViewCodeSequence
    dataset.save_as(tmp_path / "b.dcm")
    assert read_mammogram(tmp_path / "b.dcm").view == "MLO"


def test_random_damage_is_a_typed_error_or_a_picture_of_the_declared_shape(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.dcm").read_bytes()
    chance = np.random.default_rng(7)
    header = whole.index(breast_values().tobytes()[:64]) + 1000
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(whole)
        for at in chance.integers(0, header, size=4):
            damaged[at] = chance.integers(0, 256)
        (tmp_path / "b.dcm").write_bytes(damaged)
        try:
            mammogram = read_mammogram(tmp_path / "b.dcm")
        except (UnreadableImage, RefusedImage) as err:
            outcomes.add(type(err).__name__)
        else:
            assert np.isfinite(mammogram.pixels).all()
            assert 0 <= mammogram.pixels.min() <= mammogram.pixels.max() <= 1
            outcomes.add("read")
    assert outcomes == {"read", "UnreadableImage", "RefusedImage"}


def test_ingest_is_imported_without_torch_and_monai() -> None:
    script = (
        "import sys, medproto.ingest.exam, medproto.ingest.inspection; print({'torch', 'monai'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
