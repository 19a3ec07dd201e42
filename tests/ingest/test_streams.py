"""A compressed stream that is not in order from its first byte to its last is refused before a decoder sees it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from medproto.ingest.reading import read_mammogram
from tests.fuzz.reference import strictly_decoded
from tests.fuzz.seeds import ENCODERS
from tests.ingest.factory import breast_values
from tests.ingest.streaming import after, stream_of, unreadable, with_pixel_data, with_stream

JPEGS = [uid.JPEGExtended12Bit, uid.JPEGLosslessSV1, uid.JPEGLSLossless]
CODESTREAMS = [uid.JPEG2000Lossless, uid.HTJ2KLossless]
ITEM = b"\xfe\xff\x00\xe0"


def named(syntax: str) -> str:
    """Short name of a syntax, for test ids."""
    return uid.UID(syntax).keyword


@pytest.mark.parametrize("table", [b"\1\0\0\0", bytes(8), bytes(3)], ids=["not at 0", "two frames", "odd"])
def test_an_offset_table_that_is_not_a_single_frames_is_refused(tmp_path: Path, table: bytes) -> None:
    stream = stream_of(uid.RLELossless)
    data = ITEM + struct.pack("<I", len(table)) + table + ITEM + struct.pack("<I", len(stream)) + stream
    assert unreadable(with_pixel_data(tmp_path / "a.dcm", uid.RLELossless, data), "offset table") == "UNDECODABLE"


def test_a_frame_in_several_fragments_is_read_as_one(tmp_path: Path) -> None:
    stream = stream_of(uid.JPEGLSLossless)
    whole = read_mammogram(with_stream(tmp_path / "a.dcm", uid.JPEGLSLossless, stream))
    parts = encapsulate([stream], fragments_per_frame=5)
    assert parts.count(ITEM) >= 6
    split = read_mammogram(with_pixel_data(tmp_path / "b.dcm", uid.JPEGLSLossless, parts))
    assert split.pixels_sha256 == whole.pixels_sha256


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda data: data[:16] + struct.pack("<I", len(data) - 19) + data[20:], "fragment .* is cut"),
        (lambda data: data[:16] + struct.pack("<I", 100) + data[20:], "do not follow one another"),
        (lambda data: data[:12], "are empty"),
        (lambda data: b"", "are empty"),
    ],
    ids=["too long", "too short", "no fragment", "nothing"],
)
def test_fragments_must_add_up(tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    data = encapsulate([stream_of(uid.JPEGLSLossless)])
    path = with_pixel_data(tmp_path / "a.dcm", uid.JPEGLSLossless, change(data))
    assert unreadable(path, words) == "TRUNCATED"


@pytest.mark.parametrize("syntax", [*JPEGS, *CODESTREAMS], ids=named)
def test_nothing_comes_after_the_end_of_a_stream(tmp_path: Path, syntax: str) -> None:
    stream = stream_of(syntax)
    padded = with_stream(tmp_path / "a.dcm", syntax, stream + bytes(5))
    assert read_mammogram(padded).rows == 160
    twice = with_stream(tmp_path / "b.dcm", syntax, stream + stream)
    assert unreadable(twice, "after the|after its end") == "UNDECODABLE"


@pytest.mark.parametrize("byte", [b"\xff", b" "], ids=["ones", "blank"])
@pytest.mark.parametrize("syntax", [*JPEGS, *CODESTREAMS, uid.RLELossless], ids=named)
def test_one_byte_may_fill_a_stream_up_to_an_even_length(tmp_path: Path, syntax: str, byte: bytes) -> None:
    stream = stream_of(syntax)
    plain = read_mammogram(with_stream(tmp_path / "a.dcm", syntax, stream))

    def filled(count: int) -> Path:
        data = stream + count * byte
        items = ITEM + bytes(4) + ITEM + struct.pack("<I", len(data)) + data
        return with_pixel_data(tmp_path / f"{count}.dcm", syntax, items)

    assert read_mammogram(filled(1)).pixels_sha256 == plain.pixels_sha256
    # two are more than an even length needs
    assert unreadable(filled(2), "end|holds more") == "UNDECODABLE"


def test_a_sequential_scan_may_call_its_last_coefficient_0_as_published_samples_do(tmp_path: Path) -> None:
    stream = stream_of(uid.JPEGExtended12Bit)
    plain = read_mammogram(with_stream(tmp_path / "a.dcm", uid.JPEGExtended12Bit, stream))
    sample = after(stream, 0xDA, 8, b"\0")
    assert sample != stream
    found = read_mammogram(with_stream(tmp_path / "b.dcm", uid.JPEGExtended12Bit, sample))
    assert found.pixels_sha256 == plain.pixels_sha256


@pytest.mark.parametrize("syntax", [*JPEGS, *CODESTREAMS], ids=named)
def test_a_marker_within_the_coded_data_is_refused(tmp_path: Path, syntax: str) -> None:
    stream = stream_of(syntax)
    middle = len(stream) * 3 // 4
    broken = stream[:middle] + b"\xff\xd8" + stream[middle + 2 :]
    assert unreadable(with_stream(tmp_path / "a.dcm", syntax, broken), "a marker within") == "UNDECODABLE"


@pytest.mark.parametrize("syntax", JPEGS, ids=named)
@pytest.mark.parametrize("other", JPEGS, ids=named)
def test_a_jpeg_of_another_process_than_its_syntax_is_refused(tmp_path: Path, syntax: str, other: str) -> None:
    path = with_stream(tmp_path / "a.dcm", syntax, stream_of(other))
    if syntax == other:
        assert read_mammogram(path).rows == 160
    else:
        assert unreadable(path, "has no place for") == "UNDECODABLE"


@pytest.mark.parametrize("syntax", JPEGS, ids=named)
def test_a_restart_that_was_not_announced_is_refused(tmp_path: Path, syntax: str) -> None:
    stream = stream_of(syntax)
    middle = len(stream) * 3 // 4
    broken = stream[:middle] + b"\xff\xd0" + stream[middle + 2 :]
    words = "a marker within" if syntax == uid.JPEGLSLossless else "1 restarts, expected 0"
    assert unreadable(with_stream(tmp_path / "a.dcm", syntax, broken), f"{words}|restarts") == "UNDECODABLE"


@pytest.mark.parametrize(
    "syntax, change, words",
    [
        (uid.JPEGLosslessSV1, lambda s: s[2:], "no start of image"),
        (uid.JPEGLosslessSV1, lambda s: s[:2] + b"\0" + s[2:], "bytes between two markers"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xC3, 9, b"\3"), "a frame of other than one component"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xC3, 4, b"\x11"), "17 bits a sample, with 16 allocated"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xDA, 4, b"\2"), "a scan of other than the one component"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xDA, 5, b"\7"), "a scan of other than the one component"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xDA, 7, b"\0"), "a scan that is not lossless"),
        (uid.JPEGExtended12Bit, lambda s: after(s, 0xDA, 8, b"\x10"), "a scan that is not sequential"),
        (uid.JPEGLSLossless, lambda s: after(s, 0xDA, 7, b"\1"), "that its transfer syntax does not allow"),
        (uid.JPEGLSLossless, lambda s: s[:2] + b"\xff\xf8\0\5\4\1\1" + s[2:], "a JPEG-LS parameter"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xC4, 5, b"\2"), "more codes than there are"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xC4, 20, b"\1"), "a Huffman table that is cut"),
        (uid.JPEGLosslessSV1, lambda s: s.replace(b"\xff\xc4", b"\xff\xe2"), "a scan without its Huffman table"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xDA, 6, b"\x10"), "a scan without its Huffman table"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xC4, 4, b"\x80"), "a class or number that there is none of"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xC4, 4, b"\x04"), "a class or number that there is none of"),
        (uid.JPEGBaseline8Bit, lambda s: after(s, 0xDB, 4, b"\x0a"), "a precision or number that there is none of"),
        (uid.JPEGBaseline8Bit, lambda s: after(s, 0xDB, 4, b"\x20"), "a precision or number that there is none of"),
        (uid.JPEGLosslessSV1, lambda s: s[:2] + b"\xff\xdb\0\3\1" + s[2:], "a quantisation table that is cut"),
        (uid.JPEGExtended12Bit, lambda s: after(s, 0xDB, 5, b"\0\0"), "a step of nothing"),
        (uid.JPEGLossless, lambda s: s[:2] + b"\xff\xdd\0\3\1" + s[2:], "a restart interval that is not of two bytes"),
        (uid.JPEGLosslessSV1, lambda s: after(s, 0xE0, 9, b"\x80"), "an unknown version of JFIF"),
        (uid.JPEGExtended12Bit, lambda s: s[:2] + b"\xff\xcc\0\2" + s[2:], "marker CC"),
    ],
)
def test_a_jpeg_whose_markers_are_not_in_order_is_refused(
    tmp_path: Path, syntax: str, change: Callable[[bytes], bytes], words: str
) -> None:
    path = with_stream(tmp_path / "a.dcm", syntax, change(stream_of(syntax)))
    assert unreadable(path, words) == "UNDECODABLE"


@pytest.mark.parametrize(
    "change, words, code",
    [
        (lambda s: after(s, 0x51, 38, b"\0\3"), "other than one component", "UNDECODABLE"),
        (lambda s: after(s, 0x51, 40, b"\x8b"), "another sign", "UNDECODABLE"),
        (lambda s: after(s, 0x51, 40, b"\x10"), "more bits than are allocated", "UNDECODABLE"),
        (lambda s: after(s, 0x51, 22, bytes(8)), "tiles beside the image", "UNDECODABLE"),
        (lambda s: after(s, 0x51, 6, b"\0\1\0\0"), "the stream says 160 x 65536", "HOSTILE_SIZE"),
        (lambda s: after(s, 0x51, 22, b"\0\0\0\1\0\0\0\1"), "19200 tiles", "HOSTILE_SIZE"),
        (lambda s: after(s, 0x51, 22, b"\0\0\0\x40\0\0\0\x40"), "1 tiles, expected 6", "TRUNCATED"),
        (lambda s: after(s, 0x52, 9, b"\x21"), "contradicts itself", "UNDECODABLE"),
        (lambda s: after(s, 0x52, 10, b"\x08\x08"), "code-blocks of more", "UNDECODABLE"),
        (lambda s: s.replace(b"\xff\x52", b"\xff\x53", 1), "marker FF53 out of place", "UNDECODABLE"),
        (lambda s: after(s, 0x5C, 4, b"\x22"), "quantisation that contradicts", "UNDECODABLE"),
        (lambda s: after(s, 0x5C, 5, b"\0"), "a sub-band without magnitude", "UNDECODABLE"),
        (lambda s: after(s, 0x90, 4, b"\0\1"), "tile-parts out of order", "UNDECODABLE"),
        (lambda s: s[: s.index(b"\xff\x90") + 8] + b"\xff\xd9", "is cut", "TRUNCATED"),
        (lambda s: s[:-2], "out of order|no end", "UNDECODABLE"),
    ],
)
def test_a_codestream_whose_markers_are_not_in_order_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], words: str, code: str
) -> None:
    path = with_stream(tmp_path / "a.dcm", uid.JPEG2000Lossless, change(stream_of(uid.JPEG2000Lossless)))
    assert unreadable(path, words) == code


def test_a_codestream_of_countless_precincts_and_layers_is_refused(tmp_path: Path) -> None:
    def shatter(stream: bytes) -> bytes:
        at = stream.index(b"\xff\x52")
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        levels = stream[at + 9]
        style = bytearray(stream[at + 4 : at + 2 + length])
        style[0] |= 1
        style[2:4] = b"\xff\xff"
        new = struct.pack(">HH", 0xFF52, length + levels + 1) + bytes(style) + bytes(levels + 1)
        return stream[:at] + new + stream[at + 2 + length :]

    path = with_stream(tmp_path / "a.dcm", uid.JPEG2000Lossless, shatter(stream_of(uid.JPEG2000Lossless)))
    assert unreadable(path, "more packets") == "HOSTILE_SIZE"


def test_block_coding_and_syntax_must_agree(tmp_path: Path) -> None:
    for syntax, other in [(uid.JPEG2000Lossless, uid.HTJ2KLossless), (uid.HTJ2KLossless, uid.JPEG2000Lossless)]:
        path = with_stream(tmp_path / "a.dcm", syntax, stream_of(other))
        assert unreadable(path, "another coding of its blocks") == "UNDECODABLE"


def test_a_lossless_syntax_holds_no_lossy_transformation(tmp_path: Path) -> None:
    for lossy, lossless in [(uid.JPEG2000, uid.JPEG2000Lossless), (uid.HTJ2K, uid.HTJ2KLossless)]:
        path = with_stream(tmp_path / "a.dcm", lossless, stream_of(lossy))
        assert unreadable(path, "a lossy transformation") == "UNDECODABLE"


def test_jpeg_baseline_has_8_bits(tmp_path: Path) -> None:
    path = with_stream(tmp_path / "a.dcm", uid.JPEGBaseline8Bit, stream_of(uid.JPEGExtended12Bit))
    assert unreadable(path, "12 bits a sample") == "UNDECODABLE"


def test_compressed_values_begin_at_bit_0(tmp_path: Path) -> None:
    path = with_stream(tmp_path / "a.dcm", uid.JPEGLSLossless, stream_of(uid.JPEGLSLossless), HighBit=15)
    assert unreadable(path, "high bit 15 with 12 bits stored") == "UNDECODABLE"


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s[:40], "header is cut"),
        (lambda s: struct.pack("<I", 1) + s[4:], "got 1 RLE segments, expected 2"),
        (lambda s: struct.pack("<I", 1 << 30) + s[4:], "RLE segments, expected 2"),
        (lambda s: s[:4] + struct.pack("<I", 60) + s[8:], "do not follow one another"),
        (lambda s: s[:8] + struct.pack("<I", 1 << 31) + s[12:], "do not follow one another"),
        (lambda s: s[:8] + struct.pack("<I", 64) + s[12:], "do not follow one another"),
        (lambda s: s[:-4] + b"\x7f", "an RLE segment"),
        (lambda s: s + bytes(8), "is cut or holds more"),
        (lambda s: s[:-6], "an RLE segment"),
    ],
)
def test_rle_segments_hold_their_planes_and_no_more(
    tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    path = with_stream(tmp_path / "a.dcm", uid.RLELossless, change(stream_of(uid.RLELossless)))
    assert unreadable(path, words) in ("UNDECODABLE", "TRUNCATED")


@pytest.mark.parametrize("bits", [8, 16])
def test_rle_gives_the_values_that_were_packed(tmp_path: Path, bits: int) -> None:
    values = (breast_values() >> (12 - min(bits, 12))).astype(f"u{bits // 8}")
    elements = {"BitsAllocated": bits, "BitsStored": min(bits, 12), "HighBit": min(bits, 12) - 1}
    window = {"WindowCenter": str(1 << (min(bits, 12) - 1)), "WindowWidth": str(1 << min(bits, 12))}
    path = with_stream(tmp_path / "a.dcm", uid.RLELossless, ENCODERS[uid.RLELossless](values), **elements, **window)
    top = (1 << min(bits, 12)) - 1
    np.testing.assert_allclose(read_mammogram(path).pixels, values / top, atol=1e-6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_htj2k_stream_never_gives_a_part_of_its_picture(tmp_path: Path) -> None:
    stream = stream_of(uid.HTJ2KLossless)
    swallowed = 0
    for place in range(200, len(stream) - 200, 150):
        broken = stream[:place] + bytes((stream[place] ^ 0x5A,)) + stream[place + 1 :]
        try:
            strictly_decoded(imagecodecs.htj2k_decode, broken)
        except ValueError:
            swallowed += 1
            assert unreadable(with_stream(tmp_path / "a.dcm", uid.HTJ2KLossless, broken), "decoded") == "UNDECODABLE"
    assert swallowed > 0
