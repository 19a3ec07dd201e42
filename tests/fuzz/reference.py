"""The plain pipeline: pydicom's parser, other decoders than medproto's, and the standard's formulas pixel by pixel.

It is strict and slow. Whatever it cannot read raises, and a reader that admits such a file is wrong. Where the standard
is silent it does as medproto says it does: the first LUT or else the first window is used; VOI LUTs are scaled from
their least to their greatest entry; padding is as dark as the darkest value that can be stored; without VOI the window
is percentiles 0.5 to 99.5 of the values inside the breast.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder

Values = NDArray[np.float64]

#: pydicom's plugins that medproto does not use first, or none of them where pydicom has no working one.
PLUGINS = {
    uid.RLELossless: "pydicom", uid.JPEGBaseline8Bit: "pillow", uid.JPEGLossless: "gdcm", uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "gdcm", uid.JPEGLSNearLossless: "gdcm", uid.JPEG2000Lossless: "pillow", uid.JPEG2000: "pillow",
}  # fmt: skip
OTHERS = {
    uid.JPEGExtended12Bit: imagecodecs.jpeg8_decode, uid.HTJ2KLossless: imagecodecs.htj2k_decode,
    uid.HTJ2KLosslessRPCL: imagecodecs.htj2k_decode, uid.HTJ2K: imagecodecs.htj2k_decode,
}  # fmt: skip
#: Syntaxes whose decoders may differ by one level of 14 bits: their arithmetic is not fixed by the standard.
ROUNDED = (uid.HTJ2K,)
#: Syntaxes whose values may lie a little beyond the bits stored; they are shown as they are.
LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K)


class Bounds(NamedTuple):
    """Least and greatest value that each pixel may have, shape (rows, columns)."""

    low: Values
    high: Values


def reference(data: bytes, breast: NDArray[np.bool_]) -> Bounds:
    """What the file's pixels are, once they are known to show a breast; the same bounds where decoding is exact."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    stored = _stored(dataset)
    least, most = _range(dataset)
    if stored.min() < least or stored.max() > most:
        # what lossy coding added needs one bit more
        dataset.BitsStored += 1
    off = max(1, 1 << dataset.BitsStored >> 14)
    levels = (-off, 0, off) if dataset.file_meta.TransferSyntaxUID in ROUNDED else (0,)
    near = [np.clip(stored + level, *_range(dataset)) for level in levels]
    # each end of a window over the breast may be off by a level of its own
    lows, highs = (set(ends) for ends in zip(*(_percentile_window(one, dataset, breast) for one in near), strict=True))
    shown = [_shown(one, dataset, (low, high)) for one in near for low in lows for high in highs]
    return Bounds(np.min(shown, axis=0), np.max(shown, axis=0))


def _range(dataset: Dataset) -> tuple[int, int]:
    bits = dataset.BitsStored
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if dataset.PixelRepresentation else (0, (1 << bits) - 1)


def _stored(dataset: Dataset) -> Values:
    """Stored values, with their sign (PS3.3 C.7.6.3, PS3.5 8.1.1)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        array = _uncompressed(dataset, syntax)
    elif syntax in OTHERS:
        array = strictly_decoded(OTHERS[syntax], get_frame(dataset.PixelData, 0, number_of_frames=1))
    else:
        array, _ = get_decoder(syntax).as_array(dataset, index=0, raw=True, decoding_plugin=PLUGINS[syntax])
    if array.shape != (dataset.Rows, dataset.Columns):
        raise ValueError(f"shape: got {array.shape}, expected {dataset.Rows} x {dataset.Columns}")
    if dataset.HighBit != dataset.BitsStored - 1:
        raise ValueError("PS3.3 C.8.11.3: the high bit is one less than the bits stored")
    if syntax in LOSSY and (array.dtype.kind == "i") == bool(dataset.PixelRepresentation):
        return array.astype(np.float64)
    patterns = array.astype(np.int64) & 0xFFFF
    patterns &= (1 << dataset.BitsStored) - 1
    if dataset.PixelRepresentation:
        patterns = np.where(patterns >> (dataset.BitsStored - 1), patterns - (1 << dataset.BitsStored), patterns)
    return patterns.astype(np.float64)


def _uncompressed(dataset: Dataset, syntax: uid.UID) -> NDArray[Any]:
    """Bytes or words of the first frame, in the order of the file (PS3.5 8.1.1, 8.2)."""
    if dataset.SamplesPerPixel != 1 or dataset.PixelRepresentation not in (0, 1):
        raise ValueError("one sample a pixel, with or without sign, is expected")
    swapped = not syntax.is_little_endian and dataset["PixelData"].VR == "OW"
    data = dataset.PixelData + b"\0" * (len(dataset.PixelData) % 2)
    words = np.frombuffer(data, ">u2" if swapped else "<u2").astype("<u2")
    values = words if dataset.BitsAllocated == 16 else words.view(np.uint8)
    return values[: dataset.Rows * dataset.Columns].reshape(dataset.Rows, dataset.Columns)


def strictly_decoded(decode: Callable[[bytes], NDArray[Any]], frame: bytes) -> NDArray[Any]:
    """What the decoder makes of the frame; an error that it swallows is one all the same."""
    swallowed: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, swallowed.append
    try:
        array = decode(frame)
    finally:
        sys.unraisablehook = before
    if swallowed:
        raise ValueError("the decoder swallowed an error")
    return array


def _percentile_window(stored: Values, dataset: Dataset, breast: NDArray[np.bool_]) -> tuple[float, float]:
    """The window of an image that stores none."""
    return _percentiles(_modality(stored, dataset), dataset, breast & ~_padding(stored, dataset))


def _shown(stored: Values, dataset: Dataset, window: tuple[float, float]) -> Values:
    """Modality, VOI, inversion, in this order (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2), and padding."""
    every = np.arange(_range(dataset)[0], _range(dataset)[1] + 1, dtype=np.float64)
    padded, never = _padding(stored, dataset), _padding(every, dataset)
    final = _final(stored, dataset, window)
    if padded.any() and not never.all():
        final[padded] = _final(every[~never], dataset, window).min()
    return final


def _final(stored: Values, dataset: Dataset, window: tuple[float, float]) -> Values:
    shown = _voi(_modality(stored, dataset), dataset, window)
    return 1.0 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown


def _padding(stored: Values, dataset: Dataset) -> NDArray[np.bool_]:
    """PS3.3 C.7.5.1.1.2: the value, or all from it to the range's limit, whichever is greater."""
    if dataset.get("PixelPaddingValue") in (None, ""):
        return np.zeros(stored.shape, np.bool_)
    first = int(dataset.PixelPaddingValue)
    limit = dataset.get("PixelPaddingRangeLimit")
    last = first if limit in (None, "") else int(limit)
    return np.asarray((stored >= min(first, last)) & (stored <= max(first, last)))


