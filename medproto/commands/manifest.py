"""`medproto data check` and `medproto data split`: what a manifest holds, and who trains, validates and tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medproto.console import bars, console
from medproto.datasets.manifest import Manifest, ManifestRow, read_manifest, rebased, write_manifest
from medproto.errors import InputError


def check(
    manifest: Annotated[Path, typer.Argument(help="The manifest.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every place of every finding.")] = False,
    read: Annotated[bool, typer.Option(help="Read every file; else look only whether it is there.")] = True,
    admit: Annotated[list[str] | None, typer.Option(help="Modality to admit beside MG, such as CR.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Files read at a time, each in a process of its own.")] = 2,
) -> None:
    """Count what a manifest holds and find what is wrong with it: missing views, contradicting labels, identical
    images, broken files. Exit 0 clean, 3 with findings, 2 invalid or with a patient in two splits."""
    from medproto.config import IngestSettings
    from medproto.datasets.check.check import check_manifest
    from medproto.datasets.check.words import shown

    ingest = IngestSettings(admit_modalities=("MG", *(admit or ()))) if read else None
    if as_json:
        # A bar would stand in the JSON.
        report = check_manifest(manifest, ingest, workers)
        typer.echo(json.dumps(report.plain(), indent=1))
    else:
        with bars() as bar:
            report = check_manifest(manifest, ingest, workers, bar("reading files") if read else None)
        for part in shown(report):
            console.print(part)
    raise typer.Exit(3 if report.findings else 0)


def split(
    manifest: Annotated[Path, typer.Argument(help="The manifest.")],
    out: Annotated[Path, typer.Option(help="The manifest to write, with the column split filled in.")],
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of patients that validate.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of patients that test.")] = 0.2,
    folds: Annotated[int | None, typer.Option(help="Number of folds, instead of a share that tests.")] = None,
    fold: Annotated[int, typer.Option(min=1, help="Which fold tests, from 1.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same split.")] = 0,
    official: Annotated[
        bool, typer.Option("--official", help="Keep the test patients there are; carve val out of train.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Replace a split that the manifest has.")] = False,
) -> None:
    """Divide the patients of a manifest into train, val and test, alike in every label and site."""
    from medproto.datasets.splits import carve_validation, split_fold, split_patients

    source = read_manifest(manifest)
    _check_wish(source, official, anew)
    rows = rebased(source, out.parent)
    drawn: list[ManifestRow]
    if official:
        drawn = carve_validation(rows, val, seed)
    elif folds is not None:
        drawn = split_fold(rows, (fold - 1, folds), val, seed)
    else:
        # Rounded, so that 0.2 and 0.2 leave the 0.6 that a cohort or an archive is split with.
        drawn = split_patients(rows, {"train": round(1 - val - test, 9), "val": val, "test": test}, seed)
    write_manifest(out, drawn)
    sizes = {name: len({row.patient for row in drawn if row.split == name}) for name in ("train", "val", "test")}
    typer.echo(f"{out}: {', '.join(f'{size} patients {name}' for name, size in sizes.items())}")


def _check_wish(source: Manifest, official: bool, anew: bool) -> None:
    """An official split is neither lost by oversight nor kept and replaced at once."""
    if official and anew:
        raise InputError("split: got --official and --anew, expected one of them")
    if not official and not anew and any(row.split for row in source.rows):
        raise InputError(
            "split: the manifest has a split; expected --official to keep its test patients, or --anew to replace it"
        )
