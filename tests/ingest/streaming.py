"""Mammograms whose compressed stream or raw bytes a test has changed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medproto.config import IngestSettings
from medproto.errors import UnreadableImage
from medproto.ingest.reading import read_mammogram
from tests.fuzz.seeds import ENCODERS
from tests.ingest.factory import Recipe, breast_values, mammogram_dataset

Change = Callable[[bytes], bytes]
Values = NDArray[Any]


def stream_of(syntax: str, values: Values | None = None) -> bytes:
    """The factory's picture in a compressed syntax."""
    return ENCODERS[syntax](breast_values() if values is None else values)


def with_pixel_data(path: Path, syntax: str, data: bytes, **elements: Any) -> Path:
    """A mammogram with these bytes as offset table and fragments."""
    dataset = mammogram_dataset(Recipe(syntax=syntax, elements=elements))
    # pydicom writes nothing that is out of order: the bytes are put in afterwards
    holder = encapsulate([b"HOLDER"])
    dataset.add_new("PixelData", "OB", holder)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes().replace(holder, data))
    return path


def with_stream(path: Path, syntax: str, stream: bytes, **elements: Any) -> Path:
    """A mammogram with this compressed stream."""
    return with_pixel_data(path, syntax, encapsulate([stream]), **elements)


def deflated(path: Path, plain: Change) -> Path:
    """A deflated mammogram whose inflated data set a test has changed."""
    dataset = mammogram_dataset(Recipe(syntax=DeflatedExplicitVRLittleEndian))
    dataset.save_as(path, enforce_file_format=True)
    data = path.read_bytes()
    start = 144 + struct.unpack("<I", data[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = plain(zlib.decompress(data[start:], -zlib.MAX_WBITS))
    path.write_bytes(data[:start] + packer.compress(body) + packer.flush())
    return path


def unreadable(path: Path, words: str, settings: IngestSettings = IngestSettings()) -> str:  # noqa: B008
    """Code with which a file cannot be read, for a reason in these words."""
    with pytest.raises(UnreadableImage, match=words) as err:
        read_mammogram(path, settings)
    return err.value.code


def after(stream: bytes, marker: int, offset: int, new: bytes) -> bytes:
    """The stream with other bytes so far behind a marker's first byte."""
    at = stream.index(bytes((0xFF, marker))) + offset
    return stream[:at] + new + stream[at + len(new) :]


def blank(rows: int, columns: int) -> Values:
    """Stored values of nothing."""
    return np.zeros((rows, columns), np.uint16)
