"""What the commands of `medproto audit` share: where the room is, how an error ends, how things are printed."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from audit.room import Actor
from medproto.errors import LedgerTampered, MedprotoError

Home = Annotated[Path, typer.Option(envvar="MEDPROTO_HOME", help="Directory with ledger, keys and evidence.")]
Url = Annotated[
    str | None,
    typer.Option("--ledger", envvar="MEDPROTO_LEDGER_URL", help="Database URL, where it is not in the home."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HOME = Path("medproto-home")
_PIPE_COLUMNS = 160

_Params = ParamSpec("_Params")


def one_line(command: Callable[_Params, None]) -> Callable[_Params, None]:
    """Errors become one line on standard error: exit 1 for a tampered ledger, 2 for all else."""

    @functools.wraps(command)
    def run(*args: _Params.args, **kwargs: _Params.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except MedprotoError as err:
            Console(stderr=True, soft_wrap=True, highlight=False).print(escape(str(err)))
            raise typer.Exit(1 if isinstance(err, LedgerTampered) else 2) from err

    return run


def operator() -> Actor:
    """Who types the command: whoever reads the key file can do all, so the role says only where it was done."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have a number alone
        name = f"user {os.getuid()}"
    return Actor(name, "operator")


def out() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    # Without a terminal rich falls back to 80 columns, and a table in a file or a pipe would lose its words.
    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
