"""`medproto inspect`: how one file is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medproto.console import fail

if TYPE_CHECKING:
    from medproto.ingest.inspection import Inspection


def inspect(
    file: Annotated[Path, typer.Argument(help="One DICOM file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    png: Annotated[Path | None, typer.Option(help="Write the rendered picture with the breast's outline.")] = None,
    admit: Annotated[list[str] | None, typer.Option(help="Modality to admit beside MG, such as CR.")] = None,
) -> None:
    """Show how one file is read: decisions, findings, tags, picture. Exit 0 admitted, 3 refused, 1 unreadable."""
    from medproto.config import IngestSettings
    from medproto.ingest.inspection import inspect_file, save_picture

    facts, picture = inspect_file(file, IngestSettings(admit_modalities=("MG", *(admit or ()))))
    typer.echo(facts.model_dump_json(indent=1) if as_json else "\n".join(_lines(facts)))
    if png and picture:
        save_picture(picture, png)
    elif png:
        fail("No picture was written: the file holds none that can be shown.")
    raise typer.Exit(0 if facts.admitted else 3 if facts.readable else 1)


def _lines(facts: Inspection) -> list[str]:
    """One line a decision, a finding and a tag."""
    state = "admitted" if facts.admitted else "refused" if facts.readable else "unreadable"
    shown = facts.model_dump(exclude={"admitted", "readable", "findings", "tags"})
    said = [state, "", "findings"]
    said += [f"  {one.severity:<7} {one.code}: {one.sentence}" for one in facts.findings] or ["  none"]
    said += ["", "decisions", *_columns({name: value for name, value in shown.items() if value is not None})]
    return [*said, "", "tags", *_columns(facts.tags)]


def _columns(values: Mapping[str, object]) -> list[str]:
    width = max(map(len, values), default=0)
    return [f"  {name:<{width}}  {_word(value)}" for name, value in values.items()]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_word, value)) if isinstance(value, list | tuple) else str(value)
