"""Uncompressed pixel data into each transfer syntax that the reader takes; the way back is `ingest/decoding`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from medproto.errors import InputError

Pixels = NDArray[Any]

#: Syntaxes whose data are the values themselves.
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


class Coding(NamedTuple):
    """How one compressed syntax is written.

    Args:
        encode: pixels, shape (rows, columns), and bits stored to one frame's stream.
        method: Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1); empty where nothing is lost.
        signed: whether the stream holds signed values; else it carries their bit patterns.
    """

    encode: Callable[[Pixels, int], bytes]
    method: str = ""
    signed: bool = False


def _rle(pixels: Pixels, _: int) -> bytes:
    """PS3.5 annex G: a segment for each byte of a value, the highest first; rows are packed one by one."""
    cells = np.ascontiguousarray(pixels).view(np.uint8).reshape(*pixels.shape, pixels.itemsize)
    packed = [b"".join(map(imagecodecs.packbits_encode, plane)) for plane in np.moveaxis(cells, 2, 0)[::-1].copy()]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in packed]
    header = np.zeros(16, dtype="<u4")
    header[0] = len(segments)
    header[1 : 1 + len(segments)] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return header.tobytes() + b"".join(segments)


def _jpeg_lossless(predictor: int) -> Callable[[Pixels, int], bytes]:
    return lambda pixels, bits: bytes(
        imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits)
    )


def _jpeg(pixels: Pixels, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=bits))


def _jpeg_2000(pixels: Pixels, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k", bitspersample=bits))


def _jpeg_2000_lossy(pixels: Pixels, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=70, reversible=False, codecformat="j2k", bitspersample=bits))


#: PS3.5 A.4.4: HTJ2K Lossless RPCL orders by resolution first and holds tile-part lengths; the encoder does for all.
CODINGS: dict[UID, Coding] = {
    RLELossless: Coding(_rle, signed=True),
    JPEGLossless: Coding(_jpeg_lossless(4)),
    JPEGLosslessSV1: Coding(_jpeg_lossless(1)),
    JPEGLSLossless: Coding(lambda pixels, _: bytes(imagecodecs.jpegls_encode(pixels))),
    JPEG2000Lossless: Coding(_jpeg_2000, signed=True),
    HTJ2KLossless: Coding(lambda p, _: bytes(imagecodecs.htj2k_encode(p, reversible=True)), signed=True),
    HTJ2KLosslessRPCL: Coding(lambda p, _: bytes(imagecodecs.htj2k_encode(p, reversible=True, tlm=True)), signed=True),
    JPEGBaseline8Bit: Coding(_jpeg, "ISO_10918_1"),
    JPEGExtended12Bit: Coding(_jpeg, "ISO_10918_1"),
    JPEGLSNearLossless: Coding(lambda pixels, _: bytes(imagecodecs.jpegls_encode(pixels, level=2)), "ISO_14495_1"),
    JPEG2000: Coding(_jpeg_2000_lossy, "ISO_15444_1"),
    HTJ2K: Coding(lambda p, _: bytes(imagecodecs.htj2k_encode(p, level=0.0002, reversible=False)), "ISO_15444_15"),
}
LOSSLESS = (*NATIVE, *(syntax for syntax, coding in CODINGS.items() if not coding.method))
LOSSY = tuple(syntax for syntax, coding in CODINGS.items() if coding.method)


def encode_pixels(ds: Dataset, syntax: UID) -> None:
    """Put the dataset's one frame of little-endian pixel data into a transfer syntax, and say so where it is lossy.

    Raises:
        InputError: the syntax cannot be written, holds fewer bits than are stored, or does not keep signs.
    """
    if syntax in NATIVE:
        if syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        # PS3.5 A.3: words of a table change their order with those of the pixels; pydicom leaves OW as it is
        for table in ds.get("VOILUTSequence", ()) if syntax == ExplicitVRBigEndian else ():
            table.LUTData = np.frombuffer(table.LUTData, "<u2").astype(">u2").tobytes()
        return
    coding = CODINGS.get(syntax)
    if coding is None:
        raise InputError(f"transfer syntax: got '{syntax.name}', expected one of those that can be written")
    most = {JPEGBaseline8Bit: 8, JPEGExtended12Bit: 12}.get(syntax, 16)
    if ds.BitsStored > most:
        raise InputError(f"{syntax.name}: got {ds.BitsStored} bits stored, expected at most {most}")
    if ds.PixelRepresentation == 1 and not coding.signed and (coding.method or ds.BitsStored < ds.BitsAllocated):
        # a small loss in a bit pattern can turn its sign, and readers part on where the sign of a short pattern is
        raise InputError(f"{syntax.name}: got signed values, expected unsigned ones or lossless ones of all bits")
    stream = coding.encode(_pixels(ds, coding.signed), ds.BitsStored)
    if coding.method:
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionMethod = coding.method
        ds.LossyImageCompressionRatio = f"{len(ds.PixelData) / len(stream):.2f}"
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def _pixels(ds: Dataset, signed: bool) -> Pixels:
    """The values, or, where the stream holds unsigned ones alone, their bit patterns; shape (rows, columns)."""
    kind = "i" if signed and ds.PixelRepresentation == 1 else "u"
    return np.frombuffer(ds.PixelData, f"<{kind}{ds.BitsAllocated // 8}").reshape(ds.Rows, ds.Columns)
