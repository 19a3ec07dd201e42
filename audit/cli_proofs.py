"""`medproto audit` prove, export and replay: what an auditor takes away, and what an auditor can run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from audit.canonical import canonical_bytes
from audit.cli_options import HOME, Home, Url, one_line, out
from audit.export import export_ledger, written_whole
from audit.proofs import checkpoint_of_size, prove
from audit.replay import Replay, predictions_of, replay, replay_all, rerun_of, sources_of
from audit.room import open_room
from audit.signing import Checkpoint, read_notes
from audit.sources import find_sources
from medproto.commands.region import Region, read_region
from medproto.console import bars
from medproto.errors import CannotReplay


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


@one_line
def replay_predictions(
    bundle: Annotated[Path, typer.Option(help="Bundle directory.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="ENTRY [PATH]...", help="Entry (not with --all), then files or folders to look in."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Replay every prediction.")] = False,
    region: Region = None,
    home: Home = HOME,
    ledger: Url = None,
) -> None:
    """Rerun a prediction from its source files: exit 0 if it comes out again, 1 if not, 2 if it cannot be rerun.

    Source files are told by their SHA-256, and looked for where the paths say and in the registered data sets. What
    was scored with a region is to be replayed with it. Nothing that comes out is shown, only how far it lies from what
    is logged; nothing is logged.
    """
    number, paths = (None, words or []) if every else _entry_and_paths(words or [])
    with open_room(home, ledger) as room, bars() as report:
        numbers = predictions_of(room) if number is None else [number]
        wanted = {digest for n in numbers for digest in sources_of(room, n)}
        files = find_sources(room, wanted, [Path(path) for path in paths], report("looking for source files"))
        rerun = rerun_of(bundle, read_region(region))
        if number is not None:
            results: list[Replay | CannotReplay] = [replay(room, number, rerun, files)]
        else:
            results = replay_all(room, numbers, (rerun, files), report("replaying predictions"))
    _print_replays(results)


def _entry_and_paths(words: list[str]) -> tuple[int, list[str]]:
    if not words or not words[0].isdecimal():
        raise typer.BadParameter("give the number of an ENTRY, or --all")
    return int(words[0]), words[1:]


def _print_replays(results: list[Replay | CannotReplay]) -> None:
    console, counts = out(), {"agree": 0, "differ": 0, "cannot be rerun": 0}
    for result in results:
        if isinstance(result, CannotReplay):
            counts["cannot be rerun"] += 1
            console.print(f"[yellow]cannot be rerun:[/] {escape(str(result))}")
        elif result.agrees:
            counts["agree"] += 1
            console.print(escape(_agreement(result)))
        else:
            counts["differ"] += 1
            console.print(f"[red]entry {result.number}: DIFFERS[/]")
            for difference in result.differences:
                console.print(f"  {escape(difference.sentence)}")
    if len(results) > 1:
        console.print(f"{len(results)} predictions: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    raise typer.Exit(1 if counts["differ"] else 2 if counts["cannot be rerun"] else 0)


def _agreement(result: Replay) -> str:
    if result.same_software:
        return f"entry {result.number}: agrees: same software and processor, every number equal"
    return f"entry {result.number}: agrees: other software or processor, logits within {result.farthest:.2g}"


def _newest(path: Path) -> Checkpoint:
    return max((Checkpoint.from_note(note) for note in read_notes(path)), key=lambda checkpoint: checkpoint.size)
