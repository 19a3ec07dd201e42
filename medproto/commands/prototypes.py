"""`medproto prototypes`: what every prototype of a bundle is, and what it does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medproto.commands.caching import CacheBytes, CacheFolder, cache_of
from medproto.console import bars
from medproto.datasets.cache import CACHE_BYTES

if TYPE_CHECKING:
    from medproto.training.inputs import Progress
    from medproto.training.refining import Reporter


def prototypes(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    manifest: Annotated[Path, typer.Argument(help="Manifest that it was trained on, with a split column.")],
    html: Annotated[
        Path | None, typer.Option(help="Folder for the page, the PNG sheet and the JSON; one of its own is replaced.")
    ] = None,
    split: Annotated[str, typer.Option(help="Where firing, share and tilt are measured.")] = "test",
    neighbours: Annotated[int, typer.Option(min=1, help="Images of each split shown beside a prototype.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and no progress.")] = False,
    cache: CacheFolder = None,
    cache_bytes: CacheBytes = CACHE_BYTES,
) -> None:
    """Show every prototype: its nearest images and their classes, how often it fired, its share, twins and tilt."""
    from medproto.atlas.folder import PAGE, check_folder, write_folder
    from medproto.atlas.material import load_material
    from medproto.atlas.survey import survey
    from medproto.atlas.words import table
    from medproto.bundle import load_bundle
    from medproto.datasets.manifest import read_manifest

    if html:
        check_folder(html)
    source, loaded = read_manifest(manifest), load_bundle(bundle)
    # Bars share the JSON's stream.
    shown: AbstractContextManager[Reporter] = nullcontext(_silent) if as_json else bars()
    with shown as report:
        material = load_material(loaded, source, split, cache_of(cache, cache_bytes), report)
        atlas, pictures = survey(material, neighbours, report)
    if html:
        write_folder(html, atlas, pictures)
    typer.echo(atlas.model_dump_json(indent=1) if as_json else table(atlas))
    if html and not as_json:
        typer.echo(f"\n{html / PAGE}: {len(atlas.portraits)} prototypes")


def _silent(_: str) -> Progress:
    """A reporter that shows nothing."""
    return lambda done, total: None
