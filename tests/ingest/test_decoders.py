"""Every transfer syntax gives the same pixels, whichever of its decoders ran, and the decoder is recorded."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from medproto.datasets.dicom_encoding import CODINGS
from medproto.errors import UnreadableImage
from medproto.ingest import decoders
from medproto.ingest.decoding import read_layout
from medproto.ingest.reading import read_mammogram
from medproto.ingest.streams import only_frame
from tests.ingest.factory import Recipe, breast_values, encapsulated, mammogram_dataset, write, write_dicom

#: Compressed syntaxes that more than one decoder reads, or one that is confirmed by another.
LOSSLESS = [syntax for syntax, coding in CODINGS.items() if not coding.method and syntax != RLELossless]
LOSSY = [syntax for syntax, coding in CODINGS.items() if coding.method]
#: How far lossy values of 12 bits may lie from the original, on average.
LOSS = 12
EIGHT_BITS = {"BitsStored": 8, "HighBit": 7, "BitsAllocated": 8, "WindowCenter": "128", "WindowWidth": "256"}


def compressed(path: Path, syntax: str) -> Path:
    """A mammogram in this syntax; JPEG Baseline has 8 bits, all others have 12."""
    elements = EIGHT_BITS if syntax == JPEGBaseline8Bit else {}
    bits = 8 if elements else 12
    return encapsulated(path, syntax, lambda values: CODINGS[UID(syntax)].encode(values, bits), **elements)


def by(decoder: decoders.Decoder, path: Path) -> np.ndarray[Any, Any]:
    """Values of the file's frame from this decoder."""
    dataset = dcmread(path)
    return decoder.decode(only_frame(dataset.PixelData), dataset, read_layout(dataset, 1 << 20))


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


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: UID(uid).keyword)
def test_every_lossless_syntax_gives_the_same_pixels_and_records_its_decoder(tmp_path: Path, syntax: str) -> None:
    expected = read_mammogram(write(tmp_path / "plain.dcm")).pixels_sha256
    mammogram = read_mammogram(compressed(tmp_path / "a.dcm", syntax))
    assert mammogram.pixels_sha256 == expected
    fastest = decoders.DECODERS[syntax][0]
    assert mammogram.decoder == f"imagecodecs {fastest.function} {version('imagecodecs')}"


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda uid: UID(uid).keyword)
def test_every_lossy_syntax_is_read_and_close_to_the_original(tmp_path: Path, syntax: str) -> None:
    expected = read_mammogram(write(tmp_path / "plain.dcm")).pixels
    shown = read_mammogram(compressed(tmp_path / "a.dcm", syntax)).pixels
    assert 0 < np.abs(shown - expected).mean() < LOSS / 4095


@pytest.mark.parametrize(
    "syntax, place",
    [(syntax, place) for syntax in LOSSLESS + LOSSY for place in range(1, len(decoders.DECODERS[syntax]))],
    ids=lambda one: str(one) if isinstance(one, int) else UID(one).keyword,
)
def test_every_other_decoder_gives_the_same_values(tmp_path: Path, syntax: str, place: int) -> None:
    path = compressed(tmp_path / "a.dcm", syntax)
    fastest, other = decoders.DECODERS[syntax][0], decoders.DECODERS[syntax][place]
    if (syntax, other) == (JPEGExtended12Bit, decoders.PILLOW):
        with pytest.raises(RuntimeError, match="Pillow does not support"):
            by(other, path)
        return
    expected = by(fastest, path).astype(np.int32)
    np.testing.assert_allclose(by(other, path), expected, atol=0 if syntax in LOSSLESS else 1)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, HTJ2KLossless])
def test_signed_values_survive_compression(tmp_path: Path, syntax: str) -> None:
    window = {"WindowCenter": "0", "WindowWidth": "4096", "PixelRepresentation": 1}
    values = breast_values().astype(np.int16) - np.int16(2000)
    expected = read_mammogram(write_dicom(tmp_path / "plain.dcm", Recipe(values, elements=window)))
    path = encapsulated(tmp_path / "a.dcm", syntax, lambda _: CODINGS[UID(syntax)].encode(values, 12), **window)
    assert read_mammogram(path).pixels_sha256 == expected.pixels_sha256


def test_lossy_htj2k_of_16_bits_is_read_though_its_decoders_round_differently(tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 4000, breast_values().shape)
    values = (breast_values().astype(np.int64) * 16 + noise).astype(np.uint16)
    stream = imagecodecs.htj2k_encode(values, reversible=False)
    first, second = (np.asarray(one(stream), np.int64) for one in (imagecodecs.jpeg2k_decode, imagecodecs.htj2k_decode))
    assert 1 < np.abs(first - second).max() <= 4
    elements = {"BitsStored": 16, "HighBit": 15, "WindowCenter": "32768", "WindowWidth": "65536"}
    path = encapsulated(tmp_path / "a.dcm", HTJ2K, lambda _: stream, **elements)
    assert np.abs(read_mammogram(path).pixels * 65535 - first).max() < 0.01


def test_where_the_fastest_decoder_refuses_the_next_is_used_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compressed(tmp_path / "a.dcm", JPEG2000Lossless)
    expected = read_mammogram(path)
    # a decoder of JPEG-LS refuses a stream of JPEG 2000
    monkeypatch.setitem(decoders.DECODERS, JPEG2000Lossless, (decoders.JPEG_LS, decoders.GDCM))
    other = read_mammogram(path)
    assert other.decoder == f"python-gdcm {version('python-gdcm')}"
    assert other.pixels_sha256 == expected.pixels_sha256


def test_a_stream_that_no_decoder_takes_is_refused_by_its_syntax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compressed(tmp_path / "a.dcm", JPEG2000Lossless)
    monkeypatch.setitem(decoders.DECODERS, JPEG2000Lossless, (decoders.JPEG_LS, decoders.SOF3))
    with pytest.raises(UnreadableImage, match=r"no decoder takes its JPEG 2000 .* stream"):
        read_mammogram(path)


def test_bytes_with_a_bit_to_spare_are_not_handed_to_gdcm_which_would_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elements = {**EIGHT_BITS, "BitsStored": 7, "HighBit": 6}
    coding = CODINGS[UID(JPEGBaseline8Bit)]
    path = encapsulated(tmp_path / "a.dcm", JPEGBaseline8Bit, lambda values: coding.encode(values, 8), **elements)
    assert read_mammogram(path).rows == 160
    monkeypatch.setitem(decoders.DECODERS, JPEGBaseline8Bit, (decoders.GDCM,))
    with pytest.raises(UnreadableImage, match="no decoder takes its JPEG Baseline"):
        read_mammogram(path)
