"""CMMD, the Chinese Mammography Database, as The Cancer Imaging Archive publishes it.

The clinical table has a row for each breast with a biopsy; the label belongs to the images of that breast alone. Side
and view of an image stand in its header. 729 of the patients have images of the other breast too, of which the table
says nothing: these have no label and are left out. CC BY 4.0, Cui et al., doi 10.7937/tcia.eqde4b16.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.tables import TableRow, find_table
from medproto.datasets.archives.tree import Facts, Progress, dicom_files, facts, list_files, read_header, unwatched
from medproto.datasets.manifest import ManifestRow, image_id
from medproto.errors import InputError
from medproto.records import Laterality

SOURCE = "CMMD"
LICENCE = "CC BY 4.0, CMMD, Cui et al., doi 10.7937/tcia.eqde4b16"
CLINICAL = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification")
INDEX = ("Subject ID", "Number of Images")
PATIENT = re.compile(r"D[12]-\d{4}")
SIDES: dict[str, Laterality] = {"L": "L", "R": "R"}
LABELS = {"BENIGN": "benign", "MALIGNANT": "malignant"}
FINDINGS = {"MASS": "mass", "CALCIFICATION": "calcification", "BOTH": "calcification+mass"}

Breast = tuple[str, Laterality]


@dataclass
class Tally:
    """Images met on disk that become no row, and those of each labelled breast that do."""

    unlabelled: int = 0
    unnamed: int = 0
    rows: dict[Breast, list[ManifestRow]] = field(default_factory=dict)


def list_cmmd(root: Path, tables_only: bool, progress: Progress = unwatched) -> Listing:
    """The images of the labelled breasts.

    With tables only, an image's file name and view are not known: its path is `CMMD/patient/side/number`, a place of no
    file, and its view is empty.

    Args:
        root: folder with the clinical table (XLSX or CSV), the series index if it is there, and the images.
        tables_only: one row for each image that the clinical table counts, and no file but the tables is read.
        progress: called with images looked up and all images.

    Raises:
        InputError: the clinical table is not there, or a row of it is wrong; names the row and the column.
    """
    files = list_files(root)
    breasts = read_breasts(find_table(root, files, CLINICAL))
    index = find_table(root, files, INDEX)
    images = dicom_files(files)
    if tables_only:
        rows = [row for breast, table in breasts.items() for row in _planned(breast, table)]
        progress(len(rows), len(rows))
        there, named = Counter(map(_patient_of_path, images)), Counter(row.patient for row in rows)
        absent = sum(max(0, count - there[patient]) for patient, count in named.items())
        remarks = _index_remarks(index, breasts)
        return Listing(tuple(sorted(rows, key=lambda row: row.path)), absent, tuple(remarks))
    tally = Tally()
    for done, file in enumerate(images, start=1):
        _place(file, facts(read_header(root / file)), breasts, tally)
        progress(done, len(images))
    absent = sum(max(0, _count(row) - len(tally.rows.get(breast, ()))) for breast, row in breasts.items())
    found = sorted((row for rows in tally.rows.values() for row in rows), key=lambda row: row.path)
    return Listing(tuple(found), absent, tuple(_remarks(tally)))


def read_breasts(rows: Sequence[TableRow]) -> dict[Breast, TableRow]:
    """Rows of the clinical table by patient and side.

    Raises:
        InputError: there is no row, or a breast is there twice.
    """
    if not rows:
        raise InputError(f"CMMD: got no clinical table with columns {', '.join(CLINICAL)}, expected it in the folder")
    breasts: dict[Breast, TableRow] = {}
    for row in rows:
        breast = row.text("ID1"), row.choice("LeftRight", SIDES)
        first = breasts.setdefault(breast, row)
        if first is not row:
            raise row.wrong("LeftRight", f"another breast than that of row {first.number}", "the same breast again")
    return breasts


def _count(row: TableRow) -> int:
    return row.whole("number", 100) or 0


def _planned(breast: Breast, row: TableRow) -> list[ManifestRow]:
    patient, side = breast
    paths = [f"CMMD/{patient}/{side}/{number}.dcm" for number in range(1, _count(row) + 1)]
    return [_row(path, breast, row, None) for path in paths]


def _place(file: str, said: Facts, breasts: Mapping[Breast, TableRow], tally: Tally) -> None:
    """Give the image to its breast, or count why it has none."""
    patient = _patient_of_path(file) or said.patient
    if said.side is None or not PATIENT.fullmatch(patient) or said.patient not in ("", patient):
        tally.unnamed += 1
    elif (patient, said.side) not in breasts:
        tally.unlabelled += 1
    else:
        breast = patient, said.side
        tally.rows.setdefault(breast, []).append(_row(file, breast, breasts[breast], said))


def _row(path: str, breast: Breast, row: TableRow, said: Facts | None) -> ManifestRow:
    patient, side = breast
    subtype = row.get("subtype").lower()
    return ManifestRow(
        path=path,
        patient=patient,
        exam=patient,
        image=image_id(path),
        side=side,
        view=None if said is None else said.view,
        label=row.choice("classification", LABELS),
        finding=row.choice("abnormality", FINDINGS) + (f", {subtype}" if subtype else ""),
        age_years=row.whole("Age", 130),
        vendor=None if said is None else said.vendor,
        source=SOURCE,
        licence=LICENCE,
    )


def _patient_of_path(file: str) -> str:
    """The patient's folder; empty where none of the folders is one."""
    return next((folder for folder in file.split("/") if PATIENT.fullmatch(folder)), "")


def _index_remarks(index: Sequence[TableRow], breasts: Mapping[Breast, TableRow]) -> list[str]:
    """What the series index has beyond the clinical table."""
    labelled = Counter[str]()
    for (patient, _), row in breasts.items():
        labelled[patient] += _count(row)
    counted = Counter[str]()
    for row in index:
        counted[row.text("Subject ID")] += row.whole("Number of Images", 9999) or 0
    beyond = {patient: count - labelled[patient] for patient, count in counted.items()}
    left_out = [count for count in beyond.values() if count > 0]
    if not left_out:
        return []
    return [f"Images of a breast that has no label, left out: {sum(left_out)}, of {len(left_out)} patients."]


def _remarks(tally: Tally) -> list[str]:
    remarks = []
    if tally.unlabelled:
        remarks.append(f"Images of a breast that has no label, left out: {tally.unlabelled}.")
    if tally.unnamed:
        remarks.append(
            f"Images that do not say which breast of which patient they show, left out: {tally.unnamed}; "
            "a label belongs to one breast."
        )
    return remarks
