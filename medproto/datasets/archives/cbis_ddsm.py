"""CBIS-DDSM as The Cancer Imaging Archive publishes it: up to four tables and a folder for each image.

What the archive says and what it means: a row is an abnormality, an image has one or more of them and takes the most
severe label. PatientID in the files is per image, the patient is the `P_` number. The mass and the calcification set
were split apart, so a patient can be in Training and in Test: all images of such a patient are test. A film of such a
patient is published twice, with the findings of either set. CC BY 3.0, Sawyer-Lee et al., doi
10.7937/K9/TCIA.2016.7O02S9CY.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medproto.datasets.archives.cbis_masks import Shelf, full_mammogram, outline, shelve
from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.tables import TableRow, find_tables
from medproto.datasets.archives.tree import Progress, list_files, unwatched
from medproto.datasets.manifest import ManifestRow, Split
from medproto.datasets.splits import severity
from medproto.errors import InputError
from medproto.records import Laterality

SOURCE = "CBIS-DDSM"
LICENCE = "CC BY 3.0, CBIS-DDSM, Sawyer-Lee et al., doi 10.7937/K9/TCIA.2016.7O02S9CY"
COLUMNS = ("patient_id", "left or right breast", "image view", "abnormality id", "pathology", "image file path")
#: An image's name, which is the first folder of its path and its PatientID.
NAME = re.compile(r"(?:Mass|Calc)-(?P<set>Training|Test)_(?P<patient>P_\d{5})_(?:LEFT|RIGHT)_(?:CC|MLO)")
SETS: dict[str, Split] = {"Training": "train", "Test": "test"}
SIDES: dict[str, Laterality] = {"LEFT": "L", "RIGHT": "R"}
VIEWS: dict[str, Literal["CC", "MLO"]] = {"CC": "CC", "MLO": "MLO"}
LABELS = {label.upper(): label for label in ("malignant", "benign", "benign_without_callback")}


@dataclass(frozen=True)
class Film:
    """One image as the tables describe it: its name, its published path and its abnormalities, at least one."""

    name: str
    path: str
    abnormalities: tuple[TableRow, ...]

    @property
    def split(self) -> Split:
        """The set it was published in."""
        match = NAME.fullmatch(self.name)
        return SETS[match["set"] if match else "Test"]


def list_cbis_ddsm(root: Path, tables_only: bool, progress: Progress = unwatched) -> Listing:
    """The full mammograms of the archive; boxes are those of the masks that are there.

    Args:
        root: folder with any of the four tables, and with the images as the tables' paths or as NBIA names them.
        tables_only: keep images that are not there, and read no file but the tables.
        progress: called with images looked up and all images.

    Raises:
        InputError: no table is there, or a row of one is wrong; names the row and the column.
    """
    files = list_files(root)
    films = read_films(row for table in find_tables(root, files, COLUMNS) for row in table)
    if not films:
        raise InputError(f"CBIS-DDSM: got no table with columns {', '.join(COLUMNS)}, expected at least one of four")
    shelves = shelve(root, files, read=not tables_only)
    names = {film.name for film in films}
    more = sum(bool(shelf.full) for name, shelf in shelves.items() if name not in names)
    unnamed = [f"Images in the folder that no table names, left out: {more}."] if more else []
    both = {patient for patient, sets in _sets(films).items() if len(sets) > 1}
    rows: list[ManifestRow] = []
    absent = unboxed = 0
    for done, film in enumerate(films, start=1):
        shelf = shelves.get(film.name, Shelf((), ()))
        path = full_mammogram(root, shelf, film.path)
        absent += path is None
        if path is not None or tables_only:
            row = _row(film, path or film.path)
            changes: dict[str, object] = {"split": "test"} if row.patient in both else {}
            if path is not None and not tables_only:
                outlines = outline(root, path, shelf)
                unboxed += outlines.without
                changes["boxes"] = outlines.boxes
            rows.append(row.model_copy(update=changes))
        progress(done, len(films))
    return Listing(tuple(sorted(rows, key=lambda row: row.path)), absent, (*_remarks(rows, both, unboxed), *unnamed))


def read_films(rows: Iterable[TableRow]) -> list[Film]:
    """Images of the tables, sorted by name.

    Raises:
        InputError: a row's path is not of the published form, or rows of one image differ in what they say of it.
    """
    found: dict[str, list[TableRow]] = {}
    for row in rows:
        name = row.text("image file path").split("/")[0]
        match = NAME.fullmatch(name)
        if match is None:
            raise row.wrong("image file path", "a path that begins with a name such as Mass-Training_P_00001_LEFT_CC")
        if match["patient"] != row.get("patient_id"):
            raise row.wrong("patient_id", "the patient of column 'image file path'", "another")
        first = found.setdefault(name, [row])[0]
        for column in ("image file path", "left or right breast", "image view"):
            if row.get(column) != first.get(column):
                raise row.wrong(column, f"the same as in row {first.number} of {first.table}, the same image")
        if row is not first:
            found[name].append(row)
    return [Film(name, found[name][0].get("image file path"), tuple(found[name])) for name in sorted(found)]


def _row(film: Film, path: str) -> ManifestRow:
    first = film.abnormalities[0]
    assessments = [number for row in film.abnormalities if (number := row.whole("assessment", 6)) is not None]
    # the mass table spells the column with an underscore, the calcification table with a blank
    density = first.whole("breast_density", 4) if first.get("breast_density") else first.whole("breast density", 4)
    return ManifestRow(
        path=path,
        patient=first.text("patient_id"),
        # Every image is a study of its own; the films of a patient are one screening exam.
        exam=first.text("patient_id"),
        image=film.name,
        side=first.choice("left or right breast", SIDES),
        view=first.choice("image view", VIEWS),
        label=max((row.choice("pathology", LABELS) for row in film.abnormalities), key=severity),
        split=film.split,
        finding="+".join(sorted({row.text("abnormality type") for row in film.abnormalities})),
        density=None if density is None else str(density),
        birads=str(max(assessments)) if assessments else None,
        source=SOURCE,
        licence=LICENCE,
    )


def _sets(films: Iterable[Film]) -> dict[str, set[Split]]:
    """The sets each patient was published in."""
    sets: dict[str, set[Split]] = {}
    for film in films:
        sets.setdefault(film.abnormalities[0].text("patient_id"), set()).add(film.split)
    return sets


def _remarks(rows: Sequence[ManifestRow], both: set[str], unboxed: int) -> list[str]:
    moved = sum(row.patient in both and "Training" in row.image for row in rows)
    remarks = []
    if both:
        remarks.append(
            f"Patients in Training with one set and in Test with the other: {len(both)}; all their images are test, "
            f"of which {moved} were published as Training."
        )
    labels: dict[tuple[str, Laterality | None, str | None], list[str]] = {}
    for row in rows:
        labels.setdefault((row.patient, row.side, row.view), []).append(row.label)
    twice = [found for found in labels.values() if len(found) > 1]
    if twice:
        differ = sum(len(set(found)) > 1 for found in twice)
        remarks.append(
            f"Films published twice, in the mass and in the calcification set: {len(twice)}; "
            f"with a label of each set's own: {differ}."
        )
    if unboxed:
        remarks.append(f"Abnormalities without a box, as none of their files is a mask of the film's size: {unboxed}.")
    return remarks
