"""What a run was trained on, counted for its bundle: patients, exams and images of each split, and what is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from medproto.bundle import DataRecord, SplitRecord
from medproto.datasets.manifest import Manifest, ManifestRow
from medproto.evaluation.subgroups import UNKNOWN, age_band
from medproto.ingest.gate import RULES
from medproto.training.inputs import InputSet
from medproto.training.rendering import has_annotation

#: Stands for a row that the gate did not refuse: its region or lesion mask does not fit its image.
NO_CODE = "REGION_OR_MASK"
#: Name of the rows that the manifest puts into no split.
NO_SPLIT = "no split"
#: What images are counted by: each from a row and the name of its class.
FIELDS: Mapping[str, Callable[[ManifestRow, str], str | None]] = {
    "class": lambda row, label: label,
    "label": lambda row, label: row.label,
    "finding": lambda row, label: row.finding,
    "view": lambda row, label: row.view,
    "side": lambda row, label: row.side,
    "vendor": lambda row, label: row.vendor,
    "density": lambda row, label: row.density,
    "age": lambda row, label: age_band(row.age_years),
}
#: How the sentence of each refusal begins, which no other's does.
_OPENINGS = {rule.sentence.partition("{}")[0]: code for code, rule in RULES.items() if rule.severity == "refuse"}
_REFUSAL = re.compile(rf"(?:^|(?<=\. ))(?:{'|'.join(map(re.escape, _OPENINGS))})")
_ROW = re.compile(r"row (\d+): (.*)", re.DOTALL)


def count_data(manifest: Manifest, data: InputSet, classes: Sequence[str]) -> DataRecord:
    """Counts of the images that were read, by split, and of the rows that were left out, by reason code.

    Args:
        data: of all splits.
        classes: names of the classes that `data.labels` counts.
    """
    rows = [(source.row, classes[label]) for source, label in zip(data.sources, data.labels.tolist(), strict=True)]
    lost = [(manifest.rows[number - 2], why) for number, why in map(_numbered, data.left_out)]
    names = dict.fromkeys(_split(row) for row in manifest.rows)
    return DataRecord(
        splits={
            name: _count(
                [(row, label) for row, label in rows if _split(row) == name],
                [why for row, why in lost if _split(row) == name],
            )
            for name in names
        }
    )


def codes_of(why: str) -> tuple[str, ...]:
    """Reason codes of the gate's sentences, in their order; `NO_CODE` where none is the gate's."""
    return tuple(_OPENINGS[found] for found in _REFUSAL.findall(why)) or (NO_CODE,)


def _count(rows: Sequence[tuple[ManifestRow, str]], lost: Sequence[str]) -> SplitRecord:
    return SplitRecord(
        patients=len({row.patient for row, _ in rows}),
        exams=len({row.exam for row, _ in rows}),
        images=len(rows),
        annotated=sum(has_annotation(row) for row, _ in rows),
        # A field that no row tells is not counted at all.
        by={
            field: dict(sorted(Counter(value or UNKNOWN for value in values).items()))
            for field, read in FIELDS.items()
            if any(values := [read(row, label) for row, label in rows])
        },
        left_out=dict(sorted(Counter(code for why in lost for code in codes_of(why)).items())),
    )


def _numbered(reason: str) -> tuple[int, str]:
    """A row's number as a spreadsheet shows it, and why it is not there, of a sentence of `InputSet.left_out`."""
    found = _ROW.fullmatch(reason)
    assert found  # `load_inputs` wrote it
    return int(found[1]), found[2]


def _split(row: ManifestRow) -> str:
    return row.split or NO_SPLIT
