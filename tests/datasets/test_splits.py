"""Splits keep patients whole and strata alike."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medproto.datasets.manifest import ManifestRow, Split, check_rows
from medproto.datasets.splits import carve_validation, fold_patients, most_severe, split_fold, split_patients
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


Cohort = list[tuple[str, str | None, int]]
patients_drawn = st.lists(
    st.tuples(st.sampled_from([*THIRDS, "cyst"]), st.sampled_from([None, "north", "south"]), st.integers(1, 3)),
    min_size=3,
    max_size=60,
)
shares_drawn = st.tuples(*[st.integers(1, 10)] * 3).map(lambda it: [part / sum(it) for part in it])


def rows_of(patients: Cohort) -> list[ManifestRow]:
    """Each patient with as many images as told, the last the most severe, the others normal."""
    return [
        ManifestRow(
            path=f"{p}-{i}",
            patient=f"p{p}",
            exam=f"e{p}-{i}",
            image=f"{p}-{i}",
            label=label if i == images - 1 else "normal",
            site=site,
        )
        for p, (label, site, images) in enumerate(patients)
        for i in range(images)
    ]


def count_by_stratum(rows: list[ManifestRow]) -> Counter[tuple[str, str | None, Split | None]]:
    """Patients by most severe label, site and split."""
    label_of = most_severe(rows)
    return Counter({row.patient: (label_of[row.patient], row.site, row.split) for row in rows}.values())


@given(patients_drawn, shares_drawn, st.integers(0, 99), st.randoms(use_true_random=False))
def test_every_stratum_of_label_and_site_is_within_one_patient_of_its_share(
    patients: Cohort, shares: list[float], seed: int, chance: random.Random
) -> None:
    fractions: dict[Split, float] = {"train": shares[0], "val": shares[1], "test": shares[2]}
    rows = rows_of(patients)
    drawn = split_patients(rows, fractions, seed)
    assert [row.image for row in drawn] == [row.image for row in rows]
    check_rows(drawn)
    counts = count_by_stratum(drawn)
    for label, site in {(label, site) for label, site, _ in counts}:
        size = sum(counts[label, site, name] for name in fractions)
        for name, share in fractions.items():
            assert abs(counts[label, site, name] - share * size) < 1 + 1e-6
    shuffled = chance.sample(rows, len(rows))
    again = split_patients(shuffled, fractions, seed)
    assert {row.image: row.split for row in again} == {row.image: row.split for row in drawn}


@given(patients_drawn, st.integers(2, 5), st.integers(0, 99), st.data())
def test_a_fold_holds_its_share_of_every_stratum_and_no_half_patient(
    patients: Cohort, folds: int, seed: int, data: st.DataObject
) -> None:
    rows = rows_of(patients)
    folds = min(folds, len(patients))
    tested = Counter[str]()
    for fold in range(folds):
        drawn = split_fold(rows, (fold, folds), 0, seed)
        check_rows(drawn)
        counts = count_by_stratum(drawn)
        for label, site in {(label, site) for label, site, _ in counts}:
            size = counts[label, site, "train"] + counts[label, site, "test"]
            assert abs(counts[label, site, "test"] - size / folds) < 1
        tested.update({row.patient for row in drawn if row.split == "test"})
    assert tested == dict.fromkeys(most_severe(rows), 1)


@given(patients_drawn, st.integers(0, 99))
def test_an_official_test_split_stays_as_it_is_when_validation_patients_are_carved_out(
    patients: Cohort, seed: int
) -> None:
    official = split_patients(rows_of(patients), {"train": 0.7, "test": 0.3}, 5)
    drawn = carve_validation(official, 0.2, seed)
    check_rows(drawn)
    before = {row.image for row in official if row.split == "test"}
    assert {row.image for row in drawn if row.split == "test"} == before
    counts, had = count_by_stratum(drawn), count_by_stratum(official)
    for label, site in {(label, site) for label, site, split in had if split == "train"}:
        assert abs(counts[label, site, "val"] - 0.2 * had[label, site, "train"]) < 1 + 1e-6


def test_each_site_is_split_alike_where_one_site_is_small() -> None:
    rows = rows_of([("malignant", "big", 1)] * 50 + [("malignant", "small", 1)] * 10 + [("normal", "small", 2)] * 20)
    counts = count_by_stratum(split_patients(rows, FRACTIONS, seed=0))
    assert {split: counts["malignant", "small", split] for split in FRACTIONS} == {"train": 6, "val": 2, "test": 2}
    assert {split: counts["malignant", "big", split] for split in FRACTIONS} == {"train": 30, "val": 10, "test": 10}
    assert {split: counts["normal", "small", split] for split in FRACTIONS} == {"train": 12, "val": 4, "test": 4}


def test_the_splits_of_rows_without_a_site_are_those_that_published_figures_were_made_with() -> None:
    rows = split_patients(cohort(20), FRACTIONS, seed=1)
    split_of = {row.patient: row.split for row in rows}
    assert "".join((split_of[f"p{p}"] or " ")[1] for p in range(20)) == "rarararreerrrrrraree"


@pytest.mark.parametrize(
    ("splits", "share", "sentence"),
    [
        (("train", "test"), 1.0, "val: got 1.0, expected a share between 0 and 1"),
        (("train", None), 0.2, "split: got rows without a split, train, expected an official split"),
        (("train", "val"), 0.2, "split: got train, val, expected an official split"),
        (("test", "test"), 0.2, "split: got test, expected an official split"),
    ],
)
def test_what_is_no_official_split_is_refused(splits: tuple[Split | None, ...], share: float, sentence: str) -> None:
    rows = [row.model_copy(update={"split": splits[i // 2]}) for i, row in enumerate(cohort(2))]
    with pytest.raises(InputError, match=sentence):
        carve_validation(rows, share, seed=0)


def test_a_fold_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="fold: got 6, expected 1 to 5"):
        split_fold(cohort(9), (5, 5), 0.2, seed=0)
