"""Splits keep patients whole and strata alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from medproto.datasets.manifest import ManifestRow, Split
from medproto.datasets.splits import fold_patients, most_severe, split_patients
from medproto.errors import InputError

THIRDS = ("normal", "benign", "malignant")
FRACTIONS: Mapping[Split, float] = {"train": 0.6, "val": 0.2, "test": 0.2}


def cohort(patients: int) -> list[ManifestRow]:
    return [
        ManifestRow(path=f"{p}-{view}", patient=f"p{p}", exam=f"e{p}", image=f"{p}-{view}", view=view, label=label)
        for p in range(patients)
        for view, label in (("CC", THIRDS[p % 3]), ("MLO", "normal"))
    ]


def test_splits_keep_patients_whole_and_strata_alike() -> None:
    rows = split_patients(cohort(90), FRACTIONS, seed=3)
    assert all(len({row.split for row in rows if row.patient == patient}) == 1 for patient in most_severe(rows))
    assert Counter((row.label, row.split) for row in rows if row.view == "CC") == {
        (label, split): count for label in THIRDS for split, count in (("train", 18), ("val", 6), ("test", 6))
    }


def test_splits_depend_on_the_seed_and_on_nothing_else() -> None:
    rows = cohort(60)
    again = {row.image: row.split for row in split_patients(rows[::-1], FRACTIONS, seed=1)}
    assert {row.image: row.split for row in split_patients(rows, FRACTIONS, seed=1)} == again
    assert {row.image: row.split for row in split_patients(rows, FRACTIONS, seed=2)} != again


def test_every_patient_is_tested_in_exactly_one_fold() -> None:
    rows = cohort(50)
    folds = fold_patients(rows, 5, seed=0)
    label_of = most_severe(rows)
    assert Counter(p for fold in folds for p, split in fold.items() if split == "test") == dict.fromkeys(label_of, 1)
    for fold in folds:
        count = Counter(label_of[p] for p, split in fold.items() if split == "test")
        assert set(count.values()) <= {3, 4}


def test_a_patient_is_as_severe_as_the_worst_image() -> None:
    assert most_severe(cohort(3)) == {"p0": "normal", "p1": "benign", "p2": "malignant"}


@pytest.mark.parametrize("fractions", [{"train": 0.5, "test": 0.6}, {"train": 1.5, "test": -0.5}])
def test_shares_that_are_none_are_refused(fractions: Mapping[Split, float]) -> None:
    with pytest.raises(InputError, match="expected shares that add up to 1"):
        split_patients(cohort(9), fractions, seed=0)


def test_more_folds_than_patients_are_refused() -> None:
    with pytest.raises(InputError, match="folds: got 5, expected 2 to 3"):
        fold_patients(cohort(3), 5, seed=0)
