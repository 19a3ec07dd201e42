"""Which decoder takes which compressed syntax: the fastest first, the others where it refuses the stream.

The order is the one that `python -m benchmarks` measures. No decoder is under the GPL. Left out on purpose: GDCM for
JPEG Extended, which can return 12-bit streams as 8-bit garbage instead of refusing them; liblj92, which can end the
process over streams that libjpeg-turbo refuses; and OpenJPH through imagecodecs alone, which on a broken codestream
swallows the error and returns what it has of the picture, the rest being whatever lay in memory. HTJ2K is decoded by
OpenJPEG and by OpenJPH, and refused where they differ: neither notices every broken code-block.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from medproto.ingest.gate import unreadable
from medproto.ingest.header import MALFORMED, quiet
from medproto.ingest.rle import decode_rle

if TYPE_CHECKING:
    from medproto.ingest.decoding import Layout
    from medproto.ingest.streams import Stream

#: What foreign decoders raise on bytes they do not like.
FOREIGN = (*MALFORMED, RuntimeError, OSError, struct.error)

#: Decoders of lossy HTJ2K compute in floats of 24 bits, each in its own order: shades on which all of them agree.
ROUNDED_SHADES = 1 << 14


class Decoder(NamedTuple):
    """A decoder as it is recorded, and the function from one frame to values of shape (rows, columns)."""

    package: str
    function: str
    decode: Callable[[Stream, Dataset, Layout], NDArray[Any]]

    @property
    def title(self) -> str:
        """Package, function and version."""
        return " ".join(part for part in (self.package, self.function, _version(self.package)) if part)


@cache
def _version(package: str) -> str:
    """The installed version, looked up once: that takes as long as it does to unpack a small image."""
    return version(package)


def _direct(function: str) -> Decoder:
    """A function of imagecodecs: libjpeg-turbo, jpegsof3, CharLS, OpenJPEG."""
    return Decoder("imagecodecs", function, lambda frame, _, __: getattr(imagecodecs, function)(frame))


def _high_throughput(frame: Stream, dataset: Dataset, layout: Layout) -> NDArray[Any]:
    """What OpenJPEG makes of an HTJ2K frame and OpenJPH confirms, to the rounding that lossy coding leaves open."""
    lossy = dataset.file_meta.TransferSyntaxUID == HTJ2K
    rounding = max(1, (1 << layout.bits_stored) // ROUNDED_SHADES) if lossy else 0
    # any buffer will do, whatever the annotations say
    values = imagecodecs.jpeg2k_decode(frame)  # type: ignore[arg-type]
    other = imagecodecs.htj2k_decode(frame)  # type: ignore[arg-type]
    if values.shape != other.shape or np.abs(np.subtract(values, other, dtype=np.int32)).max() > rounding:
        raise ValueError("OpenJPEG and OpenJPH do not agree")
    return values


def _plugin(package: str, name: str) -> Decoder:
    """A plugin of pydicom, which refuses where its package is not installed."""

    def decode(_: Stream, dataset: Dataset, layout: Layout) -> NDArray[Any]:
        if name == "gdcm" and layout.bits_stored < layout.bits_allocated == 8:
            # GDCM takes for granted that bytes are full, and ends the process where they are not
            raise ValueError("GDCM reads no bytes with bits to spare")
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        return decoder.as_array(dataset, index=0, raw=True, decoding_plugin=name)[0]

    return Decoder(package, "", decode)


RLE = Decoder(
    "imagecodecs",
    "packbits_decode",
    lambda frame, _, layout: decode_rle(frame, layout.rows, layout.columns, layout.bits_allocated // 8),
)
GDCM, PILLOW, PYJPEGLS = _plugin("python-gdcm", "gdcm"), _plugin("pillow", "pillow"), _plugin("pyjpegls", "pyjpegls")
JPEG, JPEG_LS, JPEG_2000 = _direct("jpeg8_decode"), _direct("jpegls_decode"), _direct("jpeg2k_decode")
HIGH_THROUGHPUT = Decoder("imagecodecs", "jpeg2k_decode", _high_throughput)
SOF3 = _direct("jpegsof3_decode")

#: Decoders of every compressed syntax that is read, the fastest first.
DECODERS: dict[str, tuple[Decoder, ...]] = {
    # the segments of RLE are checked here: what fails these checks is refused, not handed to the next
    RLELossless: (RLE,),
    JPEGBaseline8Bit: (JPEG, PILLOW, GDCM),
    JPEGExtended12Bit: (JPEG, PILLOW),
    JPEGLossless: (JPEG, SOF3, GDCM),
    JPEGLosslessSV1: (JPEG, SOF3, GDCM),
    JPEGLSLossless: (JPEG_LS, PYJPEGLS, GDCM),
    JPEGLSNearLossless: (JPEG_LS, PYJPEGLS, GDCM),
    JPEG2000Lossless: (JPEG_2000, PILLOW, GDCM),
    JPEG2000: (JPEG_2000, PILLOW, GDCM),
    HTJ2KLossless: (HIGH_THROUGHPUT,),
    HTJ2KLosslessRPCL: (HIGH_THROUGHPUT,),
    HTJ2K: (HIGH_THROUGHPUT,),
}


def first_that_decodes(frame: Stream, dataset: Dataset, syntax: UID, layout: Layout) -> tuple[NDArray[Any], str]:
    """Values of the fastest decoder that takes the stream, and the decoder's title.

    Raises:
        UnreadableImage: UNDECODABLE where none does.
    """
    reason: Exception | None = None
    for decoder in DECODERS.get(syntax, ()):
        try:
            with quiet():
                return decoder.decode(frame, dataset, layout), decoder.title
        except FOREIGN as err:
            reason = err
    raise unreadable("UNDECODABLE", f"no decoder takes its {syntax.name} stream") from reason
