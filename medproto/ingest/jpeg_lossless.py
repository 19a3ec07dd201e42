"""Whether a decoded lossless JPEG is what its scan holds: coded anew, it takes as many bits (ISO 10918-1 Annex H).

Decoders make a picture of a corrupt scan too: they fill in what is missing and pass over what is left. Such a picture
needs more bits than the scan has, or fewer. Nothing is coded for that: every difference from its prediction has a code
whose length the Huffman table gives. Where one made good the other, the last codes are not those of the picture.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medproto.ingest.gate import unreadable
from medproto.ingest.jpeg import DHT, DRI, EOI, FIRST_RESTART, LAST_RESTART, SOS, segments

if TYPE_CHECKING:
    from medproto.ingest.streams import Stream

Samples = NDArray[Any]

#: Start of frame, lossless with Huffman coding.
LOSSLESS = 0xC3
#: Bits that may follow the last code: to the end of its byte, and a byte of zeros or ones that an encoder may flush
#: behind it. A code that no table has costs decoders that pass over it about as much.
PADDING_BITS, SLACK_BITS = 7, 15
#: Values that are looked at together, few enough to stay in the second-level cache.
BAND_PX = 128 * 1024
#: Numbers of Huffman tables from here on are of a class that no lossless scan uses, yet some streams hold them.
AC_TABLES = 0x10
#: Categories of differences, by the bits that their size takes (ISO 10918-1 table H.2).
CATEGORIES = 17
#: Values at the end of an interval whose codes are compared, and what they take at most, every byte stuffed.
TAIL_PX = 16
TAIL_BYTES = TAIL_PX * 4 * 2 + 4
#: Length of a difference that the table has no code for, longer than any that has.
NO_CODE = 255
#: Prediction from the neighbours on the left, above, and above on the left (ISO 10918-1 table H.1).
PREDICTORS: dict[int, Callable[[Any, Any, Any], Any]] = {
    1: lambda left, _, __: left,
    2: lambda _, above, __: above,
    3: lambda _, __, corner: corner,
    4: lambda left, above, corner: left + above - corner,
    5: lambda left, above, corner: left + ((above - corner) >> 1),
    6: lambda left, above, corner: above + ((left - corner) >> 1),
    7: lambda left, above, _: (left + above) >> 1,
}
#: Predictors without a shift, for which arithmetic modulo 2^16 will do.
PLAIN = frozenset({1, 2, 3, 4})


class Table(NamedTuple):
    """Of a difference of each category: the bits it takes, its code's and its own, and its code."""

    bits: list[int]
    codes: list[int]


class Held(NamedTuple):
    """Bits between two restart markers, whether the last byte is all zeros or all ones, and the last bytes."""

    bits: int
    flushed: bool
    tail: bytes


class Coding(NamedTuple):
    """How a scan is coded: bits a sample, predictor, rows between restarts, codes by category, start of data."""

    precision: int
    predictor: int
    restart_rows: int
    table: Table
    start: int


def check_bits(stream: Stream, values: NDArray[Any]) -> None:
    """The values take as many bits as the scan holds, in each of its intervals.

    Args:
        stream: a lossless JPEG stream that `check_jpeg` has passed.
        values: what a decoder made of it, shape (rows, columns).

    Raises:
        UnreadableImage: UNDECODABLE where they do not.
    """
    coding = _coding(stream, values.shape)
    for place, held in enumerate(_held_bits(np.frombuffer(stream, np.uint8, offset=coding.start))):
        part = values[place * coding.restart_rows : (place + 1) * coding.restart_rows]
        left = held.bits - _bits(part, coding)
        if not 0 <= left <= (SLACK_BITS if held.flushed else PADDING_BITS) or not _ends(part, coding, held.tail, left):
            raise unreadable("UNDECODABLE", "its stream does not hold the picture that a decoder makes of it")


