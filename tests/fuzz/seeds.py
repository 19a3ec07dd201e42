"""Whole files to start from: small mammograms of every transfer syntax and every kind of header, and real ones.

Real files are thinned to a few hundred pixels and encoded again in their own syntax: their headers are what counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.sequence import Sequence

from tests.ingest.factory import Recipe, breast_values, code, lut, mammogram_dataset

Values = NDArray[Any]
Encoder = Callable[[Values], bytes]


class Seed(NamedTuple):
    """A whole file; its name says what is special about it."""

    name: str
    syntax: str
    data: bytes


def _j2k(values: Values, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(values, codecformat="j2k", **options))


def _ht(values: Values, **options: Any) -> bytes:
    return bytes(imagecodecs.htj2k_encode(values, **options))


def _rle(values: Values) -> bytes:
    bits = 8 * values.itemsize
    layout = {"rows": values.shape[0], "columns": values.shape[1], "bits_allocated": bits, "bits_stored": bits}
    grey = {"samples_per_pixel": 1, "photometric_interpretation": "MONOCHROME2", "pixel_representation": 0}
    return RLELosslessEncoder.encode(values.tobytes(), number_of_frames=1, **layout, **grey)


#: How each compressed syntax is written.
ENCODERS: dict[str, Encoder] = {
    uid.RLELossless: _rle,
    uid.JPEGBaseline8Bit: partial(imagecodecs.jpeg8_encode, level=90),
    uid.JPEGExtended12Bit: partial(imagecodecs.jpeg8_encode, level=90, bitspersample=12),
    uid.JPEGLossless: partial(imagecodecs.jpeg8_encode, lossless=True, bitspersample=12, predictor=5),
    uid.JPEGLosslessSV1: partial(imagecodecs.jpeg8_encode, lossless=True, bitspersample=12, predictor=1),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEGLSNearLossless: partial(imagecodecs.jpegls_encode, level=3),
    uid.JPEG2000Lossless: partial(_j2k, level=0, reversible=True, bitspersample=12),
    uid.JPEG2000: partial(_j2k, level=38, reversible=False, bitspersample=12),
    uid.HTJ2KLossless: partial(_ht, reversible=True),
    uid.HTJ2KLosslessRPCL: partial(_ht, reversible=True, tile=(64, 64)),
    uid.HTJ2K: partial(_ht, reversible=False),
}  # fmt: skip
MONOCHROME1 = {"PhotometricInterpretation": "MONOCHROME1"}
EIGHT_BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "WindowCenter": "128", "WindowWidth": "256"}
MODALITY_LUT = Sequence([lut([(place * 16) ^ 5 for place in range(4096)], 0)])
VOI_LUTS = Sequence([lut(list(range(0, 4096, 2)), 100, 12, "NORMAL"), lut([0, 9, 90, 900], 1000, 10, "HARDER")])


def made_seeds() -> list[Seed]:
    """Files that the factory writes: every syntax, with headers that take different ways through the pipeline."""
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("voi-luts", uid.ImplicitVRLittleEndian, {"VOILUTSequence": VOI_LUTS}),
        ("plain", uid.ExplicitVRLittleEndian, {}),
        ("modality-lut", uid.ExplicitVRLittleEndian, {"ModalityLUTSequence": MODALITY_LUT}),
        ("bytes", uid.ExplicitVRLittleEndian, EIGHT_BITS),
        ("inverted", uid.ExplicitVRBigEndian, {**MONOCHROME1, "VOILUTFunction": "SIGMOID"}),
        ("no-voi", uid.DeflatedExplicitVRLittleEndian, {"WindowCenter": None, "WindowWidth": None}),
        ("exact", uid.RLELossless, {"VOILUTFunction": "LINEAR_EXACT", "PixelPaddingValue": 0}),
        ("bytes", uid.RLELossless, EIGHT_BITS),
        ("bytes", uid.JPEGBaseline8Bit, EIGHT_BITS),
        ("windows", uid.JPEGExtended12Bit, {"WindowCenter": [900, 2000], "WindowWidth": [900, 3000]}),
        ("rescaled", uid.JPEGLossless, {"RescaleSlope": "0.5", "RescaleIntercept": "-10", "RescaleType": "US"}),
        ("views", uid.JPEGLosslessSV1, {"ViewCodeSequence": code("399368009", "399163009")}),
        ("inverse", uid.JPEGLSLossless, {**MONOCHROME1, "PresentationLUTShape": "INVERSE"}),
        ("no-voi", uid.JPEGLSNearLossless, {"WindowCenter": None, "WindowWidth": None, "PixelPaddingValue": 3}),
        ("plain", uid.JPEG2000Lossless, {}),
        ("lossy", uid.JPEG2000, {"VOILUTFunction": "SIGMOID"}),
        ("plain", uid.HTJ2KLossless, {}),
        ("tiles", uid.HTJ2KLosslessRPCL, {"WindowCenter": "1500.5", "WindowWidth": "2001"}),
        ("lossy", uid.HTJ2K, {}),
    ]  # fmt: skip
    seeds = [_written(name, syntax, elements) for name, syntax, elements in kinds]
    signed = mammogram_dataset(Recipe(values=breast_values().astype(np.int16) - np.int16(1000)))
    signed.WindowCenter = "1000"
    overlays = mammogram_dataset(Recipe(values=breast_values() | np.uint16(0xA000)))
    return [*seeds, _saved("signed", signed), _saved("overlays", overlays)]


def real_seeds(files: list[Path], longest: int = 200) -> list[Seed]:
    """Real files, thinned to at most `longest` pixels a side and written again in their own syntax."""
    seeds = []
    for path in files:
        dataset = pydicom.dcmread(path)
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            seeds.append(Seed(path.stem, syntax, path.read_bytes()))
            continue
        step = -(-max(dataset.Rows, dataset.Columns) // longest)
        values = np.ascontiguousarray(dataset.pixel_array[::step, ::step])
        dataset.Rows, dataset.Columns = values.shape
        seeds.append(_saved(path.stem, dataset, values))
    return seeds


def real_files(shared: Path | None, cases: Path | None) -> list[Path]:
    """The real files that are there."""
    found = sorted(shared.glob("dicom/*.dcm")) + sorted(shared.glob("cbis-ddsm/*.dcm"))[:1] if shared else []
    return found + (sorted(cases.rglob("*.dcm"))[:1] if cases else [])


def _written(name: str, syntax: str, elements: dict[str, Any]) -> Seed:
    values = breast_values()
    if elements.get("BitsAllocated") == 8:
        values = (values >> 4).astype(np.uint8)
    return _saved(name, mammogram_dataset(Recipe(syntax=syntax, elements=elements)), values)


def _saved(name: str, dataset: Dataset, values: Values | None = None) -> Seed:
    """The seed of a dataset, with these stored values in the dataset's own syntax."""
    syntax = uid.UID(dataset.file_meta.TransferSyntaxUID)
    # chance has one owner, and it is not here
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.826.0.1.1", "1.2.826.0.1.2"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if values is not None and syntax in ENCODERS:
        dataset.add_new("PixelData", "OB", encapsulate([ENCODERS[syntax](values)]))
        dataset["PixelData"].is_undefined_length = True
    elif values is not None:
        dataset.add_new("PixelData", "OW", values.astype(values.dtype.newbyteorder("<")).tobytes())
        if syntax == uid.ExplicitVRBigEndian and values.itemsize == 2:
            dataset["PixelData"].value = values.astype(">u2").tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer,
        dataset,
        enforce_file_format=True,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
    )
    return Seed(name, str(syntax), buffer.getvalue())
