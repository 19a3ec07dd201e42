"""`medproto audit` commands that keep the ledger: its keys, its anchors, its backups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from audit.anchoring import anchor_checkpoint
from audit.backup import make_backup
from audit.cli_options import HOME, Home, Url, one_line, operator, out
from audit.database import REVISION
from audit.findings import span
from audit.ledger import open_ledger
from audit.restoring import RestoreOrder, restore
from audit.room import LEDGER_FILE, open_room
from audit.rotation import key_history, rotate_key
from audit.signing import PublicKey
from audit.upgrading import derive_again

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
        entry = rotate_key(room, why, operator(), lost)
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
        entry = anchor_checkpoint(room, path, operator())
    out().print(f"{escape(str(path))}: the checkpoint over {entry.payload['size']} entries; logged as {entry.number}")


@one_line
def backup(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="New directory of the backup.")],
    home: Home = HOME,
    ledger: Url = None,
    anchors: Annotated[list[Path] | None, typer.Option(help="File of checkpoints to keep with it.")] = None,
    private_key: Annotated[bool, typer.Option("--with-private-key", help="Also the key that signs.")] = False,
) -> None:
    """Back up ledger, evidence and public keys while the ledger is in use."""
    with open_room(home, ledger) as room:
        made = make_backup(room, folder, anchors or (), private_key)
    out().print(f"{escape(str(folder))}: {made.head.size} entries, root {made.head.root}")
    out().print("It holds patients' identifiers: keep it as the ledger itself.")


@one_line
def upgrade(
    home: Home = HOME,
    ledger: Url = None,
    anew: Annotated[bool, typer.Option("--anew", help="Make the derived tables from the entries again.")] = False,
) -> None:
    """Bring the tables of an older ledger up to date, as a role that may make tables; no entry is touched."""
    if anew:
        derive_again(ledger or home / LEDGER_FILE)
    with open_ledger(ledger or home / LEDGER_FILE, None, may_upgrade=True) as opened:
        out().print(f"{opened.count()} entries; the tables are those of schema {REVISION}")


@one_line
def restore_backup(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="What the backup command wrote.")],
    why: Why,
    home: Home = HOME,
    ledger: Url = None,
    anchors: Annotated[list[Path] | None, typer.Option(help="File of checkpoints kept elsewhere.")] = None,
    public_key: Annotated[list[str] | None, typer.Option(help="Public key obtained elsewhere.")] = None,
    accept_older: Annotated[bool, typer.Option("--accept-older", help="Entries may be lost; they are named.")] = False,
) -> None:
    """Put a backup back in place, under a new key and with an entry that names what was lost."""
    keys = tuple(map(PublicKey.from_vkey, public_key or ()))
    order = RestoreOrder(folder, home, ledger, tuple(anchors or ()), keys, accept_older, why)
    entry = restore(order, operator())
    restored, known = entry.payload["restored_size"], entry.payload["known_size"]
    lost = span(restored + 1, known) if known > restored else "no entry, as far as is known"
    out().print(f"entry {entry.number}: restored {restored} entries; lost: {lost}; from now on verify with")
    out().print(escape(entry.payload["new_key"]))
    with open_room(home, ledger) as room:
        again = room.ledger.count() - entry.number
    out().print(f"patients erased again, as the ledger that was here said: {again}")
    out().print("Whoever was erased after the backup by a ledger that could not be read is back: erase them again.")
