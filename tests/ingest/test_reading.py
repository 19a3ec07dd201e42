"""What `read_mammogram` guarantees, refuses and never says."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from medproto.config import IngestSettings
from medproto.errors import InputError, RefusedImage, UnreadableImage
from medproto.ingest import decoding
from medproto.ingest.mammogram import digest_pixels
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import (
    BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_UID,
    Recipe,
    breast_values,
    mammogram_dataset,
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


def encapsulated(path: Path, syntax: str, encode: Callable[..., bytes], **elements: Any) -> Path:
    """A mammogram whose pixel data are compressed."""
    dataset = mammogram_dataset(Recipe(syntax=syntax, elements=elements))
    values = breast_values() >> (12 - dataset.BitsStored)
    stream = encode(values.astype(np.uint8) if dataset.BitsAllocated == 8 else values)
    dataset.add_new("PixelData", "OB", encapsulate([stream]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


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


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_every_uncompressed_syntax_and_rle_give_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    expected = read_mammogram(write(tmp_path / "plain.dcm")).pixels_sha256
    dataset = mammogram_dataset(Recipe())
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    elif syntax == ExplicitVRBigEndian:
        dataset.add_new("PixelData", "OW", breast_values().astype(">u2").tobytes())
    dataset.file_meta.TransferSyntaxUID = syntax
    big = syntax == ExplicitVRBigEndian
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True, little_endian=not big, implicit_vr=None)
    assert read_mammogram(tmp_path / "a.dcm").pixels_sha256 == expected


@pytest.mark.parametrize(
    "syntax, encode",
    [
        (JPEGLosslessSV1, lambda v: imagecodecs.jpeg8_encode(v, lossless=True, bitspersample=12)),
        (JPEGLSLossless, imagecodecs.jpegls_encode),
        (JPEG2000Lossless, lambda v: imagecodecs.jpeg2k_encode(v, level=0, reversible=True, codecformat="j2k")),
        (HTJ2KLossless, lambda v: imagecodecs.htj2k_encode(v, reversible=True)),
    ],
    ids=["jpeg-lossless", "jpeg-ls", "jpeg-2000", "htj2k"],
)
def test_every_lossless_syntax_gives_the_same_pixels(tmp_path: Path, syntax: str, encode: Callable[..., bytes]) -> None:
    expected = read_mammogram(write(tmp_path / "plain.dcm")).pixels_sha256
    mammogram = read_mammogram(encapsulated(tmp_path / "a.dcm", syntax, encode))
    assert mammogram.pixels_sha256 == expected
    assert mammogram.decoder.startswith("imagecodecs ")


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_where_the_fastest_decoder_fails_another_gives_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    encode = imagecodecs.jpegls_encode
    if syntax == JPEG2000Lossless:
        encode = partial(imagecodecs.jpeg2k_encode, level=0, reversible=True, codecformat="j2k")
    path = encapsulated(tmp_path / "a.dcm", syntax, encode)
    expected = read_mammogram(path)
    monkeypatch.setattr(decoding, "IMAGECODECS", {frozenset({syntax}): "jpegxl_decode"})
    fallback = read_mammogram(path)
    assert fallback.decoder.startswith("pydicom ")
    assert fallback.pixels_sha256 == expected.pixels_sha256


@pytest.mark.parametrize("syntax, bits", [(JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 12)])
def test_lossy_jpeg_of_8_and_12_bits_is_close_to_the_original(tmp_path: Path, syntax: str, bits: int) -> None:
    expected = read_mammogram(write(tmp_path / "plain.dcm")).pixels
    elements = {"BitsStored": bits, "HighBit": bits - 1, "BitsAllocated": 8 if bits == 8 else 16}
    window = {"WindowCenter": str(1 << (bits - 1)), "WindowWidth": str(1 << bits)}
    path = encapsulated(
        tmp_path / "a.dcm",
        syntax,
        lambda v: imagecodecs.jpeg8_encode(v, level=98, bitspersample=bits),
        **elements,
        **window,
    )
    assert np.abs(read_mammogram(path).pixels - expected).mean() < 0.01


def test_a_text_file_is_not_dicom(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("planted PLANTED^ZEBEDEE was here\n" * 20)
    assert unreadable(path) == "NOT_DICOM"
    path.write_bytes(b"")
    assert unreadable(path) == "NOT_DICOM"


def test_a_file_that_is_not_there_is_unreadable_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"^The file cannot be opened: no such file or directory\.$"):
        read_mammogram(tmp_path / "PLANTED.dcm")


@pytest.mark.parametrize("syntax", ["native", "rle", "jpeg-ls", "deflated"])
def test_a_file_cut_anywhere_is_never_a_picture(tmp_path: Path, syntax: str) -> None:
    if syntax == "jpeg-ls":
        whole = encapsulated(tmp_path / "a.dcm", JPEGLSLossless, imagecodecs.jpegls_encode).read_bytes()
    else:
        dataset = mammogram_dataset(Recipe())
        if syntax == "rle":
            dataset.compress(RLELossless)
        if syntax == "deflated":
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        whole = (tmp_path / "a.dcm").read_bytes()
    read_mammogram(tmp_path / "a.dcm")
    ends = {*np.linspace(140, len(whole) - 40, 60).astype(int).tolist(), len(whole) - 9, len(whole) - 2}
    for end in sorted(ends):
        (tmp_path / "cut.dcm").write_bytes(whole[:end])
        with pytest.raises((UnreadableImage, RefusedImage), match=r"incomplete|Not a mammogram|not DICOM"):
            read_mammogram(tmp_path / "cut.dcm")


def test_a_stream_cut_and_closed_again_is_refused(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a.dcm", JPEGLSLossless, lambda v: imagecodecs.jpegls_encode(v)[:-400])
    assert unreadable(path) == "TRUNCATED"


def test_a_hostile_size_is_refused_before_anything_of_that_size_is_made(tmp_path: Path) -> None:
    assert unreadable(write(tmp_path / "a.dcm", Rows=65535, Columns=65535)) == "HOSTILE_SIZE"
    assert unreadable(write(tmp_path / "b.dcm", Rows=0)) == "HOSTILE_SIZE"
    assert unreadable(write(tmp_path / "c.dcm"), IngestSettings(max_pixels=1000)) == "HOSTILE_SIZE"
    assert unreadable(write(tmp_path / "d.dcm"), IngestSettings(max_file_bytes=1000)) == "HOSTILE_SIZE"
    assert unreadable(write(tmp_path / "e.dcm", Rows=4000, Columns=4000)) == "TRUNCATED"


def test_a_stream_that_declares_another_size_than_the_header_is_not_decoded(tmp_path: Path) -> None:
    def inflate_sof(values: np.ndarray[Any, Any]) -> bytes:
        stream = imagecodecs.jpegls_encode(values)
        at = stream.index(b"\xff\xf7") + 5
        return stream[:at] + struct.pack(">2H", 65000, 65000) + stream[at + 4 :]

    assert unreadable(encapsulated(tmp_path / "a.dcm", JPEGLSLossless, inflate_sof)) == "HOSTILE_SIZE"


def test_a_deflate_bomb_is_refused_by_its_inflated_size(tmp_path: Path) -> None:
    dataset = mammogram_dataset(Recipe())
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    data = (tmp_path / "a.dcm").read_bytes()
    start = 144 + struct.unpack("<I", data[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = data[:start] + packer.compress(bytes(30_000_000)) + packer.flush()
    (tmp_path / "bomb.dcm").write_bytes(bomb)
    assert len(bomb) < 100_000
    assert unreadable(tmp_path / "bomb.dcm", IngestSettings(max_file_bytes=1_000_000)) == "HOSTILE_SIZE"


def test_values_beyond_the_declared_bits_are_refused_not_wrapped(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a.dcm", JPEGLSLossless, lambda v: imagecodecs.jpegls_encode(v * np.uint16(16)))
    assert unreadable(path) == "UNDECODABLE"


def test_garbage_in_a_stream_is_undecodable(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a.dcm", JPEG2000Lossless, lambda _: bytes(500) + b"\xff\xd9")
    assert unreadable(path) == "UNDECODABLE"


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
