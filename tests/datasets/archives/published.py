"""Small archives in the layouts that are published, with real DICOM files in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.ingest.factory import Recipe, breast_values, write_dicom

SIZE = (64, 48)
UID = "1.3.6.1.4.1.9590.100.1.2"


def write_table(path: Path, rows: Iterable[Mapping[str, object]], separator: str = ",") -> Path:
    """Rows as a CSV; a cell with a line break is quoted, as CBIS-DDSM's are."""
    rows = list(rows)
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    quoted = [
        [f'"{cell}"' if any(sign in cell for sign in f'{separator}\n"') else cell for cell in line] for line in cells
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join(line) + "\n" for line in quoted))
    return path


def write_image(path: Path, values: NDArray[Any] | None = None, **elements: Any) -> Path:
    """A small mammogram with these header elements."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_dicom(path, Recipe(values=breast_values(*SIZE) if values is None else values, elements=elements))


def mask_values(top: int, left: int, bottom: int, right: int) -> NDArray[np.uint16]:
    """A mask of the film's size: 255 inside, 0 outside."""
    values = np.zeros(SIZE, np.uint16)
    values[top:bottom, left:right] = 255
    return values


def cbis_row(name: str, number: int, pathology: str, **cells: object) -> dict[str, object]:
    """A row of a mass or calcification table, its paths in the published form."""
    kind = "mass" if name.startswith("Mass") else "calcification"
    _, letter, digits, side, view = name.split("_")
    uids = f"{UID}.3/{UID}.4{number}"
    row: dict[str, object] = {
        "patient_id": f"{letter}_{digits}",
        "breast_density" if kind == "mass" else "breast density": 3,
        "left or right breast": side,
        "image view": view,
        "abnormality id": number,
        "abnormality type": kind,
        "assessment": 4,
        "pathology": pathology,
        "image file path": f"{name}/{UID}.1/{UID}.2/000000.dcm",
        "cropped image file path": f"{name}_{number}/{uids}/000000.dcm\n",
        "ROI mask file path": f"{name}_{number}/{uids}/000001.dcm\n",
    }
    return row | cells
