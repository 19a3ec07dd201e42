"""What is cut, garbled or oversized gives no picture."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medproto.config import IngestSettings
from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest.pixels import linear
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import (
    Recipe,
    breast_values,
    encapsulated,
    mammogram_dataset,
    write,
    write_dicom,
)
from tests.ingest.streaming import deflated, with_stream


def unreadable(path: Path, settings: IngestSettings = IngestSettings()) -> str:  # noqa: B008
    """Code with which a file cannot be read."""
    with pytest.raises(UnreadableImage, match=r"\w") as err:
        read_mammogram(path, settings)
    return err.value.code


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


@pytest.mark.parametrize("signed", [False, True])
def test_values_a_little_beyond_the_declared_bits_are_shown_where_coding_is_lossy(tmp_path: Path, signed: bool) -> None:
    kind, shift = (np.int16, 2048) if signed else (np.uint16, 0)
    values = (breast_values(brightest=4300).astype(np.int32) - shift).astype(kind)
    most = 4095 - shift
    assert values.max() > most
    window = {"WindowCenter": str(2200 - shift), "WindowWidth": "4400"}
    reversible, lossy = (
        with_stream(
            tmp_path / f"{syntax}.dcm",
            syntax,
            imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, bitspersample=13),
            PixelRepresentation=int(signed),
            **window,
        )
        for syntax in (JPEG2000Lossless, JPEG2000)
    )
    assert unreadable(reversible) == "UNDECODABLE"
    assert np.abs(read_mammogram(lossy).pixels - linear(values.astype(float), 2200 - shift, 4400)).max() < 1e-6
    far = np.where(values > 0, 4095 - shift + 600, 0).astype(kind)
    stream = imagecodecs.jpeg2k_encode(far, codecformat="j2k", reversible=True, bitspersample=14)
    path = with_stream(tmp_path / "far.dcm", JPEG2000, stream, PixelRepresentation=int(signed))
    assert unreadable(path) == "UNDECODABLE"


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEGLosslessSV1])
def test_a_sign_may_go_on_beyond_the_bits_stored(tmp_path: Path, syntax: str) -> None:
    values = breast_values().astype(np.int16) - np.int16(2000)
    elements = {"WindowCenter": "0", "WindowWidth": "4096", "PixelRepresentation": 1}
    expected = read_mammogram(write_dicom(tmp_path / "plain.dcm", Recipe(values, elements=elements)))
    codings = {
        JPEGLSLossless: imagecodecs.jpegls_encode,
        JPEGLosslessSV1: partial(imagecodecs.jpeg8_encode, lossless=True, bitspersample=16, predictor=1),
    }
    # as DCMTK and GDCM write it, and as the standard has the bits stored
    for words in (values.view(np.uint16), values.view(np.uint16) & np.uint16(0xFFF)):
        path = with_stream(tmp_path / "a.dcm", syntax, codings[syntax](words), **elements)
        assert read_mammogram(path).pixels_sha256 == expected.pixels_sha256
    beyond = (values + np.int16(3000)).view(np.uint16)
    path = with_stream(tmp_path / "b.dcm", syntax, codings[syntax](beyond), **elements)
    assert unreadable(path) == "UNDECODABLE"


def test_deflated_data_may_end_with_their_checksum_and_length(tmp_path: Path) -> None:
    path = deflated(tmp_path / "a.dcm", lambda plain: plain)
    plain, data = read_mammogram(path), path.read_bytes()
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[144 + struct.unpack("<I", data[140:144])[0] :])
    # RFC 1952, as the samples of the standard's editor have it
    end = struct.pack("<II", zlib.crc32(inflated), len(inflated))
    path.write_bytes(data + end)
    assert read_mammogram(path).pixels_sha256 == plain.pixels_sha256
    path.write_bytes(data + end[:4] + b"\1" + end[5:])
    assert unreadable(path) == "TRUNCATED"


def test_garbage_in_a_stream_is_undecodable(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a.dcm", JPEG2000Lossless, lambda _: bytes(500) + b"\xff\xd9")
    assert unreadable(path) == "UNDECODABLE"
