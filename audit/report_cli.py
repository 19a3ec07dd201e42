"""The command `medproto report`: one entry in, one PDF out, and the export written down before the file exists."""

from __future__ import annotations

import getpass
import hashlib
import os
from pathlib import Path
from typing import Annotated

import typer

from audit import service
from audit.report import report_for
from audit.room import Actor, open_room
from medproto.errors import ReportError


def report(
    entry: Annotated[int, typer.Argument(help="Number of the ledger entry: a prediction or a refusal.", min=1)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the PDF goes.")],
    at: Annotated[
        int | None, typer.Option(min=1, help="As of a ledger of this many entries; a commit must have ended there.")
    ] = None,
    home: Annotated[
        Path, typer.Option(envvar="MEDPROTO_HOME", help="Directory with ledger, keys and evidence.")
    ] = Path("medproto-home"),
    url: Annotated[
        str | None,
        typer.Option(
            "--ledger", envvar="MEDPROTO_LEDGER_URL", help="Database of the ledger, where it is not in the home."
        ),
    ] = None,
) -> None:
    """Write the report of one ledger entry as a PDF, and the export with the PDF's digest into the ledger.

    The report prints how many entries the ledger had; the same entry at the same size gives the same bytes.
    """
    with open_room(home, url) as room:
        data = report_for(room, entry, at)
        digest = hashlib.sha256(data).hexdigest()
        part = _written_beside(output, data)
        exported = service.report_exported(room, entry, digest, Actor(getpass.getuser(), "reader"))
        os.replace(part, output)
    typer.echo(f"{output}: {len(data)} bytes, SHA-256 {digest}, export is entry {exported.number}")


def _written_beside(path: Path, data: bytes) -> Path:
    """The bytes on disk under a hidden name: what cannot be written is not written down as exported either.

    Raises:
        ReportError: the place cannot be written to.
    """
    if path.is_dir():
        raise ReportError(f"{path}: got a directory, expected the name of a file")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
    except OSError as err:
        raise ReportError(f"{path}: the report cannot be written there ({err.strerror})") from err
    return part
