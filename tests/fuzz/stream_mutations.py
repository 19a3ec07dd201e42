"""What is done to compressed pixel data: offset table, fragments and the stream within them."""

from __future__ import annotations

import struct
from random import Random

from tests.fuzz.anatomy import File, closed, fragments, with_fragments
from tests.fuzz.mutations import HOSTILE, Mutation

#: Markers of the JPEG family that mean something in the middle of a stream.
MARKERS = (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xCC, 0xD0, 0xD7, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xE0, 0xE2, 0xF7, 0xF8,
           0xFE, 0x4F, 0x51, 0x52, 0x53, 0x5C, 0x5D, 0x5F, 0x60, 0x90, 0x91, 0x92, 0x93, 0xFF)  # fmt: skip


def flip_stream(file: File, chance: Random) -> bytes:
    """A few bytes of the stream become others."""
    table, stream = _joined(file)
    for _ in range(chance.choice((1, 1, 2, 8))):
        stream[chance.randrange(len(stream))] = chance.choice((0, 0xFF, 0x7F, 0x80, chance.randrange(256)))
    return with_fragments(file, [table, bytes(stream)])


def flip_stream_head(file: File, chance: Random) -> bytes:
    """A few bytes among the markers, sizes and tables that begin the stream become others."""
    table, stream = _joined(file)
    for _ in range(chance.choice((1, 1, 2))):
        stream[chance.randrange(min(len(stream), 160))] = chance.choice((0, 1, 0xFF, 0x80, chance.randrange(256)))
    return with_fragments(file, [table, bytes(stream)])


def insert_marker(file: File, chance: Random) -> bytes:
    """A marker stands where none belongs."""
    table, stream = _joined(file)
    at = chance.randrange(len(stream))
    marker = bytes((0xFF, chance.choice(MARKERS)))
    changed = stream[:at] + marker + stream[at + chance.choice((0, 2)) :]
    return with_fragments(file, [table, bytes(changed)])


def change_marker(file: File, chance: Random) -> bytes:
    """A marker becomes another, or its length or contents change."""
    table, stream = _joined(file)
    markers = [at for at in range(len(stream) - 10) if stream[at] == 0xFF and stream[at + 1] in MARKERS]
    at = chance.choice(markers or [0])
    where = chance.choice((1, 2, 4, 5, 7, 9))
    if where == 1:
        stream[at + 1] = chance.choice(MARKERS)
    else:
        struct.pack_into(">H", stream, min(at + where, len(stream) - 2), chance.choice(HOSTILE))
    return with_fragments(file, [table, bytes(stream)])


def cut_stream(file: File, chance: Random) -> bytes:
    """The stream lacks its end or its middle, and its fragment says that this is all."""
    table, stream = _joined(file)
    at = chance.randrange(len(stream))
    to = chance.choice((len(stream), len(stream) - 2, min(len(stream), at + chance.randint(1, 400))))
    return with_fragments(file, [table, bytes(stream[:at] + stream[max(at, to) :])])


def lengthen_stream(file: File, chance: Random) -> bytes:
    """The stream goes on after its end, or part of it comes twice."""
    table, stream = _joined(file)
    at = chance.randrange(len(stream))
    more = (stream + chance.randbytes(chance.randint(1, 99)), stream + stream, stream[:at] + stream[at // 2 :],
            stream + b"\xff\xd9", stream + bytes(200))  # fmt: skip
    return with_fragments(file, [table, bytes(chance.choice(more))])


def offset_table(file: File, chance: Random) -> bytes:
    """The offset table names frames that are not there."""
    _, stream = _joined(file)
    entries = [chance.choice((0, 1, 8, len(stream), 0xFFFFFFFF, chance.randrange(1 << 32)))
               for _ in range(chance.choice((1, 1, 2, 3, 1000)))]  # fmt: skip
    table = struct.pack(f"<{len(entries)}I", *entries) + chance.choice((b"", b"", b"\0", b"\0\0"))
    return with_fragments(file, [table, bytes(stream)])


def split_fragments(file: File, chance: Random) -> bytes:
    """The stream comes in several fragments, in order or not, empty ones among them."""
    table, stream = _joined(file)
    cuts = sorted(chance.randrange(len(stream)) for _ in range(chance.choice((1, 2, 5, 200))))
    pieces = [bytes(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    if chance.random() < 0.3:
        chance.shuffle(pieces)
    return with_fragments(file, [chance.choice((table, b"", struct.pack("<2I", 0, 8))), *pieces])


def fragment_lengths(file: File, chance: Random) -> bytes:
    """A fragment says that it is longer or shorter than it is, or the sequence does not end."""
    table, stream = _joined(file)
    whole = with_fragments(file, [table, bytes(stream)])
    at = whole.rindex(b"\xfe\xff\x00\xe0") if chance.random() < 0.7 else whole.index(b"\xfe\xff\x00\xe0")
    length = chance.choice((0, 1, 2, len(stream) - 1, len(stream) + 1, len(stream) + 8, 0xFFFFFFFF, 0x7FFFFFFE,
                            chance.randrange(1 << 32)))  # fmt: skip
    return whole[: at + 4] + struct.pack("<I", length) + whole[at + 8 :]


def delimiters(file: File, chance: Random) -> bytes:
    """The end of the fragments is missing, doubled, something else, or stands within a fragment."""
    table, stream = _joined(file)
    end = b"\xfe\xff\xdd\xe0\0\0\0\0"
    tail = chance.choice((b"", end[:4], end + end, b"\xfe\xff\x0d\xe0\0\0\0\0", end[:4] + b"\1\0\0\0", b"\0" * 8, end))
    if chance.random() < 0.4:
        at = chance.randrange(len(stream))
        stream[at:at] = chance.choice((end, b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0"))
    return with_fragments(file, [table, bytes(stream)], tail)


def other_stream(file: File, chance: Random) -> bytes:
    """The fragment holds noise, nothing, or text where the stream should be."""
    table, _ = _joined(file)
    noise = (chance.randbytes(chance.choice((2, 64, 4096))), b"", bytes(500) + b"\xff\xd9", b"\xff\xd8\xff\xd9",
             b"\xff\x4f\xff\x51" + chance.randbytes(100) + b"\xff\xd9", b"<html>" * 20)  # fmt: skip
    return with_fragments(file, [table, chance.choice(noise)])


def _joined(file: File) -> tuple[bytes, bytearray]:
    """Offset table and stream; of uncompressed pixel data, the end of the data set."""
    pieces = fragments(file) or [b"", file.body[-200:]]
    return pieces[0], bytearray(b"".join(pieces[1:]))


def _plain(file: File) -> bool:
    return fragments(file) is None


def encapsulate_plain(file: File, chance: Random) -> bytes:
    """Uncompressed pixel data cut short or gone on, or put in fragments as if they were compressed."""
    if not _plain(file):
        return flip_stream(file, chance)
    if chance.random() < 0.5:
        return with_fragments(file, [b"", file.body[-400:]])
    return closed(file._replace(body=file.body + chance.randbytes(chance.randint(1, 64))))


STREAM_MUTATIONS: tuple[Mutation, ...] = (
    flip_stream, flip_stream_head, insert_marker, change_marker, cut_stream, lengthen_stream, offset_table,
    split_fragments, fragment_lengths, delimiters, other_stream,
)  # fmt: skip
