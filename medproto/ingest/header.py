"""Header elements as plain values: absent, malformed and foreign types all become "not there"."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

#: What pydicom raises when the bytes of one element do not fit its type.
MALFORMED = (
    ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, NotImplementedError, EOFError,
    RecursionError, OSError, BytesLengthException,
)  # fmt: skip
#: Loggers of pydicom; a filter does not reach the loggers below its own.
LOGGERS = tuple(map(logging.getLogger, ("pydicom", "pydicom.pixels.decoders.base", "pydicom.pixels.utils")))
#: What the hushed block that is running in this thread has kept back.
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Listener(logging.Filter):
    """Takes log records of a hushed block to its list."""

    def filter(self, record: logging.LogRecord) -> bool:
        heard = _heard.get()
        if heard is None:
            return True
        heard.append(record.getMessage())
        return False


class _WhileHushed(type):
    """Every warning of a hushed block is a subclass."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        return _heard.get() is not None


class _Hushed(Warning, metaclass=_WhileHushed):
    """The category of all warnings that are given in a hushed block."""


_LISTENER = _Listener()


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Keep pydicom's warnings from the terminal and the log: they repeat values, and a value can name the patient.

    Yields the messages that were kept back. Only the calling thread is hushed: `warnings.catch_warnings` and
    `Logger.disabled` change the whole process, and a second thread's exit would undo them.
    """
    _install()
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def _install() -> None:
    """Put listener and filter in place, where they are not already; they let through what no block hushes."""
    for logger in LOGGERS:
        # a filter that is already there is not added again
        logger.addFilter(_LISTENER)
    if not warnings.filters or warnings.filters[0][2] is not _Hushed:
        warnings.simplefilter("ignore", _Hushed)


def raw(header: Dataset, keyword: str) -> Any:
    """Whatever the element holds; None where it is absent or its bytes do not fit its type."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in header:
        # most of what is asked for is not there, and pydicom takes its time to say so
        return None
    with quiet():
        try:
            return header[tag].value
        except MALFORMED:
            return None


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence."""
    value = raw(header, keyword)
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, Sequence) else []


def text(header: Dataset, keyword: str) -> str:
    """A single text in capitals without surrounding blanks."""
    value = raw(header, keyword)
    return value.strip().upper() if isinstance(value, str) else ""


def texts(header: Dataset, keyword: str) -> list[str]:
    """Texts of a multi-valued element, in capitals."""
    value = raw(header, keyword)
    found = [value] if isinstance(value, str) else value if isinstance(value, MultiValue) else []
    return [one.strip().upper() for one in found if isinstance(one, str)]


def numbers(header: Dataset, keyword: str) -> list[float]:
    """Finite numbers of an element; empty where one of them is not a number."""
    value = raw(header, keyword)
    found = value if isinstance(value, MultiValue | list | tuple | np.ndarray) else [] if value is None else [value]
    if any(isinstance(one, BaseTag) for one in found):
        # of VR AT, which names an element and no amount
        return []
    try:
        plain = [float(one) for one in found]
    except (TypeError, ValueError):
        return []
    return plain if all(map(math.isfinite, plain)) else []


def number(header: Dataset, keyword: str, default: float) -> float:
    """A finite number, or the default."""
    found = numbers(header, keyword)
    return found[0] if len(found) == 1 else default


def whole(header: Dataset, keyword: str) -> int | None:
    """A whole number."""
    value = raw(header, keyword)
    return int(value) if isinstance(value, int) and not isinstance(value, BaseTag) else None
