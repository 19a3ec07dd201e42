"""The options of the cache of read images, alike in every command that reads many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medproto.datasets.cache import CacheSettings, default_folder

CacheFolder = Annotated[
    Path | None,
    typer.Option("--cache", envvar="MEDPROTO_CACHE", help="Where read images are kept; else the user's cache folder."),
]
CacheBytes = Annotated[
    int, typer.Option(min=0, envvar="MEDPROTO_CACHE_BYTES", help="How large it may grow; 0 reads every file anew.")
]


def cache_of(folder: Path | None, cache_bytes: int) -> CacheSettings | None:
    """The cache that these options ask for."""
    return CacheSettings(folder=folder or default_folder(), cache_bytes=cache_bytes) if cache_bytes else None
