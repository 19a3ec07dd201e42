"""VinDr-Mammo 1.0.0 as PhysioNet publishes it: 5,000 exams of four views, read by BI-RADS.

There is no pathology. The label is the breast's BI-RADS assessment in a word: 1 is `normal`, 2 `benign`, 3
`probably_benign`, 4 and 5 `suspicious`; the assessment itself stays in column birads, and the words are not those of
biopsied archives. A study is a patient: the archive tells no more. Boxes are those of the findings, in original pixels.
PhysioNet Restricted Health Data License 1.5.0; cite Nguyen et al. 2023, doi 10.1038/s41597-023-02100-7.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.tables import TableRow, find_table, find_tables
from medproto.datasets.archives.tree import (
    Facts,
    Progress,
    age_years,
    by_tail,
    facts,
    list_files,
    read_header,
    unwatched,
)
from medproto.datasets.manifest import ManifestRow, Split
from medproto.errors import InputError
from medproto.records import Box, Laterality

SOURCE = "VinDr-Mammo"
LICENCE = "PhysioNet Restricted Health Data License 1.5.0, VinDr-Mammo, Nguyen et al. 2023"
IMAGES = ("study_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads", "split")
#: The archive's table of header elements has one row for each image.
METADATA = ("SOP Instance UID",)
SIDES: dict[str, Laterality] = {"L": "L", "R": "R"}
VIEWS = {"CC": "CC", "MLO": "MLO"}
SPLITS: dict[str, Split] = {"TRAINING": "train", "TEST": "test"}
LABELS = {
    "BI-RADS 1": "normal",
    "BI-RADS 2": "benign",
    "BI-RADS 3": "probably_benign",
    "BI-RADS 4": "suspicious",
    "BI-RADS 5": "suspicious",
}
DENSITIES = {"": None, "DENSITY A": "A", "DENSITY B": "B", "DENSITY C": "C", "DENSITY D": "D"}
#: Category of a row that marks nothing.
NOTHING_FOUND = "No Finding"


@dataclass
class Doubts:
    """Images that only table or folder have, and those whose header differs from the table, counted while listing."""

    absent: int = 0
    unnamed: int = 0
    sides: int = 0
    sizes: int = 0

    def remarks(self) -> list[str]:
        """A sentence for each kind that occurred."""
        said = ["There is no pathology: labels are BI-RADS assessments in words, see column birads."]
        if self.unnamed:
            said.append(f"Images in the folder that no table names, left out: {self.unnamed}.")
        if self.sides:
            said.append(f"Images whose header names the other breast: {self.sides}; the table's side is kept.")
        if self.sizes:
            said.append(f"Images of another size than the table gives: {self.sizes}; their boxes are left out.")
        return said


def list_vindr(root: Path, tables_only: bool, progress: Progress = unwatched) -> Listing:
    """The images of the archive, with its own split.

    Args:
        root: folder with breast-level_annotations.csv, finding_annotations.csv or both, and `images/`.
        tables_only: keep images that are not there, and read no file but the tables.
        progress: called with images looked up and all images.

    Raises:
        InputError: neither table is there, or a row of one is wrong; names the row and the column.
    """
    files = list_files(root)
    tables = [row for table in find_tables(root, files, IMAGES) for row in table]
    marked: dict[str, list[TableRow]] = {}
    for row in tables:
        if "finding_categories" in row.cells:
            marked.setdefault(row.text("image_id"), []).append(row)
    images = _one_each(tables)
    metadata = {row.get("SOP Instance UID"): row for row in find_table(root, files, METADATA)}
    places = by_tail(files)
    doubts = Doubts(unnamed=len(places.keys() - {f"{row.get('study_id')}/{image}" for image, row in images.items()}))
    rows: list[ManifestRow] = []
    for done, (image, row) in enumerate(images.items(), start=1):
        tail = f"{row.text('study_id')}/{image}"
        path = places.get(tail)
        doubts.absent += path is None
        if path is not None or tables_only:
            said = Facts() if tables_only or path is None else facts(read_header(root / path))
            found = _row(path or f"images/{tail}.dicom", row, marked.get(image, ()), metadata.get(image))
            rows.append(_checked(found, row, said, doubts))
        progress(done, len(images))
    return Listing(tuple(sorted(rows, key=lambda row: row.path)), doubts.absent, tuple(doubts.remarks()))


def parse_categories(row: TableRow) -> tuple[str, ...]:
    """Finding categories of a row, which are written as a Python list; none for `No Finding`."""
    expected = "a list such as ['Mass', 'Asymmetry']"
    try:
        found = ast.literal_eval(row.get("finding_categories") or "[]")
    except (ValueError, SyntaxError, MemoryError, RecursionError) as err:
        raise row.wrong("finding_categories", expected) from err
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise row.wrong("finding_categories", expected)
    return tuple(one for one in found if one != NOTHING_FOUND)


def _one_each(tables: Sequence[TableRow]) -> dict[str, TableRow]:
    """One row for each image, sorted; both tables and all rows of an image must say the same of it."""
    if not tables:
        raise InputError("VinDr-Mammo: got no breast-level_annotations.csv and no finding_annotations.csv")
    images: dict[str, TableRow] = {}
    for row in tables:
        first = images.setdefault(row.text("image_id"), row)
        for column in IMAGES:
            if row.get(column) != first.get(column):
                raise row.wrong(
                    column, f"the same as in row {first.number} of {first.table}, the same image", "another"
                )
    return dict(sorted(images.items()))


def _row(path: str, row: TableRow, findings: Sequence[TableRow], metadata: TableRow | None) -> ManifestRow:
    kinds = {category for finding in findings for category in parse_categories(finding)}
    return ManifestRow(
        path=path,
        patient=row.text("study_id"),
        exam=row.text("study_id"),
        image=row.text("image_id"),
        side=row.choice("laterality", SIDES),
        view=row.choice("view_position", VIEWS),
        label=row.choice("breast_birads", LABELS),
        split=row.choice("split", SPLITS),
        boxes=tuple(dict.fromkeys(box for finding in findings if (box := _box(finding)) is not None)),
        finding="+".join(sorted(kinds)) or None,
        density=row.choice("breast_density", DENSITIES),
        birads=row.get("breast_birads").rpartition(" ")[2],
        vendor=None if metadata is None else metadata.get("Manufacturer") or None,
        age_years=None if metadata is None else age_years(metadata.get("Patient's Age")),
        source=SOURCE,
        licence=LICENCE,
    )


def _box(row: TableRow) -> Box | None:
    """The finding's box within the image; None where the row marks nothing."""
    left, top, right, bottom = (row.number_of(column) for column in ("xmin", "ymin", "xmax", "ymax"))
    if left is None and top is None and right is None and bottom is None:
        return None
    if left is None or top is None or right is None or bottom is None:
        raise row.wrong("xmin", "all of xmin, ymin, xmax, ymax or none of them", "some")
    height, width = row.whole("height", 100_000) or 0, row.whole("width", 100_000) or 0
    # a few boxes are drawn a little over the image's edge
    top, left, bottom, right = max(0.0, top), max(0.0, left), min(bottom, height), min(right, width)
    if bottom <= top or right <= left:
        raise row.wrong("xmin", "a box that lies in the image", "one without area there")
    return Box(top=top, left=left, bottom=bottom, right=right)


def _checked(found: ManifestRow, row: TableRow, said: Facts, doubts: Doubts) -> ManifestRow:
    """The row completed from the image's header, and doubts counted where header and table differ."""
    # the label stands in the same row as the table's side, so the side stays the table's
    doubts.sides += said.side not in (None, found.side)
    changes: dict[str, object] = {"vendor": found.vendor or said.vendor}
    changes["age_years"] = said.age_years if found.age_years is None else found.age_years
    if None not in said.size and said.size != (row.whole("height", 100_000), row.whole("width", 100_000)):
        doubts.sizes += 1
        changes["boxes"] = ()
    return found.model_copy(update=changes)
