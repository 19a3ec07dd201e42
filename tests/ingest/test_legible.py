"""What decides on pixel values and cannot be read is refused by name; what is empty is as good as absent."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest.inspection import inspect_file
from medproto.ingest.opening import read_identity
from medproto.ingest.reading import read_mammogram
from tests.fuzz.anatomy import File, closed, elements, opened, written
from tests.ingest.factory import write


def with_raw(path: Path, tag: int, vr: bytes, value: bytes) -> Path:
    """A mammogram in which these very bytes stand for the element."""
    file = opened(write(path).read_bytes(), "1.2.840.10008.1.2.1")
    found = [one for one in elements(file) if one.tag != tag]
    before = b"".join(file.body[one.start : one.end] for one in found if one.tag < tag)
    after = b"".join(file.body[one.start : one.end] for one in found if one.tag > tag)
    path.write_bytes(closed(File(file.head, before + written(file, tag, vr, value) + after, file.syntax)))
    return path


@pytest.mark.parametrize(
    "tag, vr, value, words",
    [
        (0x00281053, b"DS", b"abc ", "RescaleSlope cannot be read"),
        (0x00281053, b"AT", b"\3\0\4\0", "RescaleSlope cannot be read"),
        (0x00281050, b"AT", b"\3\0\4\0", "a window cannot be read"),
        (0x00280120, b"AT", b"\3\0\4\0", "PixelPaddingValue cannot be read"),
        (0x00281053, b"DS", b"1\\2 ", "RescaleSlope cannot be read"),
        (0x00281053, b"DS", b"nan ", "RescaleSlope cannot be read"),
        (0x00281052, b"OB", b"\1\2", "RescaleIntercept cannot be read"),
        (0x00280120, b"US", b"\1\0\2\0", "PixelPaddingValue cannot be read"),
        (0x00280120, b"FD", b"\3\0", "PixelPaddingValue cannot be read"),
        (0x00280120, b"AT", b"\3\0", "PixelPaddingValue cannot be read"),
        (0x00281056, b"LO", b"LINEAR\\SIGMOID", "VOILUTFunction cannot be read"),
        (0x00281056, b"CS", b"SIGMOId ", "VOILUTFunction cannot be read"),
        (0x00280004, b"CS", b"MONOcHROME2 ", "PhotometricInterpretation cannot be read"),
        (0x20500020, b"CS", b"identity", "PresentationLUTShape cannot be read"),
        (0x00283000, b"OB", b"\1\2", "ModalityLUTSequence cannot be read"),
        (0x20500020, b"CS", b"UPSIDE", "PresentationLUTShape cannot be read"),
        (0x00281050, b"DS", b"high", "a window cannot be read"),
        (0x00281051, b"DS", b"", "got 1 window centres and 0 widths"),
        (0x00281051, b"DS", b"10\\20 ", "got 1 window centres and 2 widths"),
    ],
)
def test_an_illegible_element_that_decides_on_pixels_is_refused(
    tmp_path: Path, tag: int, vr: bytes, value: bytes, words: str
) -> None:
    with pytest.raises(RefusedImage, match=words) as err:
        read_mammogram(with_raw(tmp_path / "a.dcm", tag, vr, value))
    assert err.value.findings[0].code == "PRESENTATION_CONTRADICTORY"


@pytest.mark.parametrize(
    "tag, vr", [(0x00281053, b"DS"), (0x00280120, b"US"), (0x20500020, b"CS"), (0x00283000, b"SQ")]
)
def test_an_empty_element_is_as_good_as_absent(tmp_path: Path, tag: int, vr: bytes) -> None:
    expected = read_mammogram(write(tmp_path / "a.dcm")).pixels_sha256
    assert read_mammogram(with_raw(tmp_path / "b.dcm", tag, vr, b"")).pixels_sha256 == expected


@pytest.mark.parametrize("tag, name", [(0x00280103, "representation 2"), (0x00280002, "2 samples a pixel")])
def test_sign_and_samples_are_never_guessed(tmp_path: Path, tag: int, name: str) -> None:
    with pytest.raises(UnreadableImage, match=name):
        read_mammogram(with_raw(tmp_path / "a.dcm", tag, b"US", b"\2\0"))
    with pytest.raises(UnreadableImage, match="is missing or not a whole number"):
        read_mammogram(with_raw(tmp_path / "b.dcm", tag, b"US", b""))


@pytest.mark.parametrize("tag", [0x00283000, 0x00283010, 0x00080016, 0x00100020, 0x0020000D, 0x00080060])
def test_a_sequence_nested_deeply_costs_no_time_wherever_it_stands(tmp_path: Path, tag: int) -> None:
    nested = b""
    for _ in range(700):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(nested)) + nested
        nested = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"SQ\0\0" + struct.pack("<I", len(item)) + item
    path = with_raw(tmp_path / "a.dcm", tag, b"SQ", nested[12:])
    start = time.process_time()
    inspect_file(path)
    read_identity(path)
    assert time.process_time() - start < 5.0
