"""Canonical JSON: one spelling for each value, so that the bytes that are stored are the bytes that are hashed.

In the manner of RFC 8785: keys sorted, no white space, UTF-8, its escapes for strings, no NaN or infinity. It departs
from it twice, so that every value comes back as it went in: whole numbers keep all their digits, and a float is
written as Python's shortest text that reads back the same (`1.0`, `1e-07`), never as a whole number. Minus zero is
written as `0.0`: two spellings of equal numbers would be two hashes.

orjson does the work where it writes what this form asks for, which is nearly always; the standard library decides
everywhere else, and it alone says what is wrong.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from medproto.errors import AuditError


def canonical_bytes(value: object) -> bytes:
    """Canonical JSON of a value made of objects with text keys, sequences, text, numbers, booleans and None.

    Raises:
        AuditError: a value has no canonical form; the message names its place, never its content.
    """
    try:
        return _written(value if _is_plain(value) else _plain(value, "$"))
    except UnicodeEncodeError as err:
        raise AuditError("canonical JSON: got a lone surrogate in a text, expected Unicode characters") from err
    except RecursionError as err:
        raise AuditError("canonical JSON: got a value that is nested too deeply") from err


def parse(data: bytes) -> Any:
    """Read canonical JSON; anything that is not exactly what `canonical_bytes` writes is an AuditError."""
    try:
        value = orjson.loads(data)
        if _quick_dumps(value) == data:
            return value
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass  # no verdict: whole numbers above 64 bits or deep nesting are canonical all the same
    return _parse_slowly(data)


def _parse_slowly(data: bytes) -> Any:
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        same = _dumps(value) == data
    except (ValueError, RecursionError) as err:
        # ValueError is also UnicodeDecodeError, JSONDecodeError and a number of too many digits.
        raise AuditError("canonical JSON: got bytes that are not JSON in UTF-8") from err
    if not same:
        raise AuditError("canonical JSON: got another spelling of the value, expected the canonical one")
    return value


def _written(value: object) -> bytes:
    """Canonical JSON of plain values."""
    try:
        written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return _dumps(value)
    return _dumps(value) if _spelled_otherwise(written) else written


def _quick_dumps(value: object) -> bytes:
    """Canonical JSON of plain values by orjson; JSONEncodeError where it cannot write one of them.

    Its floats read back the same and are shortest too, but some are spelled otherwise: those are written again. Where
    that touches a text which looks like a number the outcome is not canonical, and never equal to bytes of that value.
    """
    written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return _FLOAT.sub(_respelled, written) if _spelled_otherwise(written) else written


def _spelled_otherwise(written: bytes) -> bool:
    """Whether orjson may have written a float as Python does not: 0.00001 and 1e-7 for 1e-05 and 1e-07, or -0.0."""
    minus_zero = b"-0.0" in written and _MINUS_ZERO.search(written)
    return bool(minus_zero or b"0.0000" in written or _EXPONENT.search(written))


def _respelled(number: re.Match[bytes]) -> bytes:
    return repr(float(number[0]) + 0.0).encode()


def _dumps(value: object) -> bytes:
    return _ENCODER.encode(value).encode("utf-8")


def _is_plain(value: object) -> bool:
    """Whether the value can be written as it is: of nothing but plain types, each in its one form."""
    if type(value) in _AS_THEY_ARE:
        return True
    if type(value) is float:
        return math.isfinite(value) and (value != 0 or math.copysign(1, value) > 0)
    if type(value) is dict:
        return all(type(key) is str and key.isascii() and _is_plain(item) for key, item in value.items())
    return type(value) in (list, tuple) and isinstance(value, Sequence) and all(map(_is_plain, value))


def _plain(value: object, place: str) -> object:
    """The value in plain types; json.dumps alone would turn number keys into text and let duplicates through."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise AuditError(f"canonical JSON: got a number that is not finite at {place}")
        return float(value) + 0.0  # -0.0 + 0.0 is 0.0
    if isinstance(value, Mapping):
        return {_key(key, place): _plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
    raise AuditError(f"canonical JSON: got {type(value).__name__} at {place}, expected plain values")


def _key(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise AuditError(f"canonical JSON: got a key of type {type(key).__name__} at {place}, expected text")
    if not key.isascii() and max(key) > "\uffff":
        # Above U+FFFF the order of code points and of UTF-16 units (RFC 8785) differ: refused rather than chosen.
        raise AuditError(f"canonical JSON: got a key with a character above U+FFFF at {place}")
    return key


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or (value == 0 and text.startswith("-")):
        raise ValueError("not a finite number in its one spelling")
    return value


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
# A number ends before one of these, or where the text ends.
_EXPONENT = re.compile(rb"e[-+]?[0-9]{1,3}(?![^,}\]])")
_MINUS_ZERO = re.compile(rb"-0\.0(?![^,}\]])")
_FLOAT = re.compile(rb"(?<![^:,\[])-?[0-9]+(?:\.[0-9]+(?:e[-+]?[0-9]+)?|e[-+]?[0-9]+)(?![^,}\]])")
# Made once: json.dumps and json.loads would build both anew for every entry of a verification.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
