"""A folder of results on disk: written whole or not at all, and never in place of anything else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medproto.errors import InputError


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, whose place it takes when all went well; else nothing is left of it.

    Raises:
        OSError: it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield draft
        os.chmod(draft, 0o755)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_replaceable(folder: Path, own: frozenset[str], option: str) -> None:
    """That nothing would be lost if this folder were written anew.

    Args:
        own: names of what an earlier run wrote into it.
        option: the option that named the folder, for the message.

    Raises:
        InputError: it is a file, holds anything else, or cannot be looked into.
    """
    try:
        foreign = folder.exists() and (not folder.is_dir() or bool({path.name for path in folder.iterdir()} - own))
    except OSError as err:
        raise unwritable(option, err) from err
    if foreign:
        raise InputError(
            f"{option}: got a place that holds something else, expected a new folder or one written before"
        )


def unwritable(option: str, err: OSError) -> InputError:
    """One sentence without the path."""
    return InputError(f"{option}: the folder cannot be written ({(err.strerror or 'input/output error').lower()})")
