"""`medproto evaluate`: a bundle on patients that it never saw, as a table, as JSON and as a page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medproto.commands.caching import CacheBytes, CacheFolder, cache_of
from medproto.console import bars, tell_inputs
from medproto.datasets.cache import CACHE_BYTES
from medproto.errors import InputError

if TYPE_CHECKING:
    from medproto.evaluation.held_out import HeldOut
    from medproto.evaluation.quality import Quality
    from medproto.evaluation.run import Evaluation

JSON, PAGE = "evaluation.json", "evaluation.html"


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    manifest: Annotated[Path, typer.Argument(help="Manifest with a split column.")],
    split: Annotated[str, typer.Option(help="Which split; never the one trained on.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option(help=f"Folder for {JSON} and {PAGE}, with calibration, abstention, subgroups, quality."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    cache: CacheFolder = None,
    cache_bytes: CacheBytes = CACHE_BYTES,
) -> None:
    """Evaluate a bundle on patients it never saw: AUROC with intervals by patient, and where the evidence lies."""
    from medproto.bundle import load_bundle
    from medproto.datasets.manifest import read_manifest
    from medproto.evaluation.held_out import score_held_out
    from medproto.evaluation.run import load_split, summarise
    from medproto.evaluation.words import flat, table
    from medproto.training.inputs import Loading

    source, loaded = read_manifest(manifest), load_bundle(bundle)
    with bars() as report:
        loading = Loading(cache=cache_of(cache, cache_bytes), progress=report("reading images"))
        data = load_split(loaded, source, split, loading)
    if not as_json:
        tell_inputs(data)
    with bars() as report:
        held = score_held_out(loaded, source, split, data, report("scoring images"))
    result = summarise(held)
    typer.echo(json.dumps(result.plain(), indent=1) if as_json else table(result))
    if out is not None:
        quality = _write(out, held, result)
        if not as_json:
            typer.echo("\n".join(f"| {name} | {value} |" for name, value in flat(asdict(quality))))
            typer.echo(f"{out / JSON}, {out / PAGE}")


def _write(out: Path, held: HeldOut, result: Evaluation) -> Quality:
    """Everything that takes longer, into that folder; returns what the table does not hold.

    Raises:
        InputError: the folder cannot be written.
    """
    from medproto.evaluation.detail import details
    from medproto.evaluation.html import Page, write_page
    from medproto.evaluation.kept import kept_in
    from medproto.evaluation.quality import Working, measure_quality

    try:
        out.mkdir(parents=True, exist_ok=True)
        with bars() as report:
            found = details(held, result.auroc, report("intervals by patient"))
            kept = kept_in(out, held.bundle.bundle_id, held.manifest_digest, held.data)
            working = Working(kept, report("prototype quality"))
            quality = measure_quality(held.bundle, held.data, held.scored, working)
        whole = result.plain() | found.plain() | {"quality": asdict(quality)}
        (out / JSON).write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (out / PAGE).write_text(write_page(Page(held.bundle, result, found, quality)), encoding="utf-8")
        kept.forget()
    except OSError as err:
        raise InputError(f"out: cannot write the folder ({err.strerror}), expected one that can be written") from err
    return quality
