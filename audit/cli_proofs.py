"""`medproto audit` prove and export: what an auditor takes away. Exit 0 done, 1 tampered, 2 cannot be done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from audit.canonical import canonical_bytes
from audit.cli_options import HOME, Home, Url, one_line, out
from audit.export import export_ledger, written_whole
from audit.proofs import checkpoint_of_size, prove
from audit.room import open_room
from audit.signing import Checkpoint, read_notes
from medproto.console import bars


@one_line
def prove_entry(
    number: Annotated[int, typer.Argument(metavar="ENTRY", min=1)],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for the proof, else printed.")] = None,
    older: Annotated[Path | None, typer.Option("--from", help="File of checkpoints kept elsewhere.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Size of an older checkpoint of this ledger.")] = None,
    home: Home = HOME,
    ledger: Url = None,
) -> None:
    """Prove that an entry is in the ledger, and that the ledger extends an older checkpoint.

    Checked without medproto by docs/verify_proof.py, with the public key.
    """
    if older is not None and size is not None:
        raise typer.BadParameter("give either --from or --size")
    with open_room(home, ledger) as room:
        from_checkpoint = _newest(older) if older else checkpoint_of_size(room, size) if size else None
        proof = prove(room, number, from_checkpoint)
    line = canonical_bytes(proof.plain()) + b"\n"
    if output is None:
        out().out(line.decode("utf-8"), end="")
        return
    with written_whole(output) as file:
        file.write(line)
    extended = f", and that it extends the checkpoint of size {proof.older.size}" if proof.older else ""
    words = f"entry {number} is in the checkpoint of size {proof.checkpoint.size}{extended}"
    out().print(f"{escape(str(output))}: proves that {words}")


@one_line
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the JSON lines.")],
    since: Annotated[int, typer.Option(min=1, help="First entry.")] = 1,
    home: Home = HOME,
    ledger: Url = None,
) -> None:
    """Write every entry as JSON lines with leaf, proof and signed checkpoints; pictures stay where they are.

    Checked without medproto by docs/verify_proof.py, with the public key.
    """
    with open_room(home, ledger) as room, bars() as report:
        done = export_ledger(room, output, since, report("exporting entries"))
    said = f"entries {done.first} to {done.size}, {done.checkpoints} checkpoints, root {done.root}"
    out().print(f"{escape(str(output))}: {said}")


def _newest(path: Path) -> Checkpoint:
    return max((Checkpoint.from_note(note) for note in read_notes(path)), key=lambda checkpoint: checkpoint.size)
