"""`medproto data index`: an archive, a folder or a server as a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medproto.console import bars

if TYPE_CHECKING:
    from medproto.datasets.archives.indexing import Indexed
    from medproto.datasets.archives.tree import Progress
    from medproto.datasets.manifest import ManifestRow

Source = Literal["cbis-ddsm", "cmmd", "vindr", "mini-mias", "rsna", "folder", "dicomweb"]
DAY = "%Y-%m-%d"


def index(
    source: Annotated[Source, typer.Argument(help="What it is.", show_default=False)],
    place: Annotated[
        str,
        typer.Argument(metavar="DIR", help="Its folder as published, or a zip of it; for dicomweb the service's URL."),
    ],
    out: Annotated[Path, typer.Option(help="The manifest to write, a .csv; what else is written lies beside it.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="For folder and dicomweb: CSV with columns file and label, and perhaps side, view, patient, exam, "
            "split, boxes, finding, density, birads, vendor, site, age_years."
        ),
    ] = None,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Keep images that the archive's tables name and the folder lacks.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split by patient, where there is no official one.")] = 0,
    admit: Annotated[
        list[str] | None, typer.Option(help="For folder and dicomweb: modality to admit beside MG, such as CR.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(formats=[DAY], help="For dicomweb: first day of a study.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=[DAY], help="For dicomweb: last day of a study.")] = None,
    study: Annotated[list[str] | None, typer.Option(help="For dicomweb: Study Instance UID, any number.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Files of a folder read at a time.", show_default="one a core")
    ] = None,
) -> None:
    """Write the manifest of an archive as published: one row an image.

    cbis-ddsm: any of the four case description CSVs and the images.

    cmmd: CMMD_clinicaldata_revision as XLSX or CSV and the images.

    vindr: breast-level_annotations.csv, finding_annotations.csv, images/.

    rsna: train.csv and train_images/.

    mini-mias: all-mias.tar.gz or the folder it was unpacked to; its films
    become DICOM in images/ beside the manifest.

    folder: any DICOM files. Each is read in a process of its own and linked
    or copied into NAME.files beside the manifest under a pseudonymous name.
    NAME.left-out.csv says what is left out and why, NAME.key is the key of
    the pseudonyms. An interrupted run goes on where it was.

    dicomweb: the MG images of a server, fetched into NAME.fetched and then
    listed as a folder is.

    A zip of any of these is unpacked into NAME.unpacked, which is removed
    again after indexing a folder: its names may be patients' names.
    """
    from medproto.config import IngestSettings
    from medproto.datasets.archives.dicomweb import Search
    from medproto.datasets.archives.indexing import IndexOrder
    from medproto.datasets.archives.indexing import index as run

    target = out if out.suffix == ".csv" else out / "manifest.csv"
    settings = IngestSettings(admit_modalities=("MG", *(admit or ())))
    cores = workers or os.cpu_count() or 1
    search = Search(
        since=None if since is None else since.date(),
        until=None if until is None else until.date(),
        studies=tuple(study or ()),
    )
    order = IndexOrder(source, place, target, labels, tables_only, seed, cores, settings, search)
    with bars() as report:
        made = run(order, lambda title: _when_begun(report, title))
    for line in _summary(made, tables_only):
        typer.echo(line)


def _when_begun(report: Callable[[str], Progress], title: str) -> Progress:
    """A bar that is drawn once there is something to draw: none stays at 0 where a table is refused."""
    bar: list[Progress] = []

    def progress(done: int, total: int) -> None:
        if not bar:
            bar.append(report(title))
        bar[0](done, total)

    return progress


def _summary(made: Indexed, tables_only: bool) -> Iterable[str]:
    """What was written: rows by label and split, what is absent, and what the archive's reader should know."""
    yield f"{made.manifest}: {len(made.rows)} images of {len({row.patient for row in made.rows})} patients"
    yield from _by_label_and_split(made.rows)
    if made.absent:
        became = "kept" if tables_only else "left out"
        yield f"absent: {made.absent} of the images that are named are not there; {became}"
    for remark in made.remarks:
        yield f"note: {remark}"


def _by_label_and_split(rows: Iterable[ManifestRow]) -> Iterable[str]:
    counts: Counter[tuple[str, str]] = Counter((row.label, row.split or "no split") for row in rows)
    labels = sorted({label for label, _ in counts})
    splits = [split for split in ("train", "val", "test", "no split") if any(split == one for _, one in counts)]
    width = max(len(label) for label in labels)
    yield "  ".join(["", " " * width, *(f"{split:>8}" for split in splits)])
    for label in labels:
        yield "  ".join(["", f"{label:<{width}}", *(f"{counts[label, split]:>8}" for split in splits)])
