"""The markers of a JPEG 2000 or HTJ2K codestream, from the first to the last (ISO 15444-1 Annex A, ISO 15444-15).

One component of the declared size and sign, every tile there, no more tiles, precincts and layers than a mammogram
needs, an end, and nothing after it. What lies in the packets is left to the decoders.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydicom.uid import HTJ2K, JPEG2000, UID, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000Lossless

from medproto.ingest.gate import unreadable
from medproto.ingest.jpeg import is_padding

if TYPE_CHECKING:
    from medproto.errors import UnreadableImage
    from medproto.ingest.decoding import Layout
    from medproto.ingest.streams import Stream

HIGH_THROUGHPUT = frozenset({HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})
LOSSLESS = frozenset({JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL})
CODESTREAM_SYNTAXES = frozenset({JPEG2000Lossless, JPEG2000, *HIGH_THROUGHPUT})

SOC, EOC = b"\xff\x4f", b"\xff\xd9"
CAP, SIZ, COD, QCD, SOT, SOD = 0xFF50, 0xFF51, 0xFF52, 0xFF5C, 0xFF90, 0xFF93
#: TLM, PLM, CRG, COM beside those that must be there; not COC, RGN, POC, PPM, which one component does not need.
MAIN_MARKERS = frozenset({CAP, SIZ, COD, QCD, 0xFF55, 0xFF57, 0xFF63, 0xFF64})
#: PLT and COM.
TILE_MARKERS = frozenset({0xFF58, 0xFF64})
#: SIZ up to its first component (ISO 15444-1 A.5.1), and SOT (A.4.2).
SIZE = struct.Struct(">H8IH3B")
TILE_PART = struct.Struct(">HIBB")
#: 64 x 64 pixels a tile are the least in use; decoders keep kilobytes of each.
MAX_TILES = 1 << 14
#: Decoders keep a record of every packet: a precinct in a layer.
MAX_PACKETS = 1 << 21


class Marker(NamedTuple):
    """A marker with its parameters, and where the stream goes on."""

    code: int
    parameters: bytes
    end: int


class Tiles(NamedTuple):
    """The image and how it is cut into tiles, in pixels."""

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int
    number: int


def check_codestream(stream: Stream, syntax: UID, layout: Layout) -> None:
    """The stream is one whole image of the declared size.

    Raises:
        UnreadableImage: TRUNCATED, UNDECODABLE, or HOSTILE_SIZE where stream and header differ in size, or where the
            stream is cut into more pieces than a picture has.
    """
    if stream[:2] != SOC:
        raise _broken("no start of codestream")
    found: dict[int, bytes] = {}
    tiles: Tiles | None = None
    for marker in _markers(stream, 2, SOT):
        if marker.code not in MAIN_MARKERS or (not found) != (marker.code == SIZ):
            raise _broken(f"marker {marker.code:04X} out of place")
        if marker.code in found and marker.code in (SIZ, COD, QCD, CAP):
            raise _broken(f"marker {marker.code:04X} twice")
        found[marker.code] = marker.parameters
        if marker.code == SIZ:
            tiles = _size(marker.parameters, layout)
        end = marker.end
    if tiles is None or not {COD, QCD} <= found.keys():
        raise _broken("no size, coding style or quantisation")
    if (CAP in found) != (syntax in HIGH_THROUGHPUT):
        raise _broken("another coding of its blocks than its transfer syntax names")
    _check_style(found[COD], tiles)
    if syntax in LOSSLESS and found[COD][9] != 1:
        raise _broken("a lossy transformation in a lossless transfer syntax")
    _check_steps(found[QCD], found[COD][5])
    _check_tile_parts(stream, end, tiles)


def _markers(stream: Stream, position: int, last: int) -> Iterator[Marker]:
    """Every marker with parameters from there up to, and without, the one that is `last`."""
    while position + 4 <= len(stream):
        code, length = struct.unpack_from(">2H", stream, position)
        if code == last:
            return
        end = position + 2 + length
        if length < 2 or end > len(stream):
            raise unreadable("TRUNCATED", "a marker of its codestream is cut")
        yield Marker(code, bytes(stream[position + 4 : end]), end)
        position = end
    raise unreadable("TRUNCATED", "its codestream ends before its tiles")


def _size(parameters: bytes, layout: Layout) -> Tiles:
    """Image and tiles of one component of the declared size, sign and no more bits than are allocated."""
    if len(parameters) != SIZE.size:
        raise _broken("other than one component")
    _, x1, y1, x0, y0, width, height, tile_x0, tile_y0, components, depth, x_step, y_step = SIZE.unpack(parameters)
    if components != 1 or (x_step, y_step) != (1, 1):
        raise _broken("other than one component of one sample a pixel")
    rows, columns = y1 - y0, x1 - x0
    if (rows, columns) != (layout.rows, layout.columns):
        got = f"the stream says {rows} x {columns}, the header {layout.rows} x {layout.columns}"
        raise unreadable("HOSTILE_SIZE", got)
    if depth >> 7 != layout.signed or (depth & 0x7F) + 1 > layout.bits_allocated:
        raise _broken("another sign than the header's, or more bits than are allocated")
    # ISO 15444-1 B.3: the first tile holds at least one pixel
    if not (tile_x0 <= x0 < tile_x0 + width and tile_y0 <= y0 < tile_y0 + height):
        raise _broken("tiles beside the image")
    count = -(-(x1 - tile_x0) // width) * -(-(y1 - tile_y0) // height)
    if count > MAX_TILES:
        raise unreadable("HOSTILE_SIZE", f"got {count} tiles, expected at most {MAX_TILES}")
    return Tiles(rows, columns, min(rows, height), min(columns, width), count)


def _check_style(parameters: bytes, tiles: Tiles) -> None:
    """The coding style (ISO 15444-1 A.6.1) asks for no more packets than a picture needs."""
    if len(parameters) < 10:
        raise _broken("a coding style that is cut")
    own_precincts = parameters[0] & 1
    layers, levels = int.from_bytes(parameters[2:4], "big"), parameters[5]
    if levels > 32 or len(parameters) != 10 + own_precincts * (levels + 1) or layers == 0:
        raise _broken("a coding style that contradicts itself")
    if parameters[6] > 8 or parameters[7] > 8 or parameters[6] + parameters[7] > 8:
        # A.6.1: exponents less 2, of at most 10 each and 12 together
        raise _broken("code-blocks of more than 4096 samples")
    packets = 0
    for resolution in range(levels + 1):
        exponents = parameters[10 + resolution] if own_precincts else 0xFF
        scale = levels - resolution
        across = (tiles.tile_columns >> scale >> (exponents & 0x0F)) + 1
        down = (tiles.tile_rows >> scale >> (exponents >> 4)) + 1
        packets += across * down
    if packets * tiles.number * layers > MAX_PACKETS:
        raise unreadable("HOSTILE_SIZE", "its codestream is cut into more packets than a picture has")


def _check_steps(parameters: bytes, levels: int) -> None:
    """Quantisation (ISO 15444-1 A.6.4): a step for every sub-band, none of which wipes it out."""
    style = parameters[0] & 0x1F if parameters else 3
    bands = 3 * levels + 1
    size = {0: 1 + bands, 1: 3, 2: 1 + 2 * bands}.get(style)
    if size != len(parameters):
        raise _broken("quantisation that contradicts the coding style")
    if not all(step >> 3 for step in parameters[1 :: 1 if style == 0 else 2]):
        raise _broken("a sub-band without magnitude")


def _check_tile_parts(stream: Stream, position: int, tiles: Tiles) -> None:
    """Tile-parts follow one another up to the end of the codestream, every tile is there, nothing comes after."""
    seen: dict[int, int] = {}
    while stream[position : position + 2] == b"\xff\x90":
        if position + 12 > len(stream) or stream[position + 2 : position + 4] != b"\0\x0a":
            raise unreadable("TRUNCATED", "a tile-part of its codestream is cut")
        tile, length, part, _ = TILE_PART.unpack_from(stream, position + 4)
        # A.4.2: the last tile-part may leave its length open
        end = position + length if length else bytes(stream).rfind(EOC)
        if tile >= tiles.number or part != seen.get(tile, 0) or not position + 14 <= end <= len(stream) - 2:
            raise _broken("tile-parts out of order")
        seen[tile] = part + 1
        _check_packets(stream, position + 12, end)
        position = end
    if stream[position : position + 2] != EOC:
        raise unreadable("TRUNCATED", "its codestream has no end where its tiles end")
    if not is_padding(bytes(stream[position + 2 :])):
        raise _broken("something after its end")
    if len(seen) != tiles.number:
        raise unreadable("TRUNCATED", f"got {len(seen)} tiles, expected {tiles.number}")


def _check_packets(stream: Stream, position: int, end: int) -> None:
    """A tile-part's markers, then its packets, in which no other marker than SOP and EPH can stand (A.3)."""
    for marker in _markers(stream[:end], position, SOD):
        if marker.code not in TILE_MARKERS:
            raise _broken(f"marker {marker.code:04X} in a tile")
        position = marker.end
    packets = np.frombuffer(stream, np.uint8, end - position - 2, position + 2)
    following = packets[np.flatnonzero(packets[:-1] == 0xFF) + 1]
    if np.any((following > 0x8F) & (following != 0x91) & (following != 0x92)):
        raise _broken("a marker within the packets")


def _broken(got: str) -> UnreadableImage:
    """The error of a codestream that is not in order."""
    return unreadable("UNDECODABLE", f"its codestream is not in order: got {got}")
