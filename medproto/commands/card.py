"""`medproto card`: what a bundle is, what it is for and how well it does, for a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    out: Annotated[Path, typer.Option(help="Folder for card.md, card.html and pictures; one of its own is replaced.")],
    evaluation: Annotated[
        Path | None, typer.Option(help="evaluation.json of this bundle, as `medproto evaluate --out` wrote it.")
    ] = None,
) -> None:
    """Write a model card: use, data, exclusions, training, results with intervals, limits, and every prototype."""
    from medproto.bundle import load_bundle
    from medproto.card.evaluation import read_evaluation
    from medproto.card.folder import MARKDOWN, PAGE, check_folder, write_card
    from medproto.card.make import make_card

    check_folder(out)
    loaded = load_bundle(bundle)
    found = make_card(loaded, read_evaluation(evaluation, loaded.bundle_id) if evaluation else None)
    write_card(out, found)
    typer.echo(f"{out / MARKDOWN}, {out / PAGE}: {len(found.sections)} sections, {len(found.pictures())} prototypes")
