"""`medproto data sheet`: a page of images as the network sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medproto.console import bars


def sheet(
    source: Annotated[Path, typer.Argument(help="Folder of DICOM files, or a manifest.", exists=True)],
    out: Annotated[Path, typer.Option(help="The PNG to write; further pages lie beside it.")],
    config: Annotated[Path | None, typer.Option(help="YAML of a training run, whose input is shown.")] = None,
    spacing_mm: Annotated[float | None, typer.Option(min=0.01, help="Millimetres to a pixel of the input.")] = None,
    admit: Annotated[list[str] | None, typer.Option(help="Modality to admit beside MG, such as CR.")] = None,
) -> None:
    """Draw every image as the network sees it, upright with the chest wall on the left, with its reason codes."""
    from medproto.config import IngestSettings
    from medproto.datasets.sheet import write_sheet
    from medproto.training.settings import read_settings
    from medproto.transforms import InputSettings

    inputs = read_settings(config).inputs if config else InputSettings()
    if spacing_mm is not None:
        inputs = inputs.model_copy(update={"spacing_mm": spacing_mm})
    with bars() as report:
        ingest = IngestSettings(admit_modalities=("MG", *(admit or ())))
        tiles = write_sheet(source, out, inputs, ingest, report("reading images"))
    refused = [(number, tile) for number, tile in enumerate(tiles, start=1) if tile.refused]
    typer.echo(f"{out}: {len(tiles)} images, {len(refused)} of them not for scoring")
    for number, tile in refused:
        typer.echo(f"  {number}: {', '.join(tile.codes)}")
