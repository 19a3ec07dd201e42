"""Every transfer syntax gives the same pixels; what is cut, garbled or oversized gives none."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medproto.config import IngestSettings
from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest import decoding
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import (
    Recipe,
    breast_values,
    mammogram_dataset,
    write,
)


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
