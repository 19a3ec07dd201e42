"""`medproto audit` commands that keep the ledger: its keys, its anchors, its backups."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from audit.anchoring import anchor_checkpoint
from audit.cli_options import HOME, Home, Url, one_line, out
from audit.room import Actor, open_room
from audit.rotation import key_history, rotate_key

Why = Annotated[str, typer.Option("--why", help="Why, in words that name no patient.")]


@one_line
def key(
    home: Home = HOME,
    ledger: Url = None,
    every: Annotated[bool, typer.Option("--all", help="Every key so far, and the entries it signed.")] = False,
) -> None:
    """Print the public key: keep it elsewhere, and give it to whoever is to verify."""
    with open_room(home, ledger) as room:
        if not every:
            out().print(escape(room.public_key.vkey))
            return
        for period in key_history(room.ledger):
            until = f"to {period.last}" if period.last else "on, in force"
            out().print(f"{escape(period.key.vkey)} from entry {period.first} {until}")


@one_line
def rotate(
    why: Why,
    home: Home = HOME,
    ledger: Url = None,
    lost: Annotated[bool, typer.Option("--lost", help="The old private key is gone and cannot sign.")] = False,
) -> None:
    """Change the signing key: the old one signs in the new one, and nothing after it."""
    with open_room(home, ledger) as room:
        entry = rotate_key(room, why, _administrator(), lost)
        out().print(f"entry {entry.number}: the key was changed; from now on verify with")
        out().print(escape(room.public_key.vkey))
    out().print("Give it to whoever verifies, and restart what else has this ledger open.")


@one_line
def anchor(
    path: Annotated[Path, typer.Argument(help="File out of reach of whoever keeps the ledger; appended to.")],
    home: Home = HOME,
    ledger: Url = None,
) -> None:
    """Append the newest checkpoint to a file kept elsewhere, and log that it was."""
    with open_room(home, ledger) as room:
        entry = anchor_checkpoint(room, path, _administrator())
    out().print(f"{escape(str(path))}: the checkpoint over {entry.payload['size']} entries; logged as {entry.number}")


def _administrator() -> Actor:
    return Actor(getpass.getuser(), "administrator")
