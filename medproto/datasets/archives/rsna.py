"""RSNA Screening Mammography Breast Cancer Detection (2022) as Kaggle publishes it: train.csv and train_images/.

The label belongs to the breast: `malignant` where column cancer is 1 (proven by biopsy), `benign` where a biopsy found
none, else `normal`, which is a negative screening exam and no proof. The test labels were never published, so there is
no official split. Images of a breast with an implant say so in their finding. Non-commercial use.
"""

from __future__ import annotations

from pathlib import Path

from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.tables import TableRow, find_table
from medproto.datasets.archives.tree import Progress, by_tail, list_files, unwatched
from medproto.datasets.manifest import ManifestRow
from medproto.errors import InputError
from medproto.records import Laterality

SOURCE = "RSNA screening"
LICENCE = "non-commercial use, RSNA Screening Mammography Breast Cancer Detection, 2022"
COLUMNS = ("site_id", "patient_id", "image_id", "laterality", "view", "cancer")
SIDES: dict[str, Laterality] = {"L": "L", "R": "R"}
VIEWS = {view: view for view in ("CC", "MLO", "ML", "LM", "AT", "LMO")}
FLAGS = {"0": False, "1": True}
OPTIONAL = {"": False, **FLAGS}
DENSITIES = {"": None, "A": "A", "B": "B", "C": "C", "D": "D"}


def list_rsna(root: Path, tables_only: bool, progress: Progress = unwatched) -> Listing:
    """The images of the training table; the files' headers tell no vendor, so the machine's code stands in its column.

    Args:
        root: folder with train.csv and train_images/.
        tables_only: keep images that are not there.
        progress: called with images looked up and all images.

    Raises:
        InputError: the table is not there, or a row of it is wrong; names the row and the column.
    """
    files = list_files(root)
    table = find_table(root, files, COLUMNS)
    if not table:
        raise InputError(f"RSNA: got no train.csv with columns {', '.join(COLUMNS)}, expected it in the folder")
    places, rows, absent = by_tail(files), [], 0
    unnamed = len(places.keys() - {f"{row.get('patient_id')}/{row.get('image_id')}" for row in table})
    for done, row in enumerate(table, start=1):
        tail = f"{row.text('patient_id')}/{row.text('image_id')}"
        path = places.get(tail)
        absent += path is None
        if path is not None or tables_only:
            rows.append(_row(path or f"train_images/{tail}.dcm", row))
        progress(done, len(table))
    return Listing(tuple(sorted(rows, key=lambda row: row.path)), absent, tuple(_remarks(table, unnamed)))


def _row(path: str, row: TableRow) -> ManifestRow:
    proven = "malignant" if row.choice("cancer", FLAGS) else "benign"
    machine = row.get("machine_id")
    return ManifestRow(
        path=path,
        patient=row.text("patient_id"),
        exam=row.text("patient_id"),
        image=row.text("image_id"),
        side=row.choice("laterality", SIDES),
        view=row.choice("view", VIEWS),
        label=proven if proven == "malignant" or row.choice("biopsy", OPTIONAL) else "normal",
        finding="implant" if row.choice("implant", OPTIONAL) else None,
        density=row.choice("density", DENSITIES),
        birads=None if (birads := row.whole("BIRADS", 6)) is None else str(birads),
        vendor=f"machine {machine}" if machine else None,
        site=row.text("site_id"),
        age_years=row.whole("age", 130),
        source=SOURCE,
        licence=LICENCE,
    )


def _remarks(table: tuple[TableRow, ...], unnamed: int) -> list[str]:
    implants = sum(row.choice("implant", OPTIONAL) for row in table)
    remarks = ["There is no official split: the test labels were never published."]
    if unnamed:
        remarks.append(f"Images in the folder that train.csv does not name, left out: {unnamed}.")
    if implants:
        remarks.append(f"Images of a patient or breast with an implant: {implants}; column finding says so.")
    return remarks
