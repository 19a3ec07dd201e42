"""`medproto train`: from a configuration and a manifest to a verified bundle, in a run that survives being killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medproto.commands.caching import CacheBytes, CacheFolder, cache_of
from medproto.console import bars, console, tell_inputs
from medproto.datasets.cache import CACHE_BYTES
from medproto.errors import InputError

if TYPE_CHECKING:
    from medproto.training.inputs import Loading
    from medproto.training.refining import Reporter
    from medproto.training.settings import TrainSettings

#: Where runs are made that are given no place.
RUNS = Path("runs")


def train(
    config: Annotated[Path | None, typer.Argument(help="YAML configuration; none with --resume.")] = None,
    manifest: Annotated[
        Path | None, typer.Argument(help="Manifest with a split column; else the configuration's `data`.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run; else runs/NAME.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of a run to go on with.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="key.sub=value, instead of the YAML's.")] = None,
    cache: CacheFolder = None,
    cache_bytes: CacheBytes = CACHE_BYTES,
) -> None:
    """Train a prototype network: descent, projection, convex last layer; then write a verified bundle. Killed at any
    moment, `--resume RUN` ends in the same bundle."""
    from medproto.training.inputs import Loading
    from medproto.training.run_folder import settings_of

    loading = Loading(cache=cache_of(cache, cache_bytes))
    if resume is None:
        _train_in(*_new_run(config, manifest, out, tuple(override or ())), loading)
    elif config or manifest or out or override:
        raise InputError("resume: got more than a run's folder, expected it alone; a run keeps its own configuration")
    else:
        _train_in(resume, settings_of(resume), loading)


def _new_run(
    config: Path | None, manifest: Path | None, out: Path | None, overrides: tuple[str, ...]
) -> tuple[Path, TrainSettings]:
    """Folder and settings of a new run; the folder is made once the manifest is known to be valid."""
    from medproto.datasets.manifest import read_manifest
    from medproto.training.launch import is_first
    from medproto.training.run import check_split
    from medproto.training.run_folder import begin
    from medproto.training.settings import read_settings

    if config is None:
        raise InputError("train: got no configuration, expected a YAML file, or --resume with the folder of a run")
    settings = read_settings(config, overrides)
    source = manifest or settings.data
    if source is None:
        raise InputError("train: got no manifest, expected one after the configuration or in its key 'data'")
    check_split(read_manifest(source))
    folder = out or RUNS / re.sub(r"[^\w.-]+", "-", settings.name)
    if is_first():
        begin(folder, settings, source)
    return folder, settings.model_copy(update={"data": source})


def _train_in(folder: Path, settings: TrainSettings, loading: Loading) -> None:
    """Train in that folder, or say that it is done; then what came of it."""
    from medproto.bundle import read_bundle_manifest
    from medproto.datasets.manifest import read_manifest
    from medproto.training.journal import read_rows, seconds_of
    from medproto.training.launch import is_first
    from medproto.training.run import check_split, read_inputs
    from medproto.training.run_folder import is_finished, run_in
    from medproto.training.words import summary

    if is_finished(folder):
        if is_first():
            typer.echo(f"{folder}: finished before, bundle {read_bundle_manifest(folder)[0]}")
        return
    assert settings.data is not None  # of a new run and of an old one's configuration
    source = read_manifest(settings.data)
    check_split(source)
    with _bars() as report:
        data = read_inputs(settings, source, report, loading)
        bundle_id = run_in(folder, settings, (source, data), report)
    if is_first():
        tell_inputs(data)
        words = summary(read_bundle_manifest(folder)[1], seconds_of(read_rows(folder)))
        console.print(words, markup=False, highlight=False)
        typer.echo(f"{folder}: bundle {bundle_id}")


@contextmanager
def _bars() -> Iterator[Reporter]:
    """Bars of the first process; the others work in silence."""
    from medproto.training.launch import is_first

    if is_first():
        with bars() as report:
            yield report
    else:
        yield lambda title: lambda done, total: None