def _coding(stream: Stream, shape: tuple[int, ...]) -> Coding:
    precision, interval, tables = 0, 0, dict[int, Table]()
    for segment in segments(stream):
        if segment.marker == LOSSLESS:
            precision = segment.parameters[0]
        elif segment.marker == DRI:
            (interval,) = struct.unpack(">H", segment.parameters)
        elif segment.marker == DHT:
            tables |= _tables(segment.parameters)
        elif segment.marker == SOS:
            table = tables.get(segment.parameters[2] >> 4)
            # ISO 10918-1 H.1.1: intervals are whole rows
            if table is None or interval % shape[1]:
                break
            return Coding(precision, segment.parameters[3], interval // shape[1] or shape[0], table, segment.end)
    raise unreadable(
        "UNDECODABLE", "its stream is not in order: got a scan without its table, or restarts within a row"
    )


def _tables(parameters: bytes) -> dict[int, Table]:
    """Tables by number (ISO 10918-1 B.2.4.2, C.2, H.1.2.2)."""
    found = {}
    position = 0
    while position < len(parameters):
        counts = parameters[position + 1 : position + 17]
        lengths = [length for length, count in enumerate(counts, start=1) for _ in range(count)]
        symbols = parameters[position + 17 : position + 17 + len(lengths)]
        number = parameters[position]
        position += 17 + len(lengths)
        if number >= AC_TABLES:
            continue
        table = Table([NO_CODE] * CATEGORIES, [0] * CATEGORIES)
        code = before = 0
        for category, length in zip(symbols, lengths, strict=True):
            code <<= length - before
            table.codes[category], before = code, length
            # a difference of 2^15 is known by its category alone
            table.bits[category] = length + (category if category < 16 else 0)
            code += 1
        found[number] = table
    return found


def _held_bits(coded: NDArray[np.uint8]) -> list[Held]:
    """What lies between restart markers, up to the end of image, without the zeros that are stuffed behind 0xFF."""
    marked = np.flatnonzero(coded[:-1] == 0xFF)
    following = coded[marked + 1]
    restarts = marked[(following >= FIRST_RESTART) & (following <= LAST_RESTART)]
    bounds = np.append(restarts, marked[following == EOI[1]][-1])
    # the first interval begins where the scan does, the others behind their markers of two bytes
    lengths = np.diff(bounds, prepend=-2) - 2
    stuffed = np.diff(np.searchsorted(marked[following == 0], bounds), prepend=0)
    # what is stuffed behind a last byte of ones is a zero
    flushed = np.isin(coded[bounds - 1], (0x00, 0xFF))
    tails = (coded[max(0, bound - TAIL_BYTES) : bound].tobytes().replace(b"\xff\0", b"\xff") for bound in bounds)
    return [
        Held(int(held), bool(alike), tail)
        for held, alike, tail in zip(8 * (lengths - stuffed), flushed, tails, strict=True)
    ]


def _ends(values: NDArray[Any], coding: Coding, tail: bytes, left: int) -> bool:
    """Whether the codes of the interval's last values are its last bits, but for those that are left.

    A decoder that passes over bits at one place and makes up as many at the end takes no more than there are.
    """
    start = None if len(values) > 1 else 1 << (coding.precision - 1)
    band = values[-2:].astype(np.uint16 if coding.predictor in PLAIN else np.int32)
    last = _differences(band, coding.predictor, start)[-1, -TAIL_PX:].astype(np.uint16).view(np.int16)
    expected = length = 0
    for difference in last.tolist():
        category = abs(difference).bit_length()
        bits = coding.table.bits[category]
        own = difference + (difference < 0) * ((1 << category) - 1) if category < 16 else 0
        expected = expected << bits | coding.table.codes[category] << (category if category < 16 else 0) | own
        length += bits
    return int.from_bytes(tail, "big") >> left & ((1 << length) - 1) == expected


def _bits(values: NDArray[Any], coding: Coding) -> int:
    """Bits that the values of one interval take."""
    rows, columns = values.shape
    kind = np.uint16 if coding.predictor in PLAIN else np.int32
    height = max(1, BAND_PX // columns)
    reached = np.empty((min(height, rows), columns), np.bool_)
    total: int = rows * columns * coding.table.bits[0]
    for top in range(0, rows, height):
        # with the row before, from which the first of the band is predicted
        band = values[max(0, top - 1) : top + height].astype(kind, copy=False)
        differences = _differences(band, coding.predictor, None if top else 1 << (coding.precision - 1))
        signed = differences.astype(np.uint16, copy=False).view(np.int16)
        # of -2^15 the size is 2^15 when it is taken without sign
        sizes = np.abs(signed, out=signed).view(np.uint16)
        for category in range(1, int(sizes.max()).bit_length() + 1):
            # comparing is quicker than looking up, and most differences are small
            large = np.greater_equal(sizes, 1 << (category - 1), out=reached[: len(sizes)])
            total += int(np.count_nonzero(large)) * (coding.table.bits[category] - coding.table.bits[category - 1])
    return total


def _differences(band: Samples, predictor: int, start: int | None) -> Samples:
    """Differences from the predictions, of all rows where `start` predicts the first value, else of all but one."""
    found = np.empty_like(band)
    predicted = PREDICTORS[predictor](band[1:, :-1], band[:-1, 1:], band[:-1, :-1])
    np.subtract(band[1:, 1:], predicted, out=found[1:, 1:])
    found[1:, 0] = band[1:, 0] - band[:-1, 0]
    if start is None:
        return found[1:]
    found[0, 1:], found[0, 0] = band[0, 1:] - band[0, :-1], (int(band[0, 0]) - start) & 0xFFFF
    return found
