"""`medproto evaluate`: a bundle on patients that it never saw, as a table, as JSON and as a page."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medproto.commands.caching import CacheBytes, CacheFolder, cache_of
from medproto.console import bars, tell_inputs
from medproto.datasets.cache import CACHE_BYTES
from medproto.errors import InputError

if TYPE_CHECKING:
    from medproto.datasets.manifest import Manifest
    from medproto.evaluation.beside import Other
    from medproto.evaluation.held_out import HeldOut
    from medproto.evaluation.kept import Kept
    from medproto.evaluation.run import Evaluation
    from medproto.evaluation.whole import Others
    from medproto.training.inputs import Loading

JSON, PAGE = "evaluation.json", "evaluation.html"


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    manifest: Annotated[Path, typer.Argument(help="Manifest with a split column.")],
    split: Annotated[str, typer.Option(help="Which split; never the one trained on.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder for {JSON} and {PAGE}, with calibration, abstention, subgroups, quality. A run that was "
            "interrupted goes on there."
        ),
    ] = None,
    strangers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MANIFEST",
            help="Exams that should be marked as unlike the training data: those of the manifest's test split, or all "
            "where it has none. Any number.",
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="CSV of other models' scores, columns method, exam, score; each method scores each exam."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; all else goes to standard error.")] = False,
    cache: CacheFolder = None,
    cache_bytes: CacheBytes = CACHE_BYTES,
) -> None:
    """Evaluate a bundle on patients it never saw: AUROC with intervals by patient, and where the evidence lies."""
    from medproto.bundle import load_bundle
    from medproto.datasets.manifest import read_manifest
    from medproto.evaluation.beside import read_beside
    from medproto.evaluation.held_out import score_held_out
    from medproto.evaluation.kept import NOT_KEPT, Working, kept_in
    from medproto.evaluation.run import load_split, summarise
    from medproto.evaluation.words import rows_of_beside, rows_of_strangers, table
    from medproto.training.inputs import Loading

    source, loaded, foreign = read_manifest(manifest), load_bundle(bundle), _named(strangers or [])
    others = read_beside(beside, source, split) if beside else ()
    with bars() as report:
        loading = Loading(cache=cache_of(cache, cache_bytes))
        data = load_split(loaded, source, split, replace(loading, progress=report("reading images")))
    if not as_json:
        tell_inputs(data)
    kept = kept_in(out, loaded.bundle_id, source.digest, data) if out else NOT_KEPT
    with bars() as report:
        held = score_held_out(loaded, source, split, data, Working(kept, report("scoring images")))
    result = summarise(held)
    if not as_json:
        typer.echo(table(result))
    found = _others(held, (foreign, others), loading, kept)
    if as_json:
        typer.echo(json.dumps(result.plain() | found.plain(), indent=1))
    else:
        _tell([*rows_of_strangers(found.strangers), *rows_of_beside(found.beside)])
    if out is not None:
        rows = _write(out, held, (result, found), kept)
        if not as_json:
            _tell(rows)
            typer.echo(f"{out / JSON}, {out / PAGE}")


def _named(strangers: list[str]) -> dict[str, Manifest]:
    """The manifests by their names.

    Raises:
        InputError: one has no name, or one that another has.
    """
    from medproto.datasets.manifest import read_manifest

    found: dict[str, Manifest] = {}
    for place, text in enumerate(strangers, start=1):
        name, _, path = text.partition("=")
        if not name.strip() or not path:
            raise InputError(f"strangers: got no name or no manifest in number {place}, expected NAME=MANIFEST")
        if name in found:
            raise InputError(f"strangers: got the name of number {place} twice, expected a different one for each")
        found[name] = read_manifest(Path(path))
    return found


def _others(
    held: HeldOut, given: tuple[dict[str, Manifest], tuple[Other, ...]], loading: Loading, kept: Kept
) -> Others:
    from medproto.evaluation.beside import compare
    from medproto.evaluation.strangers import measure_strangers
    from medproto.evaluation.whole import Others

    foreign, scores = given
    with bars() as report:
        strangers = [
            measure_strangers(held, name, manifest, replace(loading, progress=report(f"strangers: {name}")), kept)
            for name, manifest in foreign.items()
        ]
    return Others(tuple(strangers), compare(held, scores))


def _tell(rows: list[tuple[str, str]]) -> None:
    for name, value in rows:
        typer.echo(f"| {name} | {value} |")


def _write(out: Path, held: HeldOut, measured: tuple[Evaluation, Others], kept: Kept) -> list[tuple[str, str]]:
    """Everything that takes longer, into that folder; returns what the table does not hold.

    Raises:
        InputError: the folder cannot be written.
    """
    from medproto.evaluation.html import Page, write_page
    from medproto.evaluation.kept import unwritable
    from medproto.evaluation.shortcut_page import sentence
    from medproto.evaluation.whole import measure_whole
    from medproto.evaluation.words import flat, rows_of_blanking

    try:
        out.mkdir(parents=True, exist_ok=True)
        with bars() as report:
            whole = measure_whole(held, measured, kept, report)
        content = json.dumps(whole.plain(), indent=1, allow_nan=False) + "\n"
        (out / JSON).write_text(content, encoding="utf-8")
        (out / PAGE).write_text(write_page(Page(held.bundle, whole, held.data)), encoding="utf-8")
        kept.forget()
    except OSError as err:
        raise unwritable(err) from err
    told = ("shortcut check", sentence(whole.shortcut.result))
    return [*flat(asdict(whole.quality)), *rows_of_blanking(whole.blanking), told]
