"""Every transfer syntax is written so that whoever reads it gets the values back, or nearly where it is lossy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    UID,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from medproto.datasets.dicom_encoding import LOSSLESS, LOSSY, NATIVE, encode_pixels
from medproto.datasets.dicom_file import derived_uid, new_mammogram, save_mammogram, set_pixels, set_view
from medproto.errors import InputError
from medproto.ingest.decoding import decode, read_layout

ROWS, COLUMNS = 72, 50


def values(bits: int, signed: bool = False) -> NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]:
    """A smooth slope with some noise that reaches from almost the least to almost the greatest value."""
    slope = np.linspace(0.03, 0.97, ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    slope += np.random.default_rng(0).normal(0, 0.002, slope.shape)
    whole = np.rint(slope * (2**bits - 1)).astype(np.int64)
    if signed:
        return (whole - 2 ** (bits - 1)).astype(np.int16)
    return whole.astype(np.uint8) if bits == 8 else whole.astype(np.uint16)


def mammogram(pixels: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16], bits: int) -> Dataset:
    ds = new_mammogram()
    ds.SOPInstanceUID = derived_uid("encoding")
    set_view(ds, "CC", "SCT")
    set_pixels(ds, pixels, bits, (2.0 ** (bits - 1), 2.0**bits))
    return ds


def back(path: Path) -> NDArray[np.int64]:
    """Stored values of the file, by the reader."""
    ds = pydicom.dcmread(path)
    layout = read_layout(ds, ROWS * COLUMNS)
    stored = decode(ds, layout).stored.astype(np.int64)
    if layout.signed:
        stored[stored >= 1 << (layout.bits_stored - 1)] -= 1 << layout.bits_stored
    return stored


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("bits, signed", [(8, False), (10, False), (12, False), (14, False), (16, False), (16, True)])
def test_lossless_syntaxes_give_every_value_back(tmp_path: Path, syntax: UID, bits: int, signed: bool) -> None:
    pixels = values(bits, signed)
    save_mammogram(tmp_path / "a.dcm", mammogram(pixels, bits), syntax)
    np.testing.assert_array_equal(back(tmp_path / "a.dcm"), pixels)
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
def test_the_entries_of_a_lookup_table_follow_the_order_of_bytes(tmp_path: Path, syntax: UID) -> None:
    ds, item = mammogram(values(8), 8), Dataset()
    item.add_new("LUTDescriptor", "US", [3, 0, 16])
    item.add_new("LUTData", "OW", np.array([1, 258, 65535], "<u2").tobytes())
    ds.VOILUTSequence = Sequence([item])
    save_mammogram(tmp_path / "a.dcm", ds, syntax)
    written = pydicom.dcmread(tmp_path / "a.dcm")
    order = "<u2" if written.original_encoding[1] else ">u2"
    assert np.frombuffer(written.VOILUTSequence[0].LUTData, order).tolist() == [1, 258, 65535]


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEG2000Lossless], ids=lambda syntax: syntax.keyword)
def test_signs_of_fewer_bits_reach_other_readers_too(tmp_path: Path, syntax: UID) -> None:
    pixels = values(14, signed=True)
    save_mammogram(tmp_path / "a.dcm", mammogram(pixels, 14), syntax)
    np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "a.dcm").pixel_array, pixels)


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: syntax.keyword)
def test_lossy_syntaxes_come_near_and_say_that_they_are_lossy(tmp_path: Path, syntax: UID) -> None:
    bits = 8 if syntax == JPEGBaseline8Bit else 12
    pixels = values(bits)
    save_mammogram(tmp_path / "a.dcm", mammogram(pixels, bits), syntax)
    error = np.abs(back(tmp_path / "a.dcm") - pixels) / 2**bits
    assert 0 < error.max() < 0.02
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    assert ds.LossyImageCompression == "01"
    assert ds.LossyImageCompressionMethod.startswith("ISO_")
    assert float(ds.LossyImageCompressionRatio) > 1


@pytest.mark.parametrize("syntax, predictor", [(JPEGLossless, 4), (JPEGLosslessSV1, 1)])
def test_the_two_kinds_of_jpeg_lossless_differ_in_their_predictor(syntax: UID, predictor: int) -> None:
    ds = mammogram(values(12), 12)
    encode_pixels(ds, syntax)
    scan = ds.PixelData.index(b"\xff\xda")
    # ITU-T T.81 B.2.3: length, number of components, two bytes for the one component, predictor
    assert ds.PixelData[scan + 7] == predictor


def test_rpcl_streams_order_by_resolution_and_hold_their_lengths() -> None:
    ds = mammogram(values(12), 12)
    encode_pixels(ds, HTJ2KLosslessRPCL)
    # ISO/IEC 15444-1 A.6.1 and A.7.1: progression order 2 is RPCL, TLM holds the tile-part lengths
    assert ds.PixelData[ds.PixelData.index(b"\xff\x52") + 5] == 2
    assert b"\xff\x55" in ds.PixelData


@pytest.mark.parametrize(
    "syntax, bits, signed, reason",
    [
        (JPEGBaseline8Bit, 12, False, "got 12 bits stored, expected at most 8"),
        (JPEGExtended12Bit, 14, False, "got 14 bits stored, expected at most 12"),
        (JPEGExtended12Bit, 12, True, "got signed values, expected unsigned ones or lossless ones of all bits"),
        (JPEGLosslessSV1, 12, True, "got signed values, expected unsigned ones or lossless ones of all bits"),
        (MPEG2MPML, 12, False, "expected one of those that can be written"),
    ],
)
def test_what_a_syntax_cannot_hold_is_refused(syntax: UID, bits: int, signed: bool, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        encode_pixels(mammogram(values(bits, signed), bits), syntax)
