"""Torch's word on memory, turned into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medproto.errors import TrainingError


@contextmanager
def memory_suffices(sentence: str) -> Iterator[None]:
    """Turn what is raised where memory ran out into that sentence.

    Raises:
        TrainingError: the memory does not suffice.
    """
    try:
        yield
    except MemoryError as err:  # of numpy
        raise TrainingError(sentence) from err
    except RuntimeError as err:
        # the processor's allocator has no error of its own
        if not (isinstance(err, torch.OutOfMemoryError) or "can't allocate memory" in str(err)):
            raise
        raise TrainingError(sentence) from err
