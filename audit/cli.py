"""`medproto audit`: verify, list, show, trace, key, init. Exit 0 verified, 1 tampered, 2 cannot be checked."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from audit import cli_keeping, cli_privacy, cli_proofs, cli_trace, cli_users, service
from audit.cli_options import HOME, AsJson, Home, Url, one_line, out
from audit.filters import LedgerFilter
from audit.findings import Verification
from audit.room import open_room, verify_room
from audit.signing import PublicKey
from medproto.console import stage_bars

app = typer.Typer(no_args_is_help=True, help="The ledger: verify it, read it, trace a decision to training patches.")

app.command("erase-patient")(cli_privacy.erase_patient)
app.command("prove")(cli_proofs.prove_entry)
app.command("export")(cli_proofs.export)
app.command("replay")(cli_proofs.replay_predictions)
app.command("key")(cli_keeping.key)
app.command("rotate-key")(cli_keeping.rotate)
app.command("roles")(cli_users.roles)
app.command("anchor")(cli_keeping.anchor)
app.command("backup")(cli_keeping.backup)
app.command("restore")(cli_keeping.restore_backup)
app.command("upgrade")(cli_keeping.upgrade)
app.command("trace")(cli_trace.trace)
_MARKS = {"holds": "[green]holds[/]", "broken": "[red]BROKEN[/]", "not checked": "[yellow]not checked[/]"}


@app.command()
@one_line
def verify(
    home: Home = HOME,
    ledger: Url = None,
    anchors: Annotated[list[Path] | None, typer.Option(help="File of checkpoints kept elsewhere.")] = None,
    public_key: Annotated[list[str] | None, typer.Option(help="Public key obtained elsewhere.")] = None,
    since: Annotated[int, typer.Option(min=0, help="Read only the entries after this many.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Verify the whole ledger and its evidence: exit 0 verified, 1 tampered, 2 cannot be checked."""
    keys = [PublicKey.from_vkey(vkey) for vkey in public_key or ()]
    with open_room(home, ledger) as room, stage_bars() as progress:
        result = verify_room(room, anchors or (), keys, since, progress)
    if as_json:
        out().print_json(json.dumps(dataclasses.asdict(result) | {"verified": result.verified}))
    else:
        _print_verification(result)
    raise typer.Exit(0 if result.verified else 1)


@app.command("list")
@one_line
def list_entries(
    home: Home = HOME,
    ledger: Url = None,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind.")] = None,
    search: Annotated[str, typer.Option(help="Text in kind, actor, role or exam.")] = "",
    actor: Annotated[str | None, typer.Option(help="Only entries by this person.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", help="Only entries from this time on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only entries before this time (UTC).")] = None,
    bundle: Annotated[str | None, typer.Option(help="Only entries that name this bundle.")] = None,
    prototype: Annotated[str | None, typer.Option(help="Only decisions it took part in, and complaints.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
) -> None:
    """List entries, newest first."""
    which = LedgerFilter(
        kind=kind,
        search=search,
        actor=actor,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
        bundle_id=bundle,
        prototype_id=prototype,
    )
    with open_room(home, ledger) as room:
        page = service.ledger_page(room, which, limit=limit)
    table = Table("entry", "time (UTC)", "kind", "actor", "role", "about", title=f"{page.total} entries match")
    for entry in page.entries:
        about = entry.exam_id or (f"entry {entry.refers_to}" if entry.refers_to else "")
        cells = (str(entry.number), f"{entry.time:%Y-%m-%d %H:%M:%S}", entry.kind, entry.actor, entry.role, about)
        table.add_row(*map(escape, cells))
    out().print(table)


@app.command()
@one_line
def show(number: Annotated[int, typer.Argument(metavar="ENTRY", min=1)], home: Home = HOME, ledger: Url = None) -> None:
    """Show one entry: its body, its leaf and the checkpoint that covers it."""
    with open_room(home, ledger) as room:
        entry, checkpoint = room.ledger.entry(number), service.checkpoint_of(room, number)
    console = out()
    console.print_json(entry.body.decode("utf-8"))
    console.print(f"leaf {entry.leaf}\ncheckpoint")
    console.print(escape(checkpoint.note), end="")


@app.command()
@one_line
def init(home: Home = HOME, ledger: Url = None) -> None:
    """Create home, key and ledger, or find them there already."""
    with open_room(home, ledger, create=True) as room:
        out().print(f"{escape(str(home))}: a ledger of {room.ledger.count()} entries; its public key is")
        out().print(escape(room.public_key.vkey))


def _print_verification(result: Verification) -> None:
    console = out()
    for guarantee in result.guarantees:
        console.print(f"{guarantee.number}. {_MARKS[guarantee.status]}: {escape(guarantee.sentence)}")
    for fault in result.faults:
        console.print(f"[red]{escape(fault.sentence)}[/]")
    for notice in result.notices:
        console.print(f"[yellow]notice:[/] {escape(notice)}")
    for anchor in result.anchors:
        console.print(f"used {escape(anchor)}")
    for spot in result.blind_spots:
        console.print(f"[dim]cannot see:[/] {escape(spot)}")
    words = "[green]verified[/]" if result.verified else "[red]TAMPERED[/]"
    console.print(f"{words}: {result.size} entries, {result.checkpoints} checkpoints, root {result.root or 'unknown'}")