def _modality(stored: Values, dataset: Dataset) -> Values:
    if dataset.get("ModalityLUTSequence"):
        entries, first = _lut(dataset.ModalityLUTSequence[0])
        return entries[np.clip(stored.astype(np.int64) - first, 0, len(entries) - 1)]
    return stored * _number(dataset, "RescaleSlope", 1.0) + _number(dataset, "RescaleIntercept", 0.0)


def _voi(values: Values, dataset: Dataset, window: tuple[float, float]) -> Values:
    if dataset.get("VOILUTSequence"):
        entries, first = _lut(dataset.VOILUTSequence[0])
        shown = entries[np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)]
        return np.asarray((shown - entries.min()) / (entries.max() - entries.min()))
    centres, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    if len(centres) != len(widths):
        raise ValueError("as many window centres as widths are expected")
    if not centres:
        low, high = window
        return np.clip((values / (2**dataset.BitsStored - 1) - low) / (high - low), 0.0, 1.0)
    return _windowed(values, centres[0], widths[0], dataset.get("VOILUTFunction") or "LINEAR")


def _windowed(values: Values, centre: float, width: float, function: str) -> Values:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2 with output from 0 to 1."""
    if function == "SIGMOID" and width > 0:
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width)))
    if function == "LINEAR_EXACT" and width > 0:
        # from the centre, where a width too small to move the centre's own float still parts below from above
        beyond = values - centre
        with np.errstate(over="ignore"):
            inside = beyond / width + 0.5
            # twice a number is exact; half of the smallest is nothing
            below, above = 2 * beyond <= -width, 2 * beyond > width
        return np.where(below, 0.0, np.where(above, 1.0, inside))
    if function == "LINEAR" and width >= 1:
        shift, span = centre - 0.5, width - 1.0
        inside = (values - shift) / (span or 1.0) + 0.5
        return np.where(values <= shift - span / 2, 0.0, np.where(values > shift + span / 2, 1.0, inside))
    raise ValueError(f"no window: {function} of width {width}")


def _percentiles(values: Values, dataset: Dataset, breast: NDArray[np.bool_]) -> tuple[float, float]:
    if not breast.any():
        return 0.0, 1.0
    inside = values[breast] / (2**dataset.BitsStored - 1)
    low, high = np.percentile(inside, [0.5, 99.5], method="inverted_cdf")
    return (float(low), float(high)) if high > low else (0.0, 1.0)


def _lut(item: Dataset) -> tuple[NDArray[Any], int]:
    """Entries and first mapped value (PS3.3 C.11.1.1)."""
    length, first, bits = (int(one) for one in item.LUTDescriptor)
    if not 1 <= bits <= 16:
        raise ValueError("a LUT's entries have 1 to 16 bits")
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if item.is_little_endian is not False else ">u2")
    entries = np.atleast_1d(np.asarray(data, np.float64))
    length = length or 65536
    if len(entries) < length:
        raise ValueError("a LUT has fewer entries than it says")
    return entries[:length], first


def _number(dataset: Dataset, keyword: str, default: float) -> float:
    numbers = _numbers(dataset, keyword)
    if len(numbers) > 1:
        raise ValueError(f"{keyword} has several values")
    return numbers[0] if numbers else default


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Numbers of an element; none where it is absent or empty, an error where one is not a finite number."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    numbers = [float(one) for one in (value if dataset[keyword].VM > 1 else [value])]
    if not np.isfinite(numbers).all():
        raise ValueError(f"{keyword} is not finite")
    return numbers
