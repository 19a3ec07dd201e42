"""One process at a time: a lock on a file that is made for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medproto.errors import LedgerUnavailable


@contextmanager
def one_at_a_time(path: Path, refused: str) -> Iterator[None]:
    """Wait until no other process is here, and keep them out until this one is through.

    Args:
        path: the file to lock; it is made where it is absent.
        refused: how the sentence begins where it cannot be.

    Raises:
        LedgerUnavailable: the file cannot be made or opened.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as err:
        raise LedgerUnavailable(f"{refused} ({err.strerror})") from err
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
