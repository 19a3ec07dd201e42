"""`medproto audit trace`: from a decision to its training patches, and from a prototype to its decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from audit.cli_options import HOME, Home, Url, one_line, out
from audit.prototypes import prototype_uses, trace_prototype
from audit.room import Room, open_room
from audit.trace import Trace, TracedPrototype, trace_entry


@one_line
def trace(
    number: Annotated[int | None, typer.Argument(metavar="ENTRY", min=1)] = None,
    prototype: Annotated[str | None, typer.Option(help="List the decisions this prototype took part in.")] = None,
    bundle: Annotated[str | None, typer.Option(help="Its bundle; alone: list what its prototypes did.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Training manifest, if not where it was registered.")] = None,
    home: Home = HOME,
    ledger: Url = None,
) -> None:
    """Trace a decision to its training patches, a prototype to the decisions it drove, or all of a bundle's."""
    if (number is None) == (prototype is None and bundle is None):
        raise typer.BadParameter("give ENTRY, or --prototype ID, or --bundle ID, or both of these")
    with open_room(home, ledger) as room:
        if number is not None:
            _print_trace(trace_entry(room, number, manifest))
        elif prototype is not None:
            _print_driven(room, prototype, bundle)
        elif bundle is not None:
            _print_uses(room, bundle)


def _print_trace(trace: Trace) -> None:
    console, record = out(), trace.prediction
    console.print(
        f"entry {trace.entry.number}: {record.exam_id}, {record.decision}, margin {record.margin:.4f} against "
        f"{record.operating_point.margin:.4f}, bundle {escape(record.bundle_name)} ({record.bundle_id[:12]}…)"
    )
    behind = {"bundle": trace.bundle_entry, "training run": trace.training_entry, "data set": trace.dataset_entry}
    console.print(", ".join(f"{name}: {f'entry {e.number}' if e else 'not registered'}" for name, e in behind.items()))
    for traced in trace.prototypes:
        console.print(escape(_prototype_text(traced)))
    for notice in trace.notices:
        console.print(f"[yellow]notice:[/] {escape(notice)}")


def _prototype_text(traced: TracedPrototype) -> str:
    match, source = traced.match, traced.match.source
    box = f"rows {source.box.top:g}-{source.box.bottom:g}, columns {source.box.left:g}-{source.box.right:g}"
    film = str(traced.film) if traced.film else traced.film_note
    return (
        f"  {match.prototype_id} ({match.prototype_class}): similarity {match.similarity:.4f} x weight "
        f"{match.weight:.4f} = {match.contribution:+.4f}, seen in {traced.image_title}\n"
        f"    training image {source.image_id}, {box}\n"
        f"    patch {source.patch} ({'in the evidence store' if traced.patch_present else 'ABSENT OR ALTERED'})\n"
        f"    film: {film}{f' (label {traced.row.label})' if traced.row else ''}"
    )


def _print_driven(room: Room, prototype: str, bundle: str | None) -> None:
    table = Table("entry", "exam", "decision", "bundle", "margin", "contribution", "rank", "reviews", "misled")
    for d in trace_prototype(room, prototype, bundle):
        numbers = (f"{d.margin:.4f}", f"{d.contribution:+.4f}", str(d.rank))
        cells = (str(d.number), d.exam_id, d.decision, d.bundle_name, *numbers, ", ".join(d.verdicts))
        table.add_row(*map(escape, cells), "yes" if d.misled else "")
    out().print(table)


def _print_uses(room: Room, bundle: str) -> None:
    table = Table("prototype", "decisions", "led", "complaints")
    for use in prototype_uses(room, bundle):
        table.add_row(escape(use.prototype_id), str(use.decisions), str(use.led), str(use.complaints))
    out().print(table)
