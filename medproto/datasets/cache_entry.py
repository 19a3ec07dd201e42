"""One cache entry as a file: a digest, the facts as JSON, then the arrays, aligned to be mapped.

The file is `medproto-cache 1`, newline, the SHA-256 in hex of all that follows it, newline, the length of the JSON in
ten digits, newline, the JSON, zeros up to a multiple of 64 bytes, then the arrays one after the other, each padded so.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

MAGIC: Final = b"medproto-cache 1\n"
_DIGEST_END: Final = len(MAGIC) + 65
_HEAD_BYTES: Final = _DIGEST_END + 11
_ALIGNMENT: Final = 64


@dataclass(frozen=True)
class Entry:
    """What was put under a key: plain facts, and arrays that are mapped and cannot be written to."""

    facts: Mapping[str, Any]
    arrays: Arrays


def pack(key: str, facts: Mapping[str, object], arrays: Arrays) -> bytes:
    """The bytes of an entry; facts are plain values, as JSON has them."""
    offsets, offset = dict[str, int](), 0
    for name, array in arrays.items():
        offsets[name] = offset
        offset += _padded(array.nbytes)
    table = {
        name: {"dtype": array.dtype.str, "shape": array.shape, "offset": offsets[name]}
        for name, array in arrays.items()
    }
    text = json.dumps({"key": key, "facts": facts, "arrays": table}, sort_keys=True).encode()
    start = _padded(_HEAD_BYTES + len(text))
    content = bytearray(start + offset)
    content[:_HEAD_BYTES] = MAGIC + b"0" * 64 + f"\n{len(text):010d}\n".encode()
    content[_HEAD_BYTES : _HEAD_BYTES + len(text)] = text
    for name, array in arrays.items():
        place = start + offsets[name]
        content[place : place + array.nbytes] = np.ascontiguousarray(array).tobytes()
    content[len(MAGIC) : _DIGEST_END - 1] = _digest(content)
    return bytes(content)


def write(made: Path, target: Path, content: bytes) -> None:
    """Write beside, sync, rename into place: no reader ever sees a part.

    Args:
        made: a name that no one else uses, on the same file system as `target`.

    Raises:
        OSError: nothing is left behind at either place.
    """
    try:
        handle = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        made.rename(target)
    finally:
        made.unlink(missing_ok=True)


def map_entry(handle: int, key: str) -> Entry | None:
    """The entry of an open file, mapped and checked against its digest; None where it is damaged or another's.

    Raises:
        OSError: the file cannot be mapped.
    """
    if os.fstat(handle).st_size < _HEAD_BYTES:
        return None
    content = memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
    if bytes(content[: _DIGEST_END - 1]) != MAGIC + _digest(content):
        return None
    # What the digest covers is what `pack` wrote, so that its form need not be doubted.
    length = int(content[_DIGEST_END:_HEAD_BYTES])
    head = json.loads(bytes(content[_HEAD_BYTES : _HEAD_BYTES + length]))
    if head["key"] != key:
        return None
    start = _padded(_HEAD_BYTES + length)
    arrays = {}
    for name, one in head["arrays"].items():
        count = int(np.prod(one["shape"], dtype=np.int64))
        flat = np.frombuffer(content, np.dtype(one["dtype"]), count, start + one["offset"])
        arrays[name] = flat.reshape(one["shape"])
    return Entry(head["facts"], arrays)


def _digest(content: bytes | bytearray | memoryview) -> bytes:
    return hashlib.sha256(memoryview(content)[_DIGEST_END:]).hexdigest().encode()


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
