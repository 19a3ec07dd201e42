"""A lossless JPEG takes as many bits as its scan holds; what a decoder makes of a corrupt scan does not."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

from medproto.errors import UnreadableImage
from medproto.ingest.jpeg_lossless import check_bits
from medproto.ingest.reading import read_mammogram
from medproto.ingest.streams import only_frame
from tests.ingest.factory import breast_values, encapsulated

BITS = (8, 12, 16)


def picture(bits: int) -> NDArray[np.uint16]:
    """Breast and noise, up to the largest value of so many bits."""
    noise = np.random.default_rng(bits).integers(0, 40, (160, 120))
    values = breast_values(brightest=3500).astype(np.int64) + noise
    return (values * ((1 << bits) - 1) // values.max()).astype(np.uint16)


def coded(values: NDArray[Any], bits: int, predictor: int = 1) -> bytes:
    values = values.astype(np.uint8) if bits == 8 else values
    return bytes(imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=bits))


def flipped(stream: bytes, place: int) -> bytes:
    """The stream with one bit changed; markers are left alone."""
    changed = bytearray(stream)
    changed[place] ^= 0x10
    return bytes(changed)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("predictor", range(1, 8))
def test_every_predictor_and_depth_takes_the_bits_of_its_scan(predictor: int, bits: int) -> None:
    values = picture(bits)
    stream = coded(values, bits, predictor)
    check_bits(stream, values)
    changed = values.copy()
    changed[80, 30] ^= 1 << (bits - 2)
    with pytest.raises(UnreadableImage, match="does not hold the picture"):
        check_bits(stream, changed)


def test_two_differences_in_the_other_order_take_as_many_bits_and_are_refused() -> None:
    values = picture(12)
    values[-1, -2] = values[-1, -3] + 1
    values[-1, -1] = values[-1, -2] + 30
    swapped = values.copy()
    swapped[-1, -2] = values[-1, -3] + 30
    stream = coded(values, 12)
    check_bits(stream, values)
    with pytest.raises(UnreadableImage, match="does not hold the picture"):
        check_bits(stream, swapped)


def test_the_real_encoders_of_the_shared_files_pass_and_a_changed_pixel_does_not(shared_data: Path) -> None:
    for name in ("GH133", "RG3_JPLL"):
        stream = only_frame(dcmread(shared_data / "dicom" / f"{name}.dcm").PixelData)
        values = imagecodecs.jpeg8_decode(stream)
        check_bits(stream, values)
        values[900, 900] ^= 0x100
        with pytest.raises(UnreadableImage, match="does not hold the picture"):
            check_bits(stream, values)


@pytest.mark.parametrize("behind, taken", [(b"\0", True), (b"\xff\0", True), (b"\x1f", False), (b"\0\0", False)])
def test_a_byte_of_zeros_or_ones_may_follow_the_last_code(behind: bytes, taken: bool) -> None:
    values = picture(12)
    stream = coded(values, 12)
    longer = stream[:-2] + behind + stream[-2:]
    assert stream[-2:] == b"\xff\xd9"
    if taken:
        check_bits(longer, values)
    else:
        with pytest.raises(UnreadableImage, match="does not hold the picture"):
            check_bits(longer, values)


@pytest.mark.parametrize("symbols", [b"\x03\x07", b"\xc8\xf0"])
def test_huffman_tables_that_a_lossless_scan_does_not_use_are_none_of_its(symbols: bytes, tmp_path: Path) -> None:
    unused = b"\xff\xc4" + struct.pack(">H", 2 + 17 + 2) + b"\x10" + bytes([1, 1] + [0] * 14) + symbols

    def encode(values: NDArray[np.uint16]) -> bytes:
        stream = coded(values, 12)
        scan = stream.index(b"\xff\xda")
        return stream[:scan] + unused + stream[scan:]

    assert read_mammogram(encapsulated(tmp_path / "a.dcm", JPEGLosslessSV1, encode)).decoder


def test_pictures_of_corrupt_scans_are_refused(tmp_path: Path) -> None:
    values = picture(12)
    stream = coded(values, 12)
    swallowed = refused = 0
    for place in range(len(stream) // 2, len(stream) - 200, 97):
        if 0xFF in stream[place - 1 : place + 2] or stream[place] ^ 0x10 == 0xFF:
            continue
        broken = flipped(stream, place)
        made = imagecodecs.jpeg8_decode(broken)
        # whatever two decoders with other ways to fill gaps agree on is what the scan says
        if np.array_equal(made, imagecodecs.jpegsof3_decode(broken)):
            continue
        swallowed += 1
        path = encapsulated(tmp_path / f"{place}.dcm", JPEGLosslessSV1, lambda _, broken=broken: broken)
        with pytest.raises(
            UnreadableImage, match=r"does not hold the picture|not in order|decoder takes|need more than"
        ):
            read_mammogram(path)
        refused += 1
    assert swallowed == refused
    assert swallowed >= 3


def test_a_picture_from_another_predictor_is_not_the_scans() -> None:
    values = picture(12)
    with pytest.raises(UnreadableImage, match="does not hold the picture"):
        check_bits(coded(values, 12, predictor=7), np.flip(values, axis=1))


def test_a_whole_lossless_file_is_read_as_before(tmp_path: Path) -> None:
    for syntax, predictor in ((JPEGLossless, 6), (JPEGLosslessSV1, 1)):
        path = encapsulated(tmp_path / "a.dcm", syntax, lambda values, p=predictor: coded(values, 12, p))
        assert np.array_equal(imagecodecs.jpeg8_decode(only_frame(dcmread(path).PixelData)), breast_values())
        assert read_mammogram(path).decoder.startswith("imagecodecs jpeg8_decode")
