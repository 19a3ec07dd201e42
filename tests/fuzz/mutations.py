"""What is done to a file: each function takes a whole one and a source of chance, and gives a broken one's bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from pydicom import uid

from tests.fuzz.anatomy import PIXEL_DATA, UNDEFINED, Element, File, closed, elements, pixel_data, written

Mutation = Callable[[File, Random], bytes]

#: Elements that decide on size, layout and rendering, where a mutation does most harm.
TELLING = (
    0x00080008, 0x00080016, 0x00080060, 0x00200020, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056,
    0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103,
    0x00280120, 0x00280121, 0x00283000, 0x00283010, 0x20500020, PIXEL_DATA,
)  # fmt: skip
#: Sizes, layouts and counts: rows, columns, frames, samples, bits allocated and stored, high bit, sign.
NUMBERS = (0x00280010, 0x00280011, 0x00280002, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280121)
HOSTILE = (0, 1, 2, 7, 8, 9, 11, 12, 15, 16, 17, 32, 64, 255, 4096, 32767, 32768, 65534, 65535)
#: Values that fit no element, or fit in a way that nobody meant.
NASTY = (
    b"", b" ", b"\0\0", b"nan ", b"inf ", b"-inf", b"1e400 ", b"-1e308", b"0 ", b"-1", b"1e-320", b"1\\2\\3 ", b"\\",
    b"\\\\\\ ", b"'; DROP", b"\xff\xfe\xfd\xfc", b"MONOCHROME1 ", b"INVERSE ", b"SIGMOID ", b"LINEAR_EXACT", b"1.5e3 ",
    b"0x10", b"1_0 ", b"\xd9\xa1\xd9\xa2", b"A" * 1024, b"9" * 4000, b"0.1\\0.1 ", b"1.2.840.10008.5.1.4.1.1.7",
)  # fmt: skip
SYNTAXES = (
    uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian, uid.RLELossless, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit,
    uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless,
    uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K, uid.MPEG2MPML, uid.JPIPHTJ2KReferenced,
    "1.2.3", "",
)  # fmt: skip
#: Numbers that floats hold and images do not, and what rescale slope, intercept, window centre and width may be.
EXTREME = (
    b"1e308 ", b"-1e308", b"1e154 ", b"1e31", b"1e29", b"-1e29", b"1e16", b"4095", b"-4095 ", b"1 ", b"0.5 ", b"-1",
    b"-0.0", b"1e-29 ", b"1e-308", b"1e-320", b"5e-324", b"1e29\\-1e29", b"4096\\1 ",
)  # fmt: skip
SCALES = (0x00281050, 0x00281051, 0x00281052, 0x00281053)
CHARACTER_SETS = (b"ISO_IR 192", b"ISO 2022 IR 87", b"\\ISO 2022 IR 149 ", b"NONSENSE", b"\xff\xff")


def flip_bytes(file: File, chance: Random) -> bytes:
    """A few bytes anywhere become others."""
    return _flipped(closed(file), chance, 132)


def flip_header(file: File, chance: Random) -> bytes:
    """A few bytes before the pixel data become others."""
    element = pixel_data(file)
    end = element.value if element else len(file.body)
    return closed(file._replace(body=_flipped(file.body[:end], chance, 0) + file.body[end:]))


def flip_bits(file: File, chance: Random) -> bytes:
    """One to sixteen single bits of the data set change."""
    body = bytearray(file.body)
    for _ in range(chance.randint(1, 16)):
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return closed(file._replace(body=bytes(body)))


def truncate(file: File, chance: Random) -> bytes:
    """The file ends early."""
    data = closed(file)
    return data[: len(data) - chance.choice((1, 2, 3, 4, 7, 8, 9, 16, chance.randrange(len(data))))]


def append_bytes(file: File, chance: Random) -> bytes:
    """The file goes on after its end."""
    data = closed(file)
    more = (chance.randbytes(chance.randint(1, 64)), bytes(chance.randint(1, 4096)), data[132:], b"\xfe\xff\xdd\xe0")
    return data + chance.choice(more)


def move_bytes(file: File, chance: Random) -> bytes:
    """A run of bytes is left out, repeated, zeroed or put elsewhere."""
    body = file.body
    start = chance.randrange(len(body))
    run = body[start : start + chance.choice((1, 2, 8, 64, 1024))]
    without = body[:start] + body[start + len(run) :]
    to = chance.randrange(len(without) + 1)
    changed = (without, body[:start] + run + body[start:], body[:start] + bytes(len(run)) + body[start + len(run) :],
               without[:to] + run + without[to:])  # fmt: skip
    return closed(file._replace(body=chance.choice(changed)))


def inflate_length(file: File, chance: Random) -> bytes:
    """An element says that it is longer or shorter than it is."""
    element = _any_element(file, chance)
    size = element.end - element.value
    length = chance.choice((UNDEFINED, UNDEFINED - 1, 1 << 31, 1 << 24, 65535, 65534, size + 1, size + 2, size * 2,
                            max(0, size - 1), max(0, size - 2), 0, chance.randrange(1 << 32)))  # fmt: skip
    return _replaced(file, element, written(file, element.tag, element.vr, _value(file, element), length))


def drop_element(file: File, chance: Random) -> bytes:
    """One to three elements are missing."""
    for _ in range(chance.randint(1, 3)):
        element = _any_element(file, chance)
        file = file._replace(body=file.body[: element.start] + file.body[element.end :])
        if not elements(file):
            break
    return closed(file)


def repeat_element(file: File, chance: Random) -> bytes:
    """An element occurs twice, perhaps with another value, perhaps out of order."""
    element = _any_element(file, chance)
    value = chance.choice((_value(file, element), chance.choice(NASTY), chance.randbytes(element.end - element.value)))
    again = written(file, element.tag, element.vr or b"UN", value)
    at = chance.choice([one.end for one in elements(file)] + [0, element.end])
    return closed(file._replace(body=file.body[:at] + again + file.body[at:]))


def hostile_size(file: File, chance: Random) -> bytes:
    """Rows, columns, frames, samples or bits say something else."""
    for _ in range(chance.randint(1, 3)):
        tag = chance.choice((0x00280008, *NUMBERS))
        if tag == 0x00280008:
            vr, value = b"IS", str(chance.choice((*HOSTILE, -1, 1 << 31, 10**11))).encode().ljust(2)
        else:
            vr, value = b"US", struct.pack(file.order + "H", chance.choice((*HOSTILE, chance.randrange(65536))))
        file = _with_element(file, tag, vr, value)
    return closed(file)


def nasty_value(file: File, chance: Random) -> bytes:
    """One or two elements hold something that does not belong there."""
    for _ in range(chance.randint(1, 2)):
        element = _any_element(file, chance)
        value = chance.choice((*NASTY, chance.randbytes(2 * chance.randint(1, 8))))
        file = _with_element(file, element.tag, element.vr, value)
    return closed(file)


def extreme_numbers(file: File, chance: Random) -> bytes:
    """Rescaling, windows, padding and bits go together as they never should, each of them legible."""
    for _ in range(chance.randint(1, 5)):
        file = _with_element(file, chance.choice(SCALES), b"DS", chance.choice(EXTREME))
    file = _with_element(file, 0x00281056, b"CS", chance.choice((b"LINEAR", b"LINEAR_EXACT", b"SIGMOID ")))
    for tag in (0x00280120, 0x00280121):
        if chance.random() < 0.2:
            file = _with_element(file, tag, b"SS", struct.pack(file.order + "h", chance.choice((-32768, -1, 0, 32767))))
    if chance.random() < 0.3:
        file = _with_element(file, 0x00280103, b"US", struct.pack(file.order + "H", chance.randint(0, 1)))
    return closed(file)


def other_vr(file: File, chance: Random) -> bytes:
    """An element names another value representation, or none that exists."""
    element = _any_element(file, chance)
    vr = chance.choice((b"SQ", b"UN", b"OB", b"OW", b"US", b"SS", b"DS", b"IS", b"UI", b"PN", b"AT", b"FD", b"OV",
                        b"UT", b"LT", b"CS", b"??", b"\0\0"))  # fmt: skip
    return _replaced(file, element, written(file, element.tag, vr, _value(file, element)))


def nest_sequences(file: File, chance: Random) -> bytes:
    """A sequence holds a sequence holds a sequence."""
    tag = chance.choice((0x00540220, 0x00082218, 0x00283000, 0x00283010, 0x00089215, 0x0040A730, 0x00091001))
    undefined = chance.random() < 0.5
    inner = b""
    for _ in range(chance.choice((1, 2, 10, 100, 500, 2000))):
        size = UNDEFINED if undefined else len(inner)
        item = struct.pack(file.order + "HHI", 0xFFFE, 0xE000, size) + inner
        if undefined:
            item += struct.pack(file.order + "HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        inner = written(file, tag, b"SQ", item, UNDEFINED if undefined else None)
        if len(inner) > 1 << 20:
            break
    first = next((one.start for one in elements(file) if one.tag >= tag), len(file.body))
    return closed(file._replace(body=file.body[:first] + inner + file.body[first:]))


def swap_syntax(file: File, chance: Random) -> bytes:
    """The file says that it is in another transfer syntax."""
    before = file.syntax.encode("ascii")
    before += b"\0" * (len(before) % 2)
    after = str(chance.choice(SYNTAXES)).encode("ascii")
    after += b"\0" * (len(after) % 2)
    at = file.head.rindex(before)
    head = file.head[: at - 2] + struct.pack("<H", len(after)) + after + file.head[at + len(before) :]
    if chance.random() < 0.8:
        head = head[:140] + struct.pack("<I", len(head) - 144) + head[144:]
    # the bytes stay as they are: an inflated body under another syntax, a plain one under Deflated
    return head + (file.body if chance.random() < 0.5 else closed(file)[len(file.head) :])


def other_character_set(file: File, chance: Random) -> bytes:
    """The character set is another, and text has bytes that it does not know."""
    file = _with_element(file, 0x00080005, b"CS", chance.choice(CHARACTER_SETS))
    return closed(_with_element(file, 0x0008103E, b"LO", chance.randbytes(2 * chance.randint(1, 20))))


def _flipped(data: bytes, chance: Random, start: int) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        changed[chance.randrange(start, len(data))] = chance.choice((0, 0xFF, 0x7F, 0x80, chance.randrange(256)))
    return bytes(changed)


def _any_element(file: File, chance: Random) -> Element:
    """An element, half of the time one of those that tell most."""
    found = elements(file)
    telling = [one for one in found if one.tag in TELLING]
    return chance.choice(telling if telling and chance.random() < 0.5 else found)


def _value(file: File, element: Element) -> bytes:
    return file.body[element.value : element.end]


def _replaced(file: File, element: Element, by: bytes) -> bytes:
    return closed(file._replace(body=file.body[: element.start] + by + file.body[element.end :]))


def _with_element(file: File, tag: int, vr: bytes, value: bytes) -> File:
    """The file with this element, where there is one of that tag instead of it."""
    found = elements(file)
    old = next((one for one in found if one.tag == tag), None)
    start = old.start if old else next((one.start for one in found if one.tag > tag), len(file.body))
    end = old.end if old else start
    new = written(file, tag, (old.vr if old else vr) or vr, value)
    return file._replace(body=file.body[:start] + new + file.body[end:])


HEADER_MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes, flip_header, flip_bits, truncate, append_bytes, move_bytes, inflate_length, drop_element,
    repeat_element, hostile_size, nasty_value, other_vr, nest_sequences, swap_syntax, other_character_set,
)  # fmt: skip
