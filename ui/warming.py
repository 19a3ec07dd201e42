"""What pages are made of is loaded before the first of them is asked for, and never searched for garbage again.

Streamlit has Python search everything that is in memory after every run of a page, and nothing else runs meanwhile: of
the time that it takes to draw an exam that was a third, for modules that stay for as long as the server does.
"""

from __future__ import annotations

import functools
import gc
import threading
from importlib import import_module
from typing import Final

#: The pages that readers work on, and what Streamlit loads when it draws the first field that offers choices.
_LOADED: Final = ("ui.screens.worklist", "ui.screens.exam", "pandas")


_SERVES: Final = threading.Event()


def warm_up() -> None:
    """Load what readers' pages are made of, and take what is in memory by now out of all later searches."""
    for name in _LOADED:
        import_module(name)
    _SERVES.set()
    _take_out()


@functools.cache
def settle(page: str) -> None:
    """After a page was drawn for the first time, take out what that left in memory; nothing where nobody serves."""
    if _SERVES.is_set():
        _take_out()


def _take_out() -> None:
    gc.collect()
    gc.freeze()
