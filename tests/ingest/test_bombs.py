"""What says that it is huge is refused by what it says: nothing of that size is made, whatever the syntax."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import uid

from medproto.config import IngestSettings
from medproto.errors import UnreadableImage
from medproto.ingest.opening import read_header
from medproto.ingest.sandbox import Sandbox
from tests.fuzz.seeds import ENCODERS
from tests.ingest.factory import write
from tests.ingest.streaming import after, deflated, stream_of, unreadable, with_stream

MIB = 1024**2
#: Rows and columns of 8 GiB of values.
HUGE = 65535
BYTES = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
#: Where each syntax says how large its picture is: marker, offset, and the size itself.
SIZES: dict[str, tuple[int, int, bytes]] = {
    uid.JPEGExtended12Bit: (0xC1, 5, struct.pack(">2H", HUGE, HUGE)),
    uid.JPEGLossless: (0xC3, 5, struct.pack(">2H", HUGE, HUGE)),
    uid.JPEGLosslessSV1: (0xC3, 5, struct.pack(">2H", HUGE, HUGE)),
    uid.JPEGLSLossless: (0xF7, 5, struct.pack(">2H", HUGE, HUGE)),
    uid.JPEGLSNearLossless: (0xF7, 5, struct.pack(">2H", HUGE, HUGE)),
    **{syntax: (0x51, 6, struct.pack(">2I", HUGE, HUGE))
       for syntax in (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)},
}  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Iterator[Sandbox]:
    """A sandbox in which nothing large can be made."""
    with Sandbox(IngestSettings(worker_bytes=64 * MIB)) as sandbox:
        yield sandbox


def code(sandbox: Sandbox, path: Path) -> str:
    """Code with which the sandbox refuses a file; OUT_OF_MEMORY where it tried."""
    with pytest.raises(UnreadableImage, match=r"\w") as err:
        sandbox.read(path)
    return err.value.code


@pytest.mark.parametrize("syntax", SIZES, ids=lambda syntax: uid.UID(syntax).keyword)
def test_a_stream_of_a_hostile_size_is_refused_within_little_memory(
    tmp_path: Path, small: Sandbox, syntax: str
) -> None:
    marker, offset, size = SIZES[syntax]
    bomb = after(stream_of(syntax), marker, offset, size)
    assert code(small, with_stream(tmp_path / "a.dcm", syntax, bomb)) == "HOSTILE_SIZE"
    # the header says the same: then the header is what is refused
    both = with_stream(tmp_path / "b.dcm", syntax, bomb, Rows=HUGE, Columns=HUGE)
    assert code(small, both) == "HOSTILE_SIZE"


@pytest.mark.parametrize("syntax", ENCODERS, ids=lambda syntax: uid.UID(syntax).keyword)
def test_a_header_of_a_hostile_size_is_refused_within_little_memory(
    tmp_path: Path, small: Sandbox, syntax: str
) -> None:
    stream = stream_of(uid.JPEGLSLossless) if syntax == uid.JPEGBaseline8Bit else stream_of(syntax)
    assert code(small, with_stream(tmp_path / "a.dcm", syntax, stream, Rows=HUGE, Columns=HUGE)) == "HOSTILE_SIZE"
    nearly = with_stream(tmp_path / "b.dcm", syntax, stream, Rows=8000, Columns=8000)
    assert code(small, nearly) in ("HOSTILE_SIZE", "TRUNCATED", "UNDECODABLE", "OUT_OF_MEMORY")


def test_an_rle_segment_that_unpacks_to_more_than_its_plane_is_refused(tmp_path: Path, small: Sandbox) -> None:
    # two bytes that unpack to 128 each: 256 MiB of a 4 MiB file
    segments = b"\x81\x00" * (2 * MIB)
    bomb = struct.pack("<16I", 2, 64, 64 + len(segments) // 2, *bytes(13)) + segments
    assert code(small, with_stream(tmp_path / "a.dcm", uid.RLELossless, bomb)) == "UNDECODABLE"


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain + bytes(200 * MIB),
        lambda plain: plain[:-8] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 200 * MIB) + bytes(200 * MIB),
    ],
    ids=["zeros", "pixel data"],
)
def test_a_deflated_bomb_is_refused_by_its_inflated_size(
    tmp_path: Path, change: Callable[[bytes], bytes], small: Sandbox
) -> None:
    path = deflated(tmp_path / "a.dcm", change)
    assert path.stat().st_size < MIB
    assert code(small, path) in ("HOSTILE_SIZE", "OUT_OF_MEMORY")
    assert unreadable(path, "inflates to more than", IngestSettings(max_pixels=MIB)) == "HOSTILE_SIZE"


def test_a_deflated_bomb_behind_a_large_meta_header_is_bounded_too(tmp_path: Path) -> None:
    data = deflated(tmp_path / "a.dcm", lambda plain: plain + bytes(200 * MIB)).read_bytes()
    # 8 KiB of private information before the transfer syntax
    at = data.index(b"\x02\x00\x10\x00UI")
    private = b"\x02\x00\x02\x01OB\0\0" + struct.pack("<I", 8192) + bytes(8192)
    length = struct.unpack("<I", data[140:144])[0] + len(private)
    (tmp_path / "b.dcm").write_bytes(data[:140] + struct.pack("<I", length) + data[144:at] + private + data[at:])
    assert unreadable(tmp_path / "b.dcm", "inflates to more", IngestSettings(max_pixels=MIB)) == "HOSTILE_SIZE"


def test_sequences_nested_without_end_are_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "a.dcm").read_bytes()
    start = b"\x08\x00\x15\x92SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    at = data.index(b"\x10\x00\x10\x00PN")
    (tmp_path / "b.dcm").write_bytes(data[:at] + start * 3000 + end * 3000 + data[at:])
    assert unreadable(tmp_path / "b.dcm", "nested too deeply") == "HOSTILE_SIZE"


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "endless.dcm").symlink_to("/dev/zero")
    assert unreadable(tmp_path / "endless.dcm", "not a regular file") == "UNREADABLE"
    assert read_header(tmp_path / "endless.dcm") is None
