"""`medproto data`: cohorts and manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medproto.commands import index as index_cli
from medproto.commands import manifest as manifest_cli
from medproto.commands import sheet as sheet_cli
from medproto.console import bars
from medproto.datasets.manifest import Split

app = typer.Typer(no_args_is_help=True, help="Cohorts and manifests: make, index, check, split.")
app.command()(index_cli.index)
app.command()(manifest_cli.check)
app.command()(manifest_cli.split)
app.command()(sheet_cli.sheet)

#: Shares of patients per split.
SPLITS: dict[Split, float] = {"train": 0.6, "val": 0.2, "test": 0.2}


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="New directory.")],
    patients: Annotated[int, typer.Option(min=1, help="Women with an exam of four views.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 1,
    varied: Annotated[bool, typer.Option("--varied", help="Machines of all kinds, not three that are alike.")] = False,
    priors: Annotated[float, typer.Option(min=0, max=1, help="Share of patients with an earlier exam too.")] = 0.0,
    variant: Annotated[
        str,
        typer.Option(
            help="plain; overlap: looks leave the class in doubt; vendor, blur, unseen: unlike plain; or marker: "
            "malignant films show a skin marker."
        ),
    ] = "plain",
    specials: Annotated[
        bool, typer.Option("--specials", help="Also OUT/specials: images to be refused, marked or not readable.")
    ] = False,
) -> None:
    """Write a synthetic screening cohort as DICOM, with its manifest split by patient."""
    from medproto.datasets.manifest import read_manifest, write_manifest
    from medproto.datasets.phantom.cohort import Cohort, write_phantom
    from medproto.datasets.phantom.specials import SPECIALS, write_specials
    from medproto.datasets.splits import split_patients

    cohort = Cohort(patients, seed, varied, priors, variant)
    with bars() as report:
        path = write_phantom(out, cohort, report("writing SYNTHETIC patients"), workers=2)
    write_manifest(path, split_patients(read_manifest(path).rows, SPLITS, seed))
    typer.echo(f"{path}: {patients} SYNTHETIC patients")
    if specials:
        typer.echo(f"{write_specials(out / 'specials', seed)}: {len(SPECIALS)} SYNTHETIC specials")


@app.command()
def regions(
    manifest: Annotated[Path, typer.Argument(help="Manifest of the mini-MIAS films.")],
    out: Annotated[Path, typer.Argument(help="The manifest to write.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Plan square regions around lesions, and regions of normal tissue of the same sizes and places."""
    from medproto.datasets.manifest import read_manifest
    from medproto.datasets.regions import region_manifest

    typer.echo(f"{region_manifest(read_manifest(manifest), out, seed)}")
