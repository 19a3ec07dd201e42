"""Canonical JSON: one spelling, nothing lost, everything else refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import _parse_slowly, canonical_bytes, parse
from medproto.errors import AuditError

KEYS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(VALUES)
def test_a_value_comes_back_as_it_went_in(value: Any) -> None:
    written = canonical_bytes(value)
    assert parse(written) == value
    assert canonical_bytes(parse(written)) == written


def read_by(reader: Callable[[bytes], Any], data: bytes) -> str:
    """What a reader makes of these bytes, types and all, or its words."""
    try:
        return repr(reader(data))
    except AuditError as err:
        return f"refused: {err}"


#: Numbers that readers spell in different ways, also as texts, which must stay as they are.
NUMBERS = st.sampled_from(
    [
        "1e-05",
        "1e-5",
        "0.00001",
        "1.5e-07",
        "1.5e-7",
        "0.0001",
        "1e16",
        "1e+16",
        "10000000000000000.0",
        "1.5e+300",
        "5e-324",
        "-0.0",
        "0.0",
        "-0",
        "-1e-7",
        "1E5",
        "9223372036854775808",
        "18446744073709551616",
        "1.8446744073709552e+19",
        "0.1e1",
        "00",
        "1.",
        "1e-10",
    ]
)
SPELLED = st.lists(NUMBERS | NUMBERS.map('"{}"'.format) | NUMBERS.map('"a,{},"'.format), max_size=4).map(",".join)


@given(SPELLED.map("[{}]".format) | SPELLED.map('{{"a":[{}]}}'.format) | NUMBERS)
def test_the_quick_reading_judges_every_number_as_the_slow_one(text: str) -> None:
    assert read_by(parse, text.encode()) == read_by(_parse_slowly, text.encode())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_written_as_python_writes_it(value: float) -> None:
    assert canonical_bytes([value]) == f"[{value + 0.0!r}]".encode()
    assert read_by(parse, canonical_bytes([value])) == f"[{value + 0.0!r}]"


@given(VALUES, st.binary(max_size=3), st.data())
def test_the_quick_reading_judges_altered_bytes_as_the_slow_one(value: Any, new: bytes, data: st.DataObject) -> None:
    written = canonical_bytes(value)
    start = data.draw(st.integers(0, len(written)))
    stop = data.draw(st.integers(start, min(start + 3, len(written))))
    altered = written[:start] + new + written[stop:]
    assert read_by(parse, altered) == read_by(_parse_slowly, altered)


@given(VALUES)
def test_an_independent_reader_reads_the_same(value: Any) -> None:
    assert json.loads(canonical_bytes(value)) == value


@given(VALUES, st.data())
def test_a_flipped_bit_is_refused_or_another_value(value: Any, data: st.DataObject) -> None:
    written = canonical_bytes(value)
    place = data.draw(st.integers(0, len(written) * 8 - 1))
    flipped = bytearray(written)
    flipped[place // 8] ^= 1 << place % 8
    try:
        read = parse(bytes(flipped))
    except AuditError:
        return
    assert canonical_bytes(read) == bytes(flipped) != written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": 2, "A": 3}, b'{"A":3,"a":2,"b":1}'),
        ((1, [2, ()]), b"[1,[2,[]]]"),
        (2**70, b"1180591620717411303424"),
        (1.0, b"1.0"),
        (0.1 + 0.2, b"0.30000000000000004"),
        (5e-324, b"5e-324"),
        (-0.0, b"0.0"),
        ('ä"\\\n\x01\x7f🎗', '"ä\\"\\\\\\n\\u0001\x7f🎗"'.encode()),
        (True, b"true"),
    ],
)
def test_spelling(value: object, written: bytes) -> None:
    assert canonical_bytes(value) == written


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "not finite at \\$"),
        ({"a": [float("inf")]}, "not finite at \\$.a\\[0\\]"),
        ({1: 2}, "key of type int"),
        ({"🎗": 1}, "above U\\+FFFF"),
        (b"bytes", "got bytes at"),
        ("\ud800", "lone surrogate"),
        ({1, 2}, "got set at"),
    ],
)
def test_what_has_no_canonical_form_is_refused(value: object, words: str) -> None:
    with pytest.raises(AuditError, match=words):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "data",
    [b'{"a":1,"a":1}', b'{"b":1,"a":2}', b"[1, 2]", b"1.50", b"1e5", b"-0.0", b"-0", b'"\\u00e4"', b" 1", b"1\n"],
)
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(AuditError, match="canonical JSON"):
        parse(data)


@pytest.mark.parametrize("data", [b"", b"NaN", b"[Infinity]", b"1e999", b"\xff", b"{", b"[" * 100_000, b"9" * 5000])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(AuditError, match="not JSON in UTF-8"):
        parse(data)


def test_a_value_nested_too_deeply_is_refused() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(AuditError, match="nested too deeply"):
        canonical_bytes(value)
